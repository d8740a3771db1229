"""Watching a group as a client does: the group watch over a backend at an address."""

import ssl
from collections.abc import Callable
from random import Random

from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.routing.group_watch import GroupWatch
from rabbitkeeper.client.routing.placement import Targets
from rabbitkeeper.coordinator.backend.access import BackendAccess, check_identity
from rabbitkeeper.coordinator.connect import backend_at


def watch_group(
    zookeeper: str,
    group: str,
    *,
    auth: tuple[str, str] | None,
    tls: ssl.SSLContext | None,
    session_timeout: float,
    publish: Callable[[Targets], None],
    emit: Callable[[Event], None],
    random: Random,
    name: str,
    secure: bool,
) -> GroupWatch:
    """A watch that is not started yet. The arguments are those of ``Client`` and :class:`GroupWatch`.

    Raises:
        InvalidArgument: ``auth`` is none.
    """
    access = BackendAccess(identity=None if auth is None else check_identity(*auth), tls=tls)
    return GroupWatch(
        lambda wake: backend_at(zookeeper, timeout=session_timeout, wake=wake, name=name, access=access),
        group,
        publish=publish,
        emit=emit,
        random=random,
        name=name,
        secure=secure,
    )
