"""What the benchmark of the alerts is made of: rules, a Prometheus, faults, what was seen."""
