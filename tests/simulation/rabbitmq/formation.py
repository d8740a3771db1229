"""RabbitMQ nodes that form a cluster, and the record of it, cut off at any point: a model."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rabbitkeeper.agent.health.majority_canary import QUEUE
from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus, Inconsistent, NodeNotRunning
from rabbitkeeper.agent.rabbitmq.definitions import Definitions, Entry
from rabbitkeeper.coordinator.model.errors import Conflict
from rabbitkeeper.coordinator.model.records import ClusterRecord
from rabbitkeeper.coordinator.model.view import ClusterView


class CutOff(Exception):
    """The agent was killed here."""


@dataclass
class Database:
    """What a cluster holds, shared by its members."""

    definitions: dict[str, list[Entry]] = field(
        default_factory=lambda: {
            "vhosts": [{"name": "/"}],
            "users": [{"name": "keeper"}],
            "permissions": [],
            "queues": [],
        }
    )
    members: set[str] = field(default_factory=set)
    replicas: set[str] = field(default_factory=set)


@dataclass
class Rabbits:
    """Some RabbitMQ nodes, and what they believe."""

    database: dict[str, Database] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    destroyed: list[str] = field(default_factory=list)
    cut_off_in: Callable[[], bool] = lambda: False  # asked before and after each effect
    versions: dict[str, str] = field(default_factory=dict)

    def add(self, node: str, queues: tuple[str, ...] = ()) -> None:
        own = Database(members={node}, replicas={node})
        own.definitions["queues"] = [{"name": queue, "vhost": "/"} for queue in queues]
        self.database[node] = own

    def cut_off_after(self, points: int) -> None:
        passed = itertools.count()
        self.cut_off_in = lambda: next(passed) >= points

    def point(self) -> None:
        if self.cut_off_in():
            raise CutOff


class FakeCtl:
    def __init__(self, rabbits: Rabbits, node: str) -> None:
        self.rabbits = rabbits
        self.node = node
        self.asked: list[str] = []

    @property
    def own(self) -> Database:
        return self.rabbits.database[self.node]

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        self.rabbits.point()

    def answers(self, node: str) -> bool:
        self._ask(f"answers {node}")
        return node not in self.rabbits.down

    def cluster_status(self) -> ClusterStatus:
        self._ask("status")
        members = frozenset(self.own.members)
        return ClusterStatus(members, members - self.rabbits.down, self.rabbits.versions)

    def definitions(self) -> Definitions:
        self._ask("definitions")
        return {key: list(value) for key, value in self.own.definitions.items()}

    def import_definitions(self, definitions: Definitions) -> None:
        self._ask("import")
        for kind, entries in definitions.items():
            self.own.definitions[kind] += entries
        self.rabbits.point()

    @contextmanager
    def app_stopped(self) -> Iterator[None]:
        self._ask("stop_app")
        yield
        self._ask("start_app")

    def join_cluster(self, other: str) -> None:
        self._ask(f"join {other}")
        if other in self.rabbits.down:
            raise NodeNotRunning(f"{other} is down")
        theirs = self.rabbits.database[other]
        if theirs is self.own:
            return
        if self.node in theirs.members:
            raise Inconsistent(f"{other} thinks that {self.node} is a member")
        if self.own.definitions["queues"]:
            self.rabbits.destroyed.append(self.node)
        theirs.members.add(self.node)
        self.rabbits.point()  # the cluster has us, and we do not know
        self.rabbits.database[self.node] = theirs
        self.rabbits.point()

    def forget_cluster_node(self, other: str, *, node: str) -> None:
        self._ask(f"forget {other}")
        self.rabbits.database[node].members.discard(other)

    def shrink(self, gone: str) -> None:
        self._ask(f"shrink {gone}")
        self.own.replicas.discard(gone)
        self.rabbits.point()

    def grow(self, member: str, vhost: str, queues: Sequence[str]) -> None:
        assert queues == [QUEUE]
        self._ask("grow")
        self.own.replicas.add(member)
        self.rabbits.point()


class FakeStore:
    """One group's ``cluster`` and ``formation`` znodes."""

    def __init__(self, rabbits: Rabbits) -> None:
        self.rabbits = rabbits
        self.view: ClusterView | None = None
        self.holder: str | None = None
        self.lose_lock = False
        self.interfere: list[ClusterRecord] = []  # written by others just before our next write

    def cluster(self) -> ClusterView | None:
        self.rabbits.point()
        return self.view

    def write_cluster(self, record: ClusterRecord, version: int | None) -> ClusterView:
        self.rabbits.point()
        if self.interfere:
            there = -1 if self.view is None else self.view.version
            self.view = ClusterView(self.interfere.pop(0), there + 1)
        if version != (None if self.view is None else self.view.version):
            raise Conflict("changed")
        self.view = ClusterView(record, 0 if version is None else version + 1)
        self.rabbits.point()
        return self.view

    @contextmanager
    def formation_lock(self, holder: str, timeout: float) -> Iterator["FakeStore"]:
        assert self.holder is None
        self.holder = holder
        try:
            yield self
        finally:
            self.holder = None

    def held(self) -> bool:
        return self.holder is not None and not self.lose_lock
