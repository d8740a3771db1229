"""Those who look at a group through its agents' HTTP API: open dashboards, and clients that find it there."""
