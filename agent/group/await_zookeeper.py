"""At the start ZooKeeper may not be there yet: after a power cut that is a matter of who boots first."""

import logging
from collections.abc import Callable

from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable

LOG = logging.getLogger("rabbitkeeper.agent")


def await_zookeeper(ask: Callable[[], None], *, stopped: Callable[[], bool] = lambda: False) -> None:
    """Ask until ZooKeeper answers; that it does not is told once.

    Args:
        ask: takes its time when ZooKeeper is not there.
        stopped: nobody needs an answer any more.
    """
    told = False
    while not stopped():
        try:
            ask()
        except ZooKeeperUnreachable as error:
            if not told:
                LOG.warning("waiting for ZooKeeper: %s", error)
            told = True
        else:
            return
