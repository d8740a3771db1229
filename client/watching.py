"""Watching a group: one discovery for all clients of a process that ask for the same.

The watch begins with the first of them and ends with the last. A forked child has none of its parent's.
"""

import os
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from os import PathLike, fspath
from random import Random
from typing import Protocol

from rabbitkeeper.client.discovery.agent_address import AgentAddress, check_agents, check_token
from rabbitkeeper.client.discovery.agent_watch import AgentWatch, agent_watch
from rabbitkeeper.client.discovery.group_watch import GroupWatch
from rabbitkeeper.client.discovery.interface import Discovery
from rabbitkeeper.client.model.checks import check_text, shown
from rabbitkeeper.client.model.errors import AgentsUnreachable, InvalidArgument
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.routing.allowed_brokers import AllowedBrokers
from rabbitkeeper.client.routing.listener import Listener
from rabbitkeeper.client.routing.placement import Targets
from rabbitkeeper.coordinator.backend.access import BackendAccess, check_identity
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.errors import CoordinationError, ZooKeeperUnreachable
from rabbitkeeper.coordinator.tls import client_context


class Watched(Protocol):
    """What a discovery is of, and how it is reached. Those that are equal can be one."""

    def watch(self, name: str) -> Discovery:
        """One that is not started yet; ``name`` is the client's."""

    def unreachable(self) -> CoordinationError:
        """Why a client that waits for another one's start has waited in vain."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class WatchedGroup:
    """A group in ZooKeeper.

    Args:
        auth: user name and password.
        session_timeout: seconds.
    """

    zookeeper: str
    group: str
    auth: tuple[str, str] | None = field(repr=False)
    tls: ssl.SSLContext | None
    session_timeout: float

    def watch(self, name: str) -> GroupWatch:
        """One that is not started yet.

        Raises:
            InvalidArgument: ``auth`` is none.
        """
        access = BackendAccess(
            identity=None if self.auth is None else check_identity(*self.auth), tls=self.tls
        )
        return GroupWatch(
            lambda wake: backend_at(
                self.zookeeper, timeout=self.session_timeout, wake=wake, name=name, access=access
            ),
            self.group,
            random=Random(),
            name=name,
        )

    def unreachable(self) -> CoordinationError:
        return ZooKeeperUnreachable(f"no ZooKeeper server at {self.zookeeper!r} answers")


@dataclass(frozen=True, slots=True)
class AgentsGroup:
    """A group that its agents tell of.

    Args:
        token: shown to the agents.
        ca: PEM file with the authorities to trust; None: the system's.
    """

    agents: tuple[AgentAddress, ...]
    group: str
    token: str | None = field(repr=False)
    ca: str | None

    def watch(self, name: str) -> AgentWatch:
        """One that is not started yet.

        Raises:
            ConfigurationError: ``ca`` cannot be read.
        """
        return agent_watch(self.agents, self.group, token=self.token, ca=self.ca, name=name)

    def unreachable(self) -> CoordinationError:
        return AgentsUnreachable(f"no agent of {', '.join(map(str, self.agents))} tells of {self.group!r}")


def group_in_zookeeper(
    zookeeper: str | None,
    group: str,
    auth: tuple[str, str] | None,
    tls: ssl.SSLContext | None,
    session_timeout: float,
) -> WatchedGroup:
    """A group, asked for in ZooKeeper.

    Raises:
        InvalidArgument: ``zookeeper`` is no text, or is not given.
    """
    if zookeeper is None:
        raise InvalidArgument("zookeeper is missing: give its servers, as in 'zk1:2181,zk2:2181', or agents")
    check_text("zookeeper", zookeeper)
    return WatchedGroup(zookeeper, group, auth, tls, session_timeout)


def group_of_agents(
    agents: Iterable[str],
    group: str,
    token: str | None,
    ca: str | PathLike[str] | None,
    *,
    zookeeper: str | None,
) -> AgentsGroup:
    """A group, asked for at its agents.

    Raises:
        InvalidArgument: the addresses or the token are none, or ZooKeeper is given as well.
        ConfigurationError: ``ca`` cannot be read.
    """
    if zookeeper is not None:
        raise InvalidArgument(
            "zookeeper and agents are both given: one of them is asked; leave the other out"
        )
    file = None if ca is None else _path("ca", ca)
    client_context(file, where="agents")  # refused before anything is begun
    return AgentsGroup(check_agents(agents), group, check_token(token), file)


def _path(what: str, value: object) -> str:
    path = fspath(value) if isinstance(value, PathLike) else value
    if not isinstance(path, str) or not path:
        raise InvalidArgument(f"{what} {shown(value)} is not valid: use the path of a file")
    return path


class _Shared:
    """A watch and how many clients listen to it, or are about to. The watch with its lock held."""

    def __init__(self, make: Callable[[], Discovery]) -> None:
        self.make = make
        self.lock = threading.RLock()  # a signal handler may close one client while another begins
        self.watch: Discovery | None = None
        self.listeners = 0  # counted by the watches of the process


class Watches:
    """The watches of a process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # as above
        self.shared: dict[Watched, _Shared] = {}
        """Those that somebody listens to."""

    def enter(self, group: Watched, make: Callable[[], Discovery]) -> _Shared:
        """The one of ``group``, which has one listener more; it is begun with ``make`` when the first
        listens."""
        with self._lock:
            shared = self.shared.setdefault(group, _Shared(make))
            shared.listeners += 1
            return shared

    def leave(self, group: Watched, shared: _Shared) -> bool:
        """It has one listener less; whether that was the last."""
        with self._lock:
            shared.listeners -= 1
            if shared.listeners:
                return False
            if self.shared.get(group) is shared:
                del self.shared[group]
            return True

    def reset(self) -> None:
        """In a forked child: the parent's threads are not here, and its locks may be held."""
        self.__init__()  # type: ignore[misc]


_watches = Watches()
os.register_at_fork(after_in_child=_watches.reset)


class Watching:
    """A client's part in a watch.

    Args:
        group: to watch.
        publish, emit, secure: see :class:`Listener`.
        name: of the thread, if the watch begins here.
        allowed_brokers: see :class:`AllowedBrokers`.
        make: makes the watch; tests have others.
        watches: those that there are.

    Raises:
        InvalidArgument: ``allowed_brokers`` are no hosts.
    """

    def __init__(
        self,
        group: Watched,
        *,
        publish: Callable[[Targets], None],
        emit: Callable[[Event], None],
        secure: bool,
        name: str,
        allowed_brokers: Iterable[str] | None = None,
        make: Callable[[], Discovery] | None = None,
        watches: Watches = _watches,
    ) -> None:
        self._listener = Listener(publish, emit, secure, AllowedBrokers(allowed_brokers))
        self._make = make or (lambda: group.watch(name))
        self._watches = watches
        self._shared: _Shared | None = None
        self._watch: Discovery | None = None
        self._group = group

    @property
    def connected(self) -> bool:
        """Whether a change would be heard of, as far as is known."""
        watch = self._watch
        return watch is not None and watch.connected

    @property
    def mismatch(self) -> str | None:
        """Why no member that is there can be used; None if one can, or none is there."""
        return self._listener.mismatch

    def start(self, timeout: float) -> None:
        """Be told of the group from now on, what is known before this returns.

        Args:
            timeout: seconds.

        Raises:
            CoordinationError, NotAuthorized: see :meth:`Discovery.start`.
        """
        # counted first, so that who ends meanwhile does not end what is listened to
        shared = self._watches.enter(self._group, self._make)
        if not shared.lock.acquire(timeout=timeout):
            self._watches.leave(self._group, shared)
            raise self._group.unreachable()
        try:
            watch = shared.watch
            if watch is None:
                watch = shared.make()
                watch.add(self._listener)
                watch.start(timeout)
                shared.watch = watch
            else:
                watch.add(self._listener)
            self._shared, self._watch = shared, watch
        except BaseException:
            self._watches.leave(self._group, shared)
            raise
        finally:
            shared.lock.release()

    def stop(self) -> None:
        """Be told nothing more; the last one ends the watch. Can be called again."""
        shared = self._shared
        if shared is None:
            return
        with shared.lock:
            watch, self._watch = self._watch, None
            if watch is None:
                return
            watch.remove(self._listener)
            if not self._watches.leave(self._group, shared):
                return
            shared.watch = None
        watch.stop()
