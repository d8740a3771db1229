"""gunicorn's settings for django_orders.py: the application is loaded once, and forked."""

preload_app = True
workers = 2
worker_class = "gthread"
threads = 4  # of each worker; they share its client


def post_worker_init(_worker: object) -> None:
    """In each worker, after the fork: connect now, so that the first request does not wait for it."""
    from django_orders import client

    client()


def worker_exit(_server: object, _worker: object) -> None:
    """In each worker that ends, when its last request is answered."""
    from django_orders import client

    client().close()
