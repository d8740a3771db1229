"""The same orders with RabbitKeeper as the broker.

celery -A celery_after worker
python celery_after.py publish FIRST LAST
"""

import os
import sys
import time

from celery import Celery

app = Celery("shop", broker=os.environ["RABBITKEEPER_URL"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_default_queue="orders-celery",
    task_default_queue_type="quorum",
    task_acks_late=True,
    task_publish_retry_policy={
        "max_retries": 20,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 1,
    },
)


@app.task(name="shop.pack")
def pack(order: str) -> None:
    """A task."""
    print(f"received: {order}", flush=True)


if __name__ == "__main__":
    for number in range(int(sys.argv[2]), int(sys.argv[3]) + 1):
        pack.delay(f"order {number}")
        print(f"confirmed: order {number}", flush=True)
        time.sleep(0.05)
