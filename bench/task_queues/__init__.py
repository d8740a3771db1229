"""Celery on a group, for ``failover.py --celery``: its application, and how soon its workers work again."""
