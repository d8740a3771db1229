"""Taking one broker out of service so that nothing is missed: checks first, then maintenance mode.

What makes it safe is RabbitMQ's own: a node whose end would cost a queue its majority is not drained, and a
drained node has handed the leaders of its queues to others and closed its listeners, so that what then ends
is a broker that nobody talks to.
"""

import logging
import time
from collections.abc import Callable
from typing import Protocol

from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtlError, RabbitmqCtlTimeout
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.coordinator.model.errors import RabbitKeeperError

LOG = logging.getLogger("rabbitkeeper.agent")

CHECK_TIMEOUT = 90.0  # seconds for replicas elsewhere to catch up
CLOSING = 120.0  # seconds for connections that do not end, one after the other
STUCK_CHANNEL = "channel_termination_timeout"  # in what RabbitMQ says of one
_LONGEST = 45.0  # seconds for the last check; a command is given up after 60
_RETRY = 2.0  # seconds between checks, each of which starts an Erlang machine


class DrainRefused(RabbitKeeperError):
    """Queues would be without a majority if this broker ended. Says what the check said."""


class Tools(Protocol):
    """What is needed of ``rabbitmqctl``."""

    def await_quorum_plus_one(self, timeout: float) -> None: ...

    def quorum_critical(self) -> str | None: ...

    def claim_drain(self) -> None: ...

    def drain(self) -> None: ...


def drain(
    tools: Tools,
    *,
    force: bool,
    timeout: float = CHECK_TIMEOUT,
    clock: Callable[[], float] = monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Check that the broker can be spared, then put it into maintenance mode.

    Args:
        force: do not check, and take a drain that does not end in time for done.
        timeout: seconds to go on checking.

    Raises:
        DrainRefused: it cannot be spared; it is as it was.
        RabbitmqCtlError: a command failed.
    """
    deadline = clock() + timeout
    while not force:
        critical = tools.quorum_critical()
        if critical is None:
            break
        if clock() >= deadline:
            raise DrainRefused(f"queues would lose their majority without this broker: {critical}")
        sleep(_RETRY)
    if not force:
        tools.await_quorum_plus_one(min(_LONGEST, max(1.0, deadline - clock())))
    tools.claim_drain()
    try:
        _drained(tools, clock)
    except RabbitmqCtlTimeout as error:
        if not force:
            raise
        # From 4.2 on RabbitMQ waits 30 s for each queue to have another leader, and where --force is needed
        # there is none to find. It closes the listeners and the connections first.
        LOG.warning("queues have found no other leader, and --force goes on: %s", error)


def _drained(tools: Tools, clock: Callable[[], float]) -> None:
    """One connection with a stuck channel is enough for RabbitMQ to break off while it closes them all.

    (Seen on 3.10 after a cut, several of them.) That one is gone then, after 6 s at the most, and a drain
    that is begun again does what is left.
    """
    deadline = clock() + CLOSING
    while True:
        try:
            return tools.drain()
        except RabbitmqCtlTimeout:
            raise
        except RabbitmqCtlError as error:
            if STUCK_CHANNEL not in str(error) or clock() >= deadline:
                raise
            LOG.warning("the drain broke off over one connection, and is begun again: %s", error)
