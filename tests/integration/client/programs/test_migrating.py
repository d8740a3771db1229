"""The programs of ``examples/migrating/``: old and new ones share exchanges and queues while the lead moves.

That is how an application goes over, one program after the other.
"""

import re
import signal
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from support.client.programs import Program, Run
from support.waiting import wait_for

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

COUNT = 60  # orders of each publisher


def orders(programs: list[Program], word: str) -> set[str]:
    """Which ones the programs have told of, behind ``word``."""
    return {order for program in programs for order in re.findall(rf"{word}: (order \d+)", program.text)}


@pytest.mark.parametrize("library", ["pika", "aio_pika", "celery"])
def test_old_and_new_programs_share_their_queues(library: str, run: Run, moved: Callable[[], None]) -> None:
    def program(version: str, *command: str) -> Program:
        """One that runs until the test ends."""
        if library == "celery" and command[0] == "consume":
            options = ("--pool", "threads", "--concurrency", "2", "--hostname", f"{version}@%h")
            started = run("-m", "celery", "-A", f"celery_{version}", "worker", *options, folder="migrating")
        else:
            started = run(f"{library}_{version}.py", *command, folder="migrating")
        return stack.enter_context(started)

    with ExitStack() as stack:
        consumers = [program("before", "consume"), program("after", "consume")]
        publishers = [
            program("before", "publish", "1", f"{COUNT}"),
            program("after", "publish", f"{COUNT + 1}", f"{2 * COUNT}"),
        ]
        for one in (*consumers, *publishers):
            word = "received" if one in consumers else "confirmed"
            wait_for(lambda: orders([one], word), f"{one.process.args!r} works")  # noqa: B023 - called here
        moved()
        for one in publishers:
            assert one.ended() == 0
        sent = {f"order {number}" for number in range(1, 2 * COUNT + 1)}
        assert orders(publishers, "confirmed") == sent
        wait_for(lambda: orders(consumers, "received") == sent, "each is received")
        for one in consumers:
            one.ended(signal.SIGTERM if library == "celery" else signal.SIGINT)
