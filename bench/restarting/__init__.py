"""Consumers over many restarts, for a benchmark."""
