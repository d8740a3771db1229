"""A real Celery: its application, and what its tasks have noted."""
