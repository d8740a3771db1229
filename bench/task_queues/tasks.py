"""The application of the workers that are compared; ``BROKER_URL``, ``QUEUE`` and ``NOTES`` say whose it is.

Each run of a task is a line of the file ``NOTES``: its number, and when it began.
"""

import os
import time

from celery import Celery


def application(url: str, queue: str) -> Celery:
    """The same for all: quorum queues, late acks, confirms, and to try again without an end."""
    made = Celery(queue, broker=url)
    made.conf.update(
        task_default_queue=queue,
        task_default_queue_type="quorum",
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_publish_retry_policy={
            "max_retries": None,
            "interval_start": 0,
            "interval_step": 0.2,
            "interval_max": 1.0,
        },
        broker_transport_options={"confirm_publish": True},
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
    )
    made.task(run, name="run")
    return made


def run(number: int) -> None:
    line = f"{number} {time.monotonic():.4f}\n".encode()
    descriptor = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)  # whole, whoever else writes
    finally:
        os.close(descriptor)


if "BROKER_URL" in os.environ:
    app = application(os.environ["BROKER_URL"], os.environ["QUEUE"])
