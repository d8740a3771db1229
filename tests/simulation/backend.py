"""One client of the simulated ZooKeeper: what can go wrong, goes wrong.

Requests take time, and while one is under way everybody else goes on: the world is advanced inside the call,
so the real ``Store`` and ``GroupReader`` run on it unchanged. Requests are lost, answers are lost, a write
whose answer never came is done later; followers lag behind; connections break and come back elsewhere.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from rabbitkeeper.coordinator.backend.lease import Lease
from rabbitkeeper.coordinator.backend.node import Create, Delete, Node, Set, TransactionStep
from rabbitkeeper.coordinator.model.errors import (
    AccessDenied,
    CoordinationError,
    NodeExists,
    SessionLost,
    ZooKeeperUnreachable,
)
from simulation.world import Crashed
from simulation.zookeeper import OpenBackend, SimulatedZooKeeper, Tree

REFUSALS = 2  # connections closed without a word until it is asked why
STEP = 0.05  # seconds between two looks at what is waited for

T = TypeVar("T")


class SimulatedBackend(OpenBackend):
    """One client's session with a simulated ZooKeeper: the second implementation of ``Backend``.

    It connects by itself from the moment that it is made; ``start`` waits until it has.

    Attributes:
        link: whether the network between this client and ZooKeeper works.
        suspended: the process stands still (SIGSTOP); so do its heartbeats.
        alive: the process is there.
        trouble: 0 for a network that loses nothing, to 1 for one that loses a tenth of everything.
        slow: seconds that each answer takes longer.
        read_only: this client may write nothing, as after a change of ACLs.
    """

    def __init__(self, zookeeper: SimulatedZooKeeper, timeout: float, wake: Callable[[], None]) -> None:
        self.zookeeper = zookeeper
        self.world = zookeeper.world
        self.timeout = timeout
        self.link = True
        self.suspended = False
        self.alive = True
        self.trouble = 0.0
        self.slow = 0.0
        self.read_only = False
        self.connected = False
        self.closed = False
        self.connections = 0
        self.connected_since: float | None = None
        self.disconnected_since: float | None = 0.0
        self.session_id = 0
        self.generation = 0
        self.established_at: float | None = None
        self.lease = Lease(timeout=0.0)
        self.events = 0
        self._wake = wake
        self._lag = 0.0
        self.rollbacks = 0
        self._highest = 0  # the newest zxid seen, also in earlier sessions
        self._refusals = 0
        self._seen = 0
        self._watched, self._touched = set[str](), set[str]()
        self._renewing = False
        zookeeper.clients.append(self)
        self._connect_later()
        self.world.after(timeout / 3, self._heartbeat)

    # -- the connection

    def notice_break(self) -> None:
        """The connection is gone; the client learns of it now or, when nothing tells it, later."""
        delay = self.world.chance.choice((0.0, 0.0, self.world.chance.uniform(0, self.timeout / 3)))
        connection = self.connections
        self.world.after(delay, lambda: self._drop(connection))

    def start(self, timeout: float = 10.0) -> None:
        deadline = self.world.now + timeout
        if self.closed:
            self.closed = False
            self._connect_later()
        while not self.connected and self.world.now < deadline:
            self._pass(self.world.now + STEP)
        if not self.connected:
            self.close()
            raise ZooKeeperUnreachable(f"no server answered within {timeout:g} s")
        self.sync(timeout=max(0.0, deadline - self.world.now))
        self.lease = self.lease.answered(self.world.now)

    def await_event(self, seen: int, timeout: float) -> bool:
        deadline = self.world.now + timeout
        while self.events == seen and self.world.now < deadline:
            self._pass(min(deadline, self.world.now + STEP))
        return self.events != seen

    def close(self) -> None:
        if self.session_id and self.connected and self.zookeeper.up and self.link:
            self.zookeeper.end(self.session_id)
        self.closed, self.connected = True, False
        self.connected_since, self.disconnected_since = None, self.world.now
        self.session_id, self.established_at, self.lease = 0, None, Lease(timeout=0.0)

    def _drop(self, connection: int) -> None:
        if self.connected and connection == self.connections:
            self.connected = False
            self.connected_since = None
            self.disconnected_since = self.world.now
            self._watched.clear()
            self._renewing = False
            self._tell()
            self._connect_later()

    def _connect_later(self) -> None:
        self.world.after(self.world.chance.uniform(0.01, 0.6), self._connect)

    def _connect(self) -> None:
        if not self.alive or self.connected or self.closed:
            return
        if self.suspended or not (self.link and self.zookeeper.up):
            self._connect_later()
            return
        if self.session_id and self._seen > self.zookeeper.zxid:  # refused without a word
            self._refusals += 1
            if self._refusals > REFUSALS:
                self._refusals, self._highest = 0, self.zookeeper.zxid
                self.rollbacks += 1
                self._lose()
            self._connect_later()
            return
        server = self.zookeeper.sessions.get(self.session_id)
        if server is None:
            if self.session_id:  # the answer to the attempt is that the session has expired
                self._lose()
                self._connect_later()
                return
            server = self.zookeeper.open(self.timeout)
            self.session_id = server.number
            self.generation += 1
            self.established_at = self.world.now
            self.lease = Lease(self.timeout, self.timeout / 6)
        server.in_flight.clear()  # a session that has moved refuses what comes over the old connection
        server.expires = self.world.now + self.timeout
        self.connections += 1
        server.connection = self.connections
        self.connected = True
        self.connected_since = self.world.now
        self.disconnected_since = None
        self._lag = self.world.chance.choice(self.zookeeper.lags)
        self._tell()

    def _lose(self) -> None:
        self.session_id = 0
        self.established_at = None
        self.lease = Lease(timeout=0.0)
        self._highest = max(self._highest, self._seen)
        self._seen = 0
        self._tell()

    def _heartbeat(self) -> None:
        if self.alive:
            if self.connected and self.link and self.zookeeper.up and not self.suspended:
                server = self.zookeeper.sessions.get(self.session_id)
                if server is None:
                    self._drop(self.connections)
                else:
                    server.expires = self.world.now + self.timeout
            elif self.connected and not self.suspended:
                self._drop(self.connections)
            self.world.after(self.timeout / 3, self._heartbeat)

    def _tell(self) -> None:
        self.events += 1
        self._wake()

    def notice_change(self, changed: set[str]) -> None:
        seen = changed & self._watched
        if self.connected and self.link and seen:
            self._watched -= changed
            self.world.after(self._lag + self._latency(), lambda: self._fire(seen))

    def _fire(self, paths: Iterable[str]) -> None:
        self._touched.update(paths)
        self._tell()

    # -- the lease

    def renew(self) -> None:
        if not self.connected or self._renewing:
            return
        sent, generation, connection = self.world.now, self.generation, self.connections
        self._renewing = True

        def arrive() -> None:
            server = self.zookeeper.sessions.get(self.session_id)
            if self._reaches(connection) and server is not None and generation == self.generation:
                server.expires = self.world.now + self.timeout
                self.world.after(self._latency_of_renewal(), answer)

        def answer() -> None:
            if connection == self.connections:
                self._renewing = False
            if generation == self.generation and self.session_id:
                before = self.lease.valid(self.world.now)
                self.lease = self.lease.answered(sent)
                if not before:
                    self._tell()

        self.world.after(self._latency_of_renewal(), arrive)

    def _latency_of_renewal(self) -> float:
        """Answers come in the order of the requests: what is sent later does not overtake a slow one."""
        return 0.0005 + self.slow / 2 if self.slow else self._latency()

    # -- requests

    def _latency(self) -> float:
        chance = self.world.chance
        return chance.choice((0.001, 0.002, 0.005, chance.uniform(0, 0.3) * self.trouble)) + self.slow / 2

    def _reaches(self, connection: int) -> bool:
        return self.link and self.zookeeper.up and self.connected and connection == self.connections

    def _pass(self, until: float) -> None:
        """Time goes by inside a call; a suspended process goes on when it is told to, a dead one never."""
        self.world.advance(until)
        while self.suspended and self.alive:
            self.world.advance(self.world.now + 0.1)
        if not self.alive:
            raise Crashed

    def _request(
        self,
        do: Callable[[], T],
        *,
        write: bool = False,
        timeout: float = 2.0,
        in_session: int | None = None,
    ) -> T:
        if in_session is not None and in_session != self.session_id:
            raise SessionLost("the session is no more")
        if not self.connected:
            raise ZooKeeperUnreachable("not connected")
        if 2 * self._latency() > timeout:
            self._pass(self.world.now + timeout)
            raise ZooKeeperUnreachable("not answered in time")
        if write and self.read_only:
            self._pass(self.world.now + 2 * self._latency())
            raise AccessDenied("the node's ACL does not allow this")
        chance, number, connection = self.world.chance, self.session_id, self.connections
        if not self._reaches(connection) or chance.random() < 0.05 * self.trouble:
            server = self.zookeeper.sessions.get(number)
            if write and server is not None and chance.random() < 0.7:
                server.in_flight.append(do)
                self.world.after(chance.uniform(0, 4), lambda: self._flush(number, connection))
            self._pass(self.world.now + timeout)
            self._drop(connection)
            raise ZooKeeperUnreachable("not answered in time")
        self._pass(self.world.now + self._latency())
        if not self._reaches(connection):
            self._drop(connection)
            raise ZooKeeperUnreachable("the connection broke")
        if number not in self.zookeeper.sessions:
            self._drop(connection)
            raise ZooKeeperUnreachable("the connection broke, since the session has expired")
        self._flush(number, connection)
        self.zookeeper.sessions[number].expires = self.world.now + self.timeout
        answer: T | CoordinationError
        try:
            answer = do()
        except CoordinationError as error:
            answer = error
        if write:
            self._seen = self.zookeeper.zxid
        if chance.random() < 0.05 * self.trouble:
            self._drop(connection)
            raise ZooKeeperUnreachable("the answer was lost")
        self._pass(self.world.now + self._latency())
        if connection != self.connections or not self.connected:
            raise ZooKeeperUnreachable("the connection broke")
        if isinstance(answer, CoordinationError):
            raise answer
        return answer

    def _flush(self, number: int, connection: int) -> None:
        server = self.zookeeper.sessions.get(number)
        if server is None or server.connection != connection or not self.zookeeper.up:
            return
        waiting, server.in_flight = server.in_flight, []
        for do in waiting:
            with suppress(CoordinationError):  # nobody hears it any more
                do()

    def _visible(self) -> Tree:
        """The tree of a follower that lags behind, but not behind what this session has seen."""
        best = self.zookeeper.past[-1]
        for entry in self.zookeeper.past:
            if entry[1] >= self._seen and entry[0] >= self.world.now - self._lag:
                best = entry
                break
        _, self._seen, tree = self.world.chance.choice((best, self.zookeeper.past[-1]))
        return tree

    def _watch(self, paths: Sequence[str], seen: int) -> None:
        self._watched.update(paths)
        if seen != self.zookeeper.zxid:  # what has changed since comes to this follower, and is told
            self.world.after(self._lag + self._latency(), lambda: self._fire(paths))

    # -- nodes

    def read(
        self, paths: Sequence[str], *, watch: bool = False, timeout: float = 2.0
    ) -> dict[str, Node | None]:
        def do() -> dict[str, Node | None]:
            found = {path: self._visible().get(path) for path in paths}
            if watch:
                self._watch(paths, self._seen)
            return found

        return self._request(do, timeout=timeout)

    def stat(self, path: str, *, watch: bool = False, timeout: float = 2.0) -> Node | None:
        znode = self.read([path], watch=watch, timeout=timeout)[path]
        return None if znode is None else replace(znode, data=b"")

    def children(self, path: str, *, watch: bool = False, timeout: float = 2.0) -> tuple[str, ...] | None:
        def do() -> tuple[str, ...] | None:
            tree = self._visible()
            if watch and path in tree:
                self._watch([path], self._seen)
            if path not in tree:
                return None
            return tuple(sorted(name for one in tree if (name := _child(path, one))))

        return self._request(do, timeout=timeout)

    def sync(self, path: str = "/", *, timeout: float = 2.0) -> None:
        def do() -> None:
            self._seen = self.zookeeper.zxid
            self.rollbacks += self._seen < self._highest
            self._highest = self._seen

        self._request(do, timeout=timeout)

    def create(
        self,
        path: str,
        data: bytes,
        *,
        ephemeral: bool = False,
        timeout: float = 2.0,
        in_session: int | None = None,
    ) -> Node:
        return self._write_one(Create(path, data, ephemeral), timeout, in_session)

    def set(
        self, path: str, data: bytes, version: int, *, timeout: float = 2.0, in_session: int | None = None
    ) -> Node:
        return self._write_one(Set(path, data, version), timeout, in_session)

    def delete(self, path: str, version: int, *, timeout: float = 2.0, in_session: int | None = None) -> None:
        self._write([Delete(path, version)], timeout, in_session)

    def transaction(
        self, steps: Sequence[TransactionStep], *, timeout: float = 2.0, in_session: int | None = None
    ) -> None:
        self._write(steps, timeout, in_session)

    def ensure_path(self, path: str, *, timeout: float = 2.0) -> None:
        parts = path.strip("/").split("/")
        for length in range(len(parts)):
            with suppress(NodeExists):
                self._write([Create("/" + "/".join(parts[: length + 1]), b"")], timeout, None)

    def _write_one(self, step: Create | Set, timeout: float, in_session: int | None) -> Node:
        return self._write([step], timeout, in_session)[step.path]

    def _write(self, steps: Sequence[TransactionStep], timeout: float, in_session: int | None) -> Tree:
        for step in steps:
            if not isinstance(step, Create) and step.version < 0:
                raise ValueError(f"version {step.version} would mean any version")
        number = self.session_id

        def do() -> Tree:
            self.zookeeper.apply(steps, number)
            return self.zookeeper.tree

        return self._request(do, write=True, timeout=timeout, in_session=in_session)


def _child(parent: str, path: str) -> str | None:
    rest = path.removeprefix(parent + "/") if path.startswith(parent + "/") else ""
    return rest if rest and "/" not in rest else None
