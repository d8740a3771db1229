"""Wait queues: where a message waits for its next try, one queue for each delay.

A message expires only at the head of its queue, so messages of different delays must not wait in one. They
come back as dead letters, at least once: the wait queue keeps a message until the queue that it goes to has
it.

A quorum queue that is declared in the moment in which a node is killed may never get a leader (decision
0012). So they are declared when the consumer begins, and one that does not take a message is left for another
of a name of its own; what is in it comes back when it is well.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.model.backoff import Backoff, milliseconds
from rabbitkeeper.client.model.checks import check_short
from rabbitkeeper.client.model.events import DeclarationFailed, Event
from rabbitkeeper.client.model.topology import Queue, describe

log = logging.getLogger(__name__)

NAMES = 4  # of wait queues for one delay; the fifth has the name of the first
DECLARE_PATIENCE = 30.0  # seconds


@dataclass(frozen=True, slots=True, eq=False)
class WaitQueue:
    """One, declared or being declared."""

    declared: Queue
    delay: float  # seconds
    number: int  # 1, unless others have not taken a message
    declaration: Future[int]


def wait_queue(target: str, delay: float, number: int = 1) -> Queue:
    """The queue in which messages wait for ``delay`` seconds before they go to ``target`` again."""
    name = f"{target}.retry.{milliseconds(delay)}" + ("" if number == 1 else f".{number}")
    check_short("the name of a wait queue", name)
    return Queue(
        name,
        arguments={
            "x-message-ttl": milliseconds(delay),
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": target,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",  # without which RabbitMQ dead-letters at most once
        },
    )


class WaitQueues:
    """Those of one consumer. From any thread.

    Args:
        engine: declares them, now and after each switch.
        target: the queue that messages come from, and go back to.
        emit: takes events.
    """

    def __init__(self, engine: Engine, target: str, backoff: Backoff, emit: Callable[[Event], None]) -> None:
        for delay in backoff.delays:
            wait_queue(target, delay, NAMES)  # refused before any is declared
        self._engine = engine
        self._target = target
        self._emit = emit
        self._lock = threading.RLock()
        self._queues = {delay: self._declare(delay, 1) for delay in backoff.delays}

    def get(self, delay: float) -> WaitQueue:
        """The one to use for ``delay`` seconds; it may not be there yet."""
        with self._lock:
            return self._queues[delay]

    def leave(self, wait: WaitQueue) -> None:
        """It has not taken a message: another one is used from now on."""
        with self._lock:
            if self._queues[wait.delay] is wait:
                self._queues[wait.delay] = self._declare(wait.delay, wait.number % NAMES + 1)

    def _declare(self, delay: float, number: int) -> WaitQueue:
        queue = wait_queue(self._target, delay, number)
        wait = WaitQueue(queue, delay, number, self._engine.declare(queue, DECLARE_PATIENCE))
        wait.declaration.add_done_callback(lambda declaration: self._declared(queue, declaration))
        return wait

    def _declared(self, queue: Queue, declaration: Future[int]) -> None:
        error = declaration.exception()
        if error is not None:
            log.error("messages cannot wait for their next try: %s", error)
            self._emit(DeclarationFailed(describe(queue), str(error), True))
