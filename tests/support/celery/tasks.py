"""A Celery application as people have one, for real workers: its broker is one line of configuration.

``BROKER_URL`` says where it is; ``NOTES`` names the file in which each run of a task is a line. What who has
quorum queues sets besides is in docs/celery.md.
"""

import os
import time
from pathlib import Path

from celery import Celery

PUBLISHING = {"max_retries": None, "interval_start": 0, "interval_step": 0.2, "interval_max": 1.0}


def application(url: str) -> Celery:
    """One with that broker."""
    made = Celery("tasks", broker=url)
    made.conf.update(
        task_default_queue_type="quorum",
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_publish_retry_policy=PUBLISHING,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        beat_schedule={"tick": {"task": "note", "schedule": 1.0, "args": ("beat",)}},
    )
    made.task(note, name="note")
    return made


def note(what: str) -> None:
    """Write down that it has run."""
    line = f"{what} {time.time():.3f} {os.getpid()}\n".encode()
    descriptor = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line)  # whole, whoever else writes
    finally:
        os.close(descriptor)


def noted(file: Path) -> list[str]:
    """What has run, in order; some may have run again."""
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


if "BROKER_URL" in os.environ:
    app = application(os.environ["BROKER_URL"])
