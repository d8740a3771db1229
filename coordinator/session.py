"""One ZooKeeper session: its connection, its lease, and the primitive operations with deadlines.

The session says what is certain and does what it is told; it decides nothing, keeps no znode alive and
makes no znode again. Its owner (the agent's loop, a client's watcher, a command) does that, from one thread
of its own that ``wake`` wakes. None of kazoo's recipes is used: ``docs/decisions/0001-no-kazoo-recipes.md``.

What an owner can rely on:

- *Generation.* It grows by one with each new session and stays over reconnects of the same one. A new
  generation has none of the old one's ephemerals.
- *Lease.* While ``lease.valid(now)`` the session lives, and so do its ephemerals. It is renewed only by
  :meth:`renew`, which the owner calls in each turn of its loop: a loop that hangs loses the lease.
- *Watches* are one-shot and gone after a lost connection. Each one, and each change of the connection, calls
  ``wake``; the owner then reads again what it wants to watch. Reading again does not pile them up.
- *Deadlines.* Every operation ends by its timeout. One that was not answered is *unknown*: a write may have
  been applied, or be applied while this connection lasts. When nothing has been answered for a third of the
  session timeout the connection is given up for another one, to the next server.
- *No queueing.* Without a connection an operation fails at once. Nothing waits inside the library to be sent
  after an outage, when it may not be true any more.
"""

import functools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, RolledBackError, RuntimeInconsistency
from kazoo.protocol.states import KazooState, ZnodeStat

from rabbitkeeper.coordinator.errors import (
    ConfigurationError,
    CoordinationError,
    NoZnode,
    SessionLost,
    ZnodeExists,
    ZooKeeperUnreachable,
)
from rabbitkeeper.coordinator.lease import Lease
from rabbitkeeper.coordinator.znode import Check, Create, Delete, Operation, Set, Znode
from rabbitkeeper.coordinator.zookeeper import Handler, build, check_hosts, translate

__all__ = ["Check", "Create", "Delete", "Operation", "Session", "Set", "Znode"]

BATCH = 64  # requests in flight at once; kazoo's wake-up pipe blocks the sender at about 270
CLOSE_TIMEOUT = 2.0  # seconds for a good-bye that ends the session at once
STALL = 1 / 3  # of the session timeout without any answer: the connection hangs

_log = logging.getLogger(__name__)

_Request = Callable[[KazooClient], Any]  # sends and returns kazoo's AsyncResult


@dataclass(frozen=True, slots=True)
class _Renewal:
    sent: float
    generation: int
    connection: int


def _nothing() -> None:
    pass


class Session:
    """A session with ZooKeeper that outlives lost connections, and replaces itself when it is lost.

    Args:
        hosts: ``host[:port][,host[:port]...][/chroot]``.
        timeout: session timeout to ask for, seconds. The server clamps it (by default to 2 to 20 ticks of
            2 s); :attr:`timeout` tells what it granted.
        margin: seconds before its end from which on the lease is not trusted; by default a sixth of the
            negotiated timeout. It covers the drift of clocks, and that in an ensemble a follower tells the
            leader about its sessions only every half tick.
        wake: called from other threads at every watch event and change of the connection. It must not
            block: set a flag.
        clock: seconds, monotonic.
        auth: (scheme, credential) pairs, as in ``[("digest", "user:password")]``.
        name: of the owner, for the log.

    Raises:
        ConfigurationError: ``hosts`` or ``timeout`` cannot be.
    """

    def __init__(
        self,
        hosts: str,
        *,
        timeout: float = 6.0,
        margin: float | None = None,
        wake: Callable[[], None] = _nothing,
        clock: Callable[[], float] = time.monotonic,
        auth: Sequence[tuple[str, str]] = (),
        name: str = "rabbitkeeper",
    ) -> None:
        if not timeout > 0:
            raise ConfigurationError(f"session timeout {timeout!r} is not valid: use seconds above 0")
        self.hosts = check_hosts(hosts)
        self.name = name
        self._asked = float(timeout)
        self._margin = margin
        self._wake = wake
        self._clock = clock
        self._auth = tuple(auth)
        self._state = threading.Condition()  # guards everything below; its holder never waits for I/O
        self._client: KazooClient | None = None
        self._handler: Handler | None = None
        self._granted: float | None = None
        self._connected = False
        self._connections = 0
        self._connected_since: float | None = None
        self._disconnected_since: float | None = None
        self._session_id = 0
        self._generation = 0
        self._established_at: float | None = None
        self._lease = Lease(timeout=0.0)
        self._renewal: _Renewal | None = None
        self._events = 0

    # -- what is certain

    @property
    def connected(self) -> bool:
        """Whether there is a connection right now, as far as is known."""
        return self._connected

    @property
    def connections(self) -> int:
        """Connections so far; a change of it means that watches are gone and reads may go back in time."""
        return self._connections

    @property
    def connected_since(self) -> float | None:
        """Monotonic seconds: since when the present connection stands; None when there is none."""
        return self._connected_since

    @property
    def disconnected_since(self) -> float | None:
        """Monotonic seconds: since when there is no connection; None while there is one."""
        return self._disconnected_since

    @property
    def session_id(self) -> int:
        """As ``ephemeralOwner`` shows it; 0 when there is no session, or when it is known to be lost."""
        return self._session_id

    @property
    def generation(self) -> int:
        """How many sessions there have been; 0 before the first."""
        return self._generation

    @property
    def established_at(self) -> float | None:
        """Monotonic seconds: when this generation began; None when there is no session."""
        return self._established_at

    @property
    def timeout(self) -> float:
        """The negotiated session timeout, seconds; what was asked for before the first connection."""
        return self._granted or self._asked

    @property
    def lease(self) -> Lease:
        return self._lease

    @property
    def events(self) -> int:
        """How often ``wake`` has been called; for :meth:`await_event`."""
        return self._events

    def await_event(self, seen: int, timeout: float) -> bool:
        """Wait until there is an event after the first ``seen``, for those who do not bring a ``wake``.

        Args:
            seen: :attr:`events` as it was *before* the read whose result is waited on.
            timeout: seconds.

        Returns:
            False if there was none in time.
        """
        with self._state:
            return self._state.wait_for(lambda: self._events != seen, timeout)

    # -- life

    def start(self, timeout: float = 10.0) -> None:
        """Connect and hold a first lease.

        Args:
            timeout: seconds to try for.

        Raises:
            ZooKeeperUnreachable: no server answered in time; nothing goes on in the background.
            AccessDenied: the credentials were refused.
        """
        deadline = self._clock() + timeout
        with self._state:
            if self._client is not None:
                return
            self._disconnected_since = self._clock()
            self._spawn()
        answered = False
        try:
            while not answered and self._clock() < deadline:
                answered = self._first_answer(deadline)
        finally:
            if not answered:
                self.close()
        if not answered:
            raise ZooKeeperUnreachable(
                f"no ZooKeeper server of {self.hosts} answered within {timeout:g} s: "
                "check that the address is right and that ZooKeeper runs there"
            )
        if self._granted is None:
            _log.error(
                "this version of kazoo does not tell the negotiated session timeout: no lease is certain, "
                "and nobody can lead with it; install kazoo 2.10 or 2.11"
            )

    def close(self) -> None:
        """End the session, so that its ephemerals go at once; within :data:`CLOSE_TIMEOUT` seconds.

        When ZooKeeper cannot be told, the ephemerals go when the session times out. Can be called again, and
        the session can be started again afterwards; that is a new generation.
        """
        with self._state:
            client, handler, told = self._client, self._handler, self._connected
            self._client = self._handler = None
            self._forget_connection()
            self._forget_session()
        if client is None or handler is None:
            return
        # kazoo's stop() can take as long as its connecting takes, so it runs aside and is not waited for
        # longer than is of use. Its threads are daemons and end by themselves.
        ending = threading.Thread(target=_end, args=(client,), name=f"{self.name}-close", daemon=True)
        ending.start()
        if told:
            ending.join(CLOSE_TIMEOUT)
        handler.sever()

    def renew(self) -> None:
        """Ask for a sign of life and return at once; its answer extends the lease from *now*.

        Called by the owner's own loop, in every turn. The request is a ``sync``: it goes through ZooKeeper's
        leader, so a follower that is cut off cannot extend the lease by answering from its memory. It also
        notices a hung connection, and starts anew when kazoo has given up.
        """
        with self._state:
            client, handler = self._client, self._handler
            if client is None or handler is None:
                return
            if handler.ended:
                _log.error("kazoo's connection thread has ended: starting a new ZooKeeper session")
                self._forget_connection()
                self._forget_session()
                self._spawn()
                return
            if not self._connected:
                return
            now = self._clock()
            if self._renewal is not None and self._renewal.connection == self._connections:
                if now - self._renewal.sent > self.timeout * STALL:
                    handler.sever()
                return
            renewal = self._renewal = _Renewal(now, self._generation, self._connections)
        client.sync_async("/").rawlink(functools.partial(self._renewed, renewal))

    # -- primitive operations: all end by ``timeout`` seconds and raise subclasses of CoordinationError

    def read(
        self, paths: Sequence[str], *, watch: bool = False, timeout: float = 2.0
    ) -> dict[str, Znode | None]:
        """Read znodes in this order, in one go: a later one is never older than an earlier one.

        Args:
            paths: absolute.
            watch: be woken by the next change of each, its creation or deletion included.
            timeout: seconds for all.

        Returns:
            Each path with its znode, or None if there is none.
        """
        requests: list[tuple[str, _Request]] = []
        for path in paths:
            if watch:  # "exists" also watches a znode that is not there; the read after it cannot miss more
                requests.append((path, functools.partial(_exists, path=path, watch=self._on_event)))
            requests.append((path, functools.partial(_get, path=path)))
        answers = self._ask(requests, timeout)
        found: dict[str, Znode | None] = {}
        for path, answer in zip(paths, answers[1::2] if watch else answers, strict=True):
            if isinstance(answer, NoZnode):
                found[path] = None
            else:
                data, stat = _value(answer)
                found[path] = _znode(path, data or b"", stat)
        return found

    def stat(self, path: str, *, watch: bool = False, timeout: float = 2.0) -> Znode | None:
        """A znode without its data, or None if there is none."""
        request = functools.partial(_exists, path=path, watch=self._on_event if watch else None)
        (answer,) = self._ask([(path, request)], timeout)
        stat = _value(answer)
        return None if stat is None else _znode(path, b"", stat)

    def children(self, path: str, *, watch: bool = False, timeout: float = 2.0) -> tuple[str, ...] | None:
        """Names of the children, sorted; None if there is no such znode (which is then not watched)."""
        callback = self._on_event if watch else None
        request = functools.partial(_children, path=path, watch=callback)
        (answer,) = self._ask([(path, request)], timeout)
        return None if isinstance(answer, NoZnode) else tuple(sorted(_value(answer)))

    def create(
        self,
        path: str,
        data: bytes,
        *,
        ephemeral: bool = False,
        timeout: float = 2.0,
        in_session: int | None = None,
    ) -> Znode:
        """Create a znode.

        Args:
            in_session: do it in the session of this id or not at all (:class:`SessionLost`).

        Raises:
            ZnodeExists: it is there. After a lost answer it may be one's own: look at the owner.
            NoZnode: its parent is not there.
        """

        def request(client: KazooClient) -> Any:
            return client.create_async(path, data, ephemeral=ephemeral, include_data=True)

        (answer,) = self._ask([(path, request)], timeout, in_session)
        _, stat = _value(answer)
        return _znode(path, data, stat)

    def set(
        self, path: str, data: bytes, version: int, *, timeout: float = 2.0, in_session: int | None = None
    ) -> Znode:
        """Replace the data of a znode that still has ``version``.

        Raises:
            Conflict: it has another version.
            NoZnode: it is not there.
        """
        (answer,) = self._ask(
            [(path, lambda client: client.set_async(path, data, _checked(version)))], timeout, in_session
        )
        return _znode(path, data, _value(answer))

    def delete(self, path: str, version: int, *, timeout: float = 2.0, in_session: int | None = None) -> None:
        """Delete a znode that still has ``version``. Raises as :meth:`set` does."""
        (answer,) = self._ask(
            [(path, lambda client: client.delete_async(path, _checked(version)))], timeout, in_session
        )
        _value(answer)

    def ensure_path(self, path: str, *, timeout: float = 2.0) -> None:
        """Create ``path`` and what is above it, as empty persistent znodes, where they are not there."""
        parts = path.strip("/").split("/")
        paths = ["/" + "/".join(parts[: length + 1]) for length in range(len(parts))]
        answers = self._ask([(one, functools.partial(_create_empty, path=one)) for one in paths], timeout)
        for answer in answers:
            if not isinstance(answer, ZnodeExists):
                _value(answer)

    def sync(self, path: str = "/", *, timeout: float = 2.0) -> None:
        """Let the server catch up with ZooKeeper's leader, so that what is read next is not old."""
        (answer,) = self._ask([(path, lambda client: client.sync_async(path))], timeout)
        _value(answer)

    def transaction(
        self, operations: Sequence[Operation], *, timeout: float = 2.0, in_session: int | None = None
    ) -> None:
        """Do all of ``operations`` or none.

        Args:
            in_session: do it in the session of this id or not at all (:class:`SessionLost`). A request that
                was put before kazoo before the session was lost is never sent in the next one.

        Raises:
            NoZnode, ZnodeExists, Conflict: the condition that failed; ``error.path`` tells where.
        """

        def request(client: KazooClient) -> Any:
            transaction = client.transaction()
            for operation in operations:
                match operation:
                    case Check(path, version):
                        transaction.check(path, _checked(version))
                    case Create(path, data, ephemeral):
                        transaction.create(path, data, ephemeral=ephemeral)
                    case Set(path, data, version):
                        transaction.set_data(path, data, _checked(version))
                    case Delete(path, version):
                        transaction.delete(path, _checked(version))
            return transaction.commit_async()

        (answer,) = self._ask([(operations[0].path, request)], timeout, in_session)
        results = _value(answer)
        # A transaction that failed is an answer like any other: the error of the operation that failed stands
        # at its place, RolledBack before it and RuntimeInconsistency after it.
        for operation, result in zip(operations, results, strict=True):
            if isinstance(result, BaseException) and not isinstance(
                result, RolledBackError | RuntimeInconsistency
            ):
                raise translate(result, operation.path)
        if any(isinstance(result, BaseException) for result in results):
            raise CoordinationError(f"ZooKeeper rolled back a transaction on {operations[0].path}")

    # -- inside

    def _spawn(self) -> None:
        client, self._handler = build(self.hosts, self._asked, self._auth)
        client.add_listener(functools.partial(self._changed, client))
        self._client = client
        client.start_async()

    def _first_answer(self, deadline: float) -> bool:
        """Wait for a connection and one answer over it: an open port alone does not serve."""
        with self._state:
            self._state.wait_for(lambda: self._connected, max(0.0, deadline - self._clock()))
            generation, sent = self._generation, self._clock()
        try:
            self.sync(timeout=max(0.0, deadline - sent))
        except (ZooKeeperUnreachable, SessionLost):
            return False
        self._extend(sent, generation)
        return True

    def _ask(
        self, requests: Sequence[tuple[str, _Request]], timeout: float, in_session: int | None = None
    ) -> list[Any]:
        """Send ``requests`` one after the other without waiting between them; return what came back.

        An answer that is an error of the znode's is returned, not raised; one of the connection is raised.
        """
        deadline = self._clock() + timeout
        answers: list[Any] = []
        for start in range(0, len(requests), BATCH):
            batch = requests[start : start + BATCH]
            # Under the lock, which the listener for lost sessions takes before kazoo drops what is queued:
            # what is sent for a session is dropped with it or refused here, never sent in the next one.
            with self._state:
                client, handler, connection = self._usable(in_session)
                sent = self._clock()
                pending = [(path, send(client)) for path, send in batch]
            for path, result in pending:
                try:
                    answers.append(result.get(timeout=max(0.0, deadline - self._clock())))
                except handler.timeout_exception:
                    waited = self._clock() - sent
                    if waited >= self.timeout * STALL and connection == self._connections:
                        handler.sever()
                    raise ZooKeeperUnreachable(
                        f"ZooKeeper at {self.hosts} did not answer about {path} within {waited:.1f} s"
                    ) from None
                except KazooException as error:
                    ours = translate(error, path)
                    if isinstance(ours, ZooKeeperUnreachable | SessionLost):
                        raise ours from None
                    answers.append(ours)
        return answers

    def _usable(self, in_session: int | None) -> tuple[KazooClient, Handler, int]:
        if in_session is not None and in_session != self._session_id:
            raise SessionLost(f"the ZooKeeper session 0x{in_session & (1 << 64) - 1:x} is no more")
        if self._client is None or self._handler is None:
            raise ZooKeeperUnreachable("the ZooKeeper session is not started, or has been closed")
        if not self._connected:
            raise ZooKeeperUnreachable(f"there is no connection to ZooKeeper at {self.hosts}")
        return self._client, self._handler, self._connections

    def _changed(self, client: KazooClient, state: str) -> None:
        """kazoo's connection has changed; called by its connection thread."""
        with self._state:
            if client is not self._client:
                return
            now = self._clock()
            if state == KazooState.CONNECTED:
                self._established(client, now)
            else:
                if self._connected:
                    _log.warning("%s: the connection to ZooKeeper at %s is lost", self.name, self.hosts)
                self._forget_connection()
                if state == KazooState.LOST:
                    if self._session_id:
                        _log.warning("%s: the ZooKeeper session has expired", self.name)
                    self._forget_session()
        self._tell()

    def _established(self, client: KazooClient, now: float) -> None:
        session_id, _password = client.client_id
        self._granted = None if self._handler is None else self._handler.negotiated
        timeout = self._granted or 0.0  # without a known timeout no moment is certain
        margin = timeout / 6 if self._margin is None else min(self._margin, timeout)
        if session_id != self._session_id:
            self._session_id = session_id
            self._generation += 1
            self._established_at = now
            self._lease = Lease(timeout=timeout, margin=margin)
        else:
            self._lease = replace(self._lease, timeout=timeout, margin=margin)
        away = "" if self._disconnected_since is None or not self._connections else "again "
        self._connections += 1
        self._connected = True
        self._connected_since = now
        self._disconnected_since = None
        self._renewal = None
        _log.info(
            "%s: %sconnected to ZooKeeper at %s, session 0x%x (generation %d), timeout %g s",
            self.name,
            away,
            self.hosts,
            session_id & (1 << 64) - 1,
            self._generation,
            timeout,
        )

    def _forget_connection(self) -> None:
        self._connected = False
        self._connected_since = None
        if self._disconnected_since is None:
            self._disconnected_since = self._clock()
        self._renewal = None

    def _forget_session(self) -> None:
        self._session_id = 0
        self._established_at = None
        self._lease = Lease(timeout=0.0)

    def _renewed(self, renewal: _Renewal, result: Any) -> None:
        """A renewal was answered; called by kazoo's completion thread."""
        with self._state:
            if self._renewal is renewal:
                self._renewal = None
        if result.successful() and self._extend(renewal.sent, renewal.generation):
            self._tell()

    def _extend(self, sent: float, generation: int) -> bool:
        """Extend the lease; whether it has become valid by that."""
        with self._state:
            if generation != self._generation or not self._session_id:
                return False
            now = self._clock()
            before = self._lease.valid(now)
            self._lease = self._lease.answered(sent)
            return not before and self._lease.valid(now)

    def _on_event(self, _event: object) -> None:
        """The one watch callback, for every path: kazoo keeps each callback once a path."""
        self._tell()

    def _tell(self) -> None:
        with self._state:
            self._events += 1
            self._state.notify_all()
        self._wake()


def _end(client: KazooClient) -> None:
    try:
        client.stop()
    except (KazooException, OSError) as error:
        _log.debug("kazoo did not stop in time: %s", error)
    else:
        client.close()


def _exists(client: KazooClient, path: str, watch: Callable[[object], None] | None) -> Any:
    return client.exists_async(path, watch=watch)


def _get(client: KazooClient, path: str) -> Any:
    return client.get_async(path)


def _children(client: KazooClient, path: str, watch: Callable[[object], None] | None) -> Any:
    return client.get_children_async(path, watch=watch)


def _create_empty(client: KazooClient, path: str) -> Any:
    return client.create_async(path, b"")


def _value(answer: Any) -> Any:
    if isinstance(answer, CoordinationError):
        raise answer
    return answer


def _znode(path: str, data: bytes, stat: ZnodeStat) -> Znode:
    return Znode(path, data, stat.version, stat.czxid, stat.mzxid, stat.ephemeralOwner)


def _checked(version: int) -> int:
    if version < 0:
        raise ValueError(f"version {version} would mean any version")
    return version
