"""The benchmark of Celery's workers: it sees in their logs where they are."""

import pytest
from task_queues.workers import connected_to

PORTS = {5671: "mq1", 5672: "mq2"}
WHEN = "[2026-11-26 21:50:22,098: INFO/MainProcess]"


@pytest.mark.parametrize(
    ("lines", "member"),
    [
        ([], None),
        (["connected to mq1 at 127.0.0.1:5671"], None),  # to send, or to look
        (["connected to mq1 at 127.0.0.1:5671", "Connected to rabbitkeeper://app:**@zk1:2181/orders"], "mq1"),
        (
            [
                "connected to mq1 at 127.0.0.1:5671",
                "Connected to rabbitkeeper://app:**@zk1:2181/orders",
                "connected to mq2 at 127.0.0.1:5672",
            ],
            "mq1",
        ),
        (["Connected to amqp://app:**@mq1:5671//", "Connected to amqp://app:**@mq2:5672//"], "mq2"),
    ],
)  # fmt: skip
def test_a_worker_is_where_it_has_connected_to_last_for_tasks(lines: list[str], member: str | None) -> None:
    assert connected_to("".join(f"{WHEN} {line}\n" for line in lines), PORTS) == member
