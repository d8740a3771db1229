"""Agents as processes, how their drivers are tried, and what they and the command tell."""
