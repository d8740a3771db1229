"""A ZooKeeper in virtual time: its tree, its sessions, and what its servers have shown when.

A server can be stopped, suspended and started again; sessions expire by the server's clock; followers lag
behind (``SimulatedBackend`` reads from what they have).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from rabbitkeeper.coordinator.backend.access import BackendAccess
from rabbitkeeper.coordinator.backend.node import Create, Delete, Node, Set, TransactionStep
from rabbitkeeper.coordinator.model.errors import ConfigurationError, Conflict, NodeExists, NoNode
from rabbitkeeper.coordinator.model.permissions import EVERYBODY, Permissions
from simulation.world import World

RESTORED_TIMEOUT = 6.0  # seconds, of sessions that come back with a backup
TICK = 0.25  # seconds between two looks for expired sessions
Tree = dict[str, Node]


class Client(Protocol):
    """What the server tells those who are connected to it."""

    def notice_break(self) -> None: ...

    def notice_change(self, changed: set[str]) -> None: ...


@dataclass
class ServerSession:
    number: int
    timeout: float
    expires: float
    connection: int = 0
    in_flight: list[Callable[[], object]] = field(default_factory=list)


class SimulatedZooKeeper:
    def __init__(self, world: World) -> None:
        self.world = world
        self.up = True
        # Seconds by which the server that one connects to can be behind.
        self.lags: tuple[float, ...] = (0.0, 0.0, 0.05, 0.3)
        self.zxid = 1
        self.tree: Tree = {"/": Node("/", b"", 0, 1, 1, 0)}
        self.past: list[tuple[float, int, Tree]] = [(0.0, 1, self.tree)]
        self.sessions: dict[int, ServerSession] = {}
        self.clients: list[Client] = []
        self.on_commit: Callable[[Tree, Tree, int], None] = lambda before, after, session: None
        self._numbers = 100
        world.after(TICK, self._look_for_expired)

    def open(self, timeout: float) -> ServerSession:
        self._numbers += 1
        session = ServerSession(self._numbers, timeout, self.world.now + timeout)
        self.sessions[session.number] = session
        return session

    def stop(self) -> None:
        self.up = False
        for client in self.clients:
            client.notice_break()

    def start(self, lost: Callable[[int], bool] = lambda number: False) -> None:
        """Serve again.

        Args:
            lost: whether a session whose time is over is ended, as by a server that had been suspended; one
                that was stopped and started gives every session its full time again.
        """
        self.up = True
        for session in list(self.sessions.values()):
            if session.expires <= self.world.now and lost(session.number):
                self.end(session.number)
            else:
                session.expires = self.world.now + session.timeout

    def by_hand(self, path: str, data: bytes | None) -> None:
        """Somebody writes a node with a plain client, or (None) deletes it and what is below it."""
        tree, there = dict(self.tree), self.tree.get(path)
        if data is None:
            for each in [each for each in tree if each == path or each.startswith(path + "/")]:
                del tree[each]
        elif there is not None:
            tree[path] = replace(there, data=data, version=there.version + 1, modified=self.zxid + 1)
        self.commit(tree, 0)

    def restore(self, backup: Tree, zxid: int) -> None:
        """Its data are those of a backup now, as after a restart."""
        self.stop()
        self.tree, self.zxid = dict(backup), zxid
        self.past = [(self.world.now, zxid, self.tree)]
        self.sessions = {}
        owners = {node.owner for node in backup.values() if node.owner}
        for number in owners:  # of these the backup knows, and gives them their time
            self.sessions[number] = ServerSession(number, RESTORED_TIMEOUT, self.world.now + RESTORED_TIMEOUT)
        self.up = True

    def wipe(self) -> None:
        """Its data are deleted."""
        self.restore({"/": Node("/", b"", 0, 1, 1, 0)}, 1)

    def end(self, number: int) -> None:
        """The session ends; all its ephemerals go in one transaction."""
        if self.sessions.pop(number, None) is not None:
            self.commit({path: znode for path, znode in self.tree.items() if znode.owner != number}, 0)

    def apply(self, operations: Sequence[TransactionStep], session: int) -> None:
        """All or nothing."""
        tree, zxid = dict(self.tree), self.zxid + 1
        for operation in operations:
            path = operation.path
            there = tree.get(path)
            match operation:
                case Create(_, data, ephemeral):
                    if there is not None:
                        raise NodeExists(f"{path} exists", path)
                    if parent_of(path) not in tree:
                        raise NoNode(f"{parent_of(path)} does not exist", path)
                    tree[path] = Node(path, data, 0, zxid, zxid, session if ephemeral else 0)
                    continue
            if there is None:
                raise NoNode(f"{path} does not exist", path)
            if there.version != operation.version:
                raise Conflict(f"{path} has another version", path)
            if isinstance(operation, Set):
                tree[path] = replace(there, data=operation.data, version=there.version + 1, modified=zxid)
            elif isinstance(operation, Delete):
                del tree[path]
        self.commit(tree, session)

    def commit(self, tree: Tree, session: int) -> None:
        before, self.tree = self.tree, tree
        if before == tree:
            return
        self.zxid += 1
        self.past.append((self.world.now, self.zxid, tree))
        del self.past[:-200]
        self.on_commit(before, tree, session)
        changed = {path for path in before.keys() | tree.keys() if before.get(path) != tree.get(path)}
        changed |= {parent_of(path) for path in before.keys() ^ tree.keys()}
        for client in self.clients:
            client.notice_change(changed)

    def _look_for_expired(self) -> None:
        if self.up:
            for session in list(self.sessions.values()):
                if session.expires <= self.world.now:
                    self.end(session.number)
        self.world.after(TICK, self._look_for_expired)


def parent_of(path: str) -> str:
    """The path above."""
    return path.rpartition("/")[0] or "/"


class OpenBackend:
    """What a client says whose ZooKeeper has one address and keeps nobody out. It holds no nodes."""

    hosts = "simulated:2181"
    _touched: set[str]

    def touched(self) -> frozenset[str]:
        touched, self._touched = frozenset(self._touched), set()
        return touched

    def stat(self, path: str, *, watch: bool = False, timeout: float = 2.0) -> Node | None:
        raise NotImplementedError

    def move(self, hosts: str) -> None:
        """There is one ZooKeeper here, whatever it is called."""

    def adapt(self, access: BackendAccess) -> None:
        """Nobody is anybody in particular here."""

    def permissions(self, path: str, *, timeout: float = 2.0) -> Permissions | None:
        there = self.stat(path, timeout=timeout) is not None
        return Permissions((EVERYBODY,), (EVERYBODY,), own=False) if there else None

    def permit(
        self, path: str, writers: Sequence[str], readers: Sequence[str], *, timeout: float = 2.0
    ) -> None:
        raise ConfigurationError("nobody can be kept out here")

    def adopt_acl(self, path: str, *, timeout: float = 2.0) -> None:
        """Everybody may read everything here."""
