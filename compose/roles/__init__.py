"""What runs in the demo's own containers. Each role is told by its environment and tells on its output."""
