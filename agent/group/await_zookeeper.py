"""At the start ZooKeeper may not be there yet: after a power cut that is a matter of who boots first."""

import logging
from collections.abc import Callable

from rabbitkeeper.coordinator.model.errors import SessionLost, ZooKeeperUnreachable

LOG = logging.getLogger("rabbitkeeper.agent")


def await_zookeeper(
    ask: Callable[[], None],
    *,
    stopped: Callable[[], bool] = lambda: False,
    pause: Callable[[], object] = lambda: None,
    tell: Callable[[str | None], None] = lambda reason: None,
) -> None:
    """Ask until ZooKeeper answers; that it does not is told once.

    Args:
        ask: what is asked of it; may have been carried out though there was no answer.
        stopped: nobody needs an answer any more.
        pause: called before it is asked again; needed when not to be connected is told at once.
        tell: is told each time why there is no answer yet, a sentence; and None when there is one.
    """
    told = False
    while not stopped():
        try:
            ask()
        except (ZooKeeperUnreachable, SessionLost) as error:
            if not told:
                LOG.warning("waiting for ZooKeeper: %s", error)
            told = True
            tell(f"waiting for ZooKeeper: {error}")
            pause()
        else:
            tell(None)
            return
