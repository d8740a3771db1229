"""The programs of ``examples/migrating/``: old and new ones share exchanges and queues while the lead moves.

That is how an application goes over, one program after the other.
"""

import re
import signal
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from pika.exceptions import ChannelClosedByBroker
from support.announcer import Announcer
from support.client.programs import Program, Run
from support.waiting import wait_for

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

COUNT = 60  # orders of each publisher


def orders(programs: list[Program], word: str) -> set[str]:
    """Which ones the programs have told of, behind ``word``."""
    return {order for program in programs for order in re.findall(rf"{word}: (order \d+)", program.text)}


def consumers(announcer: Announcer, queue: str) -> int:
    """How many there are; none, if there is no such queue."""
    try:
        with announcer.stranger("node2") as channel:
            count: int = channel.queue_declare(queue, passive=True).method.consumer_count
            return count
    except ChannelClosedByBroker:
        return 0


@pytest.mark.parametrize("library", ["pika", "aio_pika", "celery"])
def test_old_and_new_programs_share_their_queues(
    library: str, announcer: Announcer, run: Run, moved: Callable[[], None]
) -> None:
    def program(version: str, *command: str) -> Program:
        """One that runs until the test ends."""
        if library == "celery" and command[0] == "consume":
            options = ("--pool", "threads", "--concurrency", "2", "--hostname", f"{version}@%h")
            started = run("-m", "celery", "-A", f"celery_{version}", "worker", *options, folder="migrating")
        else:
            started = run(f"{library}_{version}.py", *command, folder="migrating")
        return stack.enter_context(started)

    with ExitStack() as stack:
        receivers = [program("before", "consume"), program("after", "consume")]
        queue = f"orders-{library.replace('_', '-')}"
        wait_for(lambda: consumers(announcer, queue) == 2, "both versions consume")
        publishers = [
            program("before", "publish", "1", f"{COUNT}"),
            program("after", "publish", f"{COUNT + 1}", f"{2 * COUNT}"),
        ]
        for one in (*receivers, *publishers):
            word = "received" if one in receivers else "confirmed"
            wait_for(lambda: orders([one], word), f"{one.process.args!r} works")  # noqa: B023 - called here
        moved()
        for one in publishers:
            assert one.ended() == 0
        sent = {f"order {number}" for number in range(1, 2 * COUNT + 1)}
        assert orders(publishers, "confirmed") == sent
        wait_for(lambda: orders(receivers, "received") == sent, "each is received")
        for one in receivers:
            one.ended(signal.SIGTERM if library == "celery" else signal.SIGINT)
