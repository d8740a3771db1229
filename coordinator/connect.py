"""Makes the backend for an address: the one place that knows which backends there are.

For those who put a program together (the agent's assembly, the client, the command, the demo); everybody else
is given what this makes. Another backend gets its branch here, by the scheme of its addresses.
"""

import time
from collections.abc import Callable

from rabbitkeeper.coordinator.backend.access import ANYBODY, BackendAccess
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.zookeeper.access import check_reader, writer_name
from rabbitkeeper.coordinator.zookeeper.backend import ZooKeeperBackend

__all__ = ["backend_at", "check_reader", "writer_name"]


def _nothing() -> None:
    """Nobody is to be woken."""


def backend_at(
    hosts: str,
    *,
    timeout: float = 6.0,
    margin: float | None = None,
    wake: Callable[[], None] = _nothing,
    clock: Callable[[], float] = time.monotonic,
    access: BackendAccess = ANYBODY,
    name: str = "rabbitkeeper",
) -> Backend:
    """A backend that has not been started.

    Args:
        hosts: of ZooKeeper: ``host[:port][,host[:port]...][/chroot]``.
        timeout: session timeout to ask for, seconds. The server may grant another.
        margin: seconds before its end from which on the lease is not trusted; None: what the backend advises.
        wake: called from other threads at every watch event and change of the connection. It must not block:
            set a flag.
        clock: seconds, monotonic.
        access: who it is, and who may read what it creates.
        name: of the owner, for the log.

    Raises:
        ConfigurationError: ``hosts`` or ``timeout`` cannot be.
    """
    return ZooKeeperBackend(
        hosts, timeout=timeout, margin=margin, wake=wake, clock=clock, access=access, name=name
    )
