"""Agents in virtual time: the real store and the real decision, in a loop as short as can be."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from rabbitkeeper.coordinator.backend.node import Node
from rabbitkeeper.coordinator.model.errors import CoordinationError
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import (
    GroupConfig,
    HistoryEntry,
    LeaderRecord,
    MemberRecord,
    MemberStatus,
    PauseRecord,
    Tags,
    Versions,
)
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.policy.election import Action, Decision, ElectionTiming, MemberState, decide
from rabbitkeeper.coordinator.store.store import Store
from simulation.backend import SimulatedBackend
from simulation.world import Crashed, World
from simulation.zookeeper import SimulatedZooKeeper, Tree

GROUP = "orders"
TIMEOUT = 6.0  # seconds, of a session
PERIOD = 0.5  # seconds between two turns of a loop that nothing wakes
TIMING = ElectionTiming()


class Agent:
    def __init__(self, group: "Group", name: str, tags: Tags) -> None:
        self.group = group
        self.world = group.world
        self.name = name
        self.tags = tags
        self.status = MemberStatus.RUNNING
        self.mute = False  # says that its broker runs, but no majority confirms when it campaigns
        self.runs = 0
        self.decision: Decision | None = None
        # The epoch that it would tell whoever asks that it leads in, and the session that this is true of.
        self.believes: tuple[int, int] | None = None
        self.start()

    def start(self) -> None:
        self.runs += 1
        self.instance = f"{self.name}-{self.runs}"
        self.session = SimulatedBackend(self.group.zookeeper, TIMEOUT, self._woken)
        self.session.trouble = self.group.trouble
        self.store = Store(self.session, GROUP, clock=lambda: self.world.now)
        self.view: GroupView | None = None
        self.vacant_since: float | None = None
        self.failed_at: float | None = None
        self.created = False
        self.believes = None
        self._busy = self._again = False
        run = self.runs
        self.world.after(self.world.chance.uniform(0, PERIOD), lambda: self._turn(run, periodic=True))

    @property
    def alive(self) -> bool:
        return self.session.alive

    @property
    def leads(self) -> int | None:
        """The epoch in which this agent, asked now, says that it leads."""
        if self.believes is None or not self.alive or not self.session.lease.valid(self.world.now):
            return None
        epoch, session = self.believes
        return epoch if session == self.session.session_id else None

    def crash(self) -> None:
        self.session.alive = False
        self.believes = None

    def record(self) -> MemberRecord:
        return MemberRecord(
            name=self.name,
            instance=self.instance,
            node=f"rabbit@{self.name}",
            versions=Versions(agent="1"),
            amqp=f"{self.name}:5672",
            state=self.status,
            since="",
            tags=self.tags,
        )

    def state(self) -> MemberState:
        session = self.session
        return MemberState(
            name=self.name,
            instance=self.instance,
            session=session.session_id,
            status=self.status,
            reasons=(),
            status_since=0.0,
            connected=session.connected,
            lease_valid=session.lease.valid(self.world.now),
            session_established_at=session.established_at,
            disconnected_since=session.disconnected_since,
            registered=self.store.registered,
            tags=self.tags,
            vacant_since=self.vacant_since,
            campaign_failed_at=self.failed_at,
            connected_since=session.connected_since,
        )

    def _woken(self) -> None:
        run = self.runs
        self.world.after(0.0, lambda: self._turn(run))

    def _turn(self, run: int, periodic: bool = False) -> None:
        if run != self.runs or not self.alive:
            return
        if periodic:
            pause = PERIOD * self.world.chance.uniform(0.5, 1.2)
            self.world.after(pause, lambda: self._turn(run, periodic=True))
        if self._busy or self.session.suspended:
            self._again = True
            return
        self._busy, self._again = True, False
        try:
            self._loop()
        except Crashed:
            return
        finally:
            self._busy = False
        if self._again:
            self._woken()

    def _loop(self) -> None:
        self.session.renew()
        with suppress(CoordinationError):  # then the decision is made on what was known
            self._look()
        decision = self.decision = decide(self.view, self.state(), self.world.now, TIMING)
        if decision.wait_until is not None:
            run = self.runs
            self.world.at(decision.wait_until, lambda: self._turn(run))
        if decision.action is not Action.LEAD and decision.action is not Action.HOLD:
            self.believes = None
        try:
            self._act(decision)
        except CoordinationError:
            self.failed_at = self.world.now

    def _look(self) -> None:
        if not self.session.connected:
            return
        if not self.created:
            self.store.create_group(GroupConfig())
            self.created = True
        if self.store.registered:
            self.store.update(self.record())
        else:
            self.store.register(self.record())
        self.view = self.store.snapshot()
        if self.view.leader is not None:
            self.vacant_since = None
        elif self.vacant_since is None:
            self.vacant_since = self.world.now

    def _act(self, decision: Decision) -> None:
        view = self.view
        if decision.action is Action.LEAD:
            assert view is not None
            assert view.leader is not None
            self.believes = (view.leader.epoch, view.leader.owner)
        elif decision.action is Action.RESIGN:
            assert view is not None
            assert view.leader is not None
            self.view = None
            self.store.resign(view.leader, self.record())
        elif decision.action is Action.CAMPAIGN:
            assert view is not None
            self.group.campaigned(self, view)
            if self.mute:
                self.failed_at = self.world.now
                return
            self.view = None
            record = LeaderRecord(
                name=self.name,
                instance=self.instance,
                node=f"rabbit@{self.name}",
                amqp=f"{self.name}:5672",
                since="",
                cause=decision.cause or "",
            )
            previous = view.last_change.to if view.last_change else None
            session = self.session.session_id
            epoch = self.store.take_lead(record)
            self.believes = (epoch, session)
            self.group.took(self, epoch)
            entry = HistoryEntry(
                epoch=epoch,
                previous=previous,
                to=self.name,
                node=record.node,
                cause=record.cause,
                by=self.name,
                at="",
            )
            self.store.append_history(entry)


@dataclass
class Group:
    """Some agents and one ZooKeeper; checks at every moment what must hold at every moment."""

    seed: int
    tags: dict[str, Tags]
    trouble: float = 0.0
    agents: dict[str, Agent] = field(default_factory=dict)
    changes: list[tuple[float, str, int]] = field(default_factory=list)  # time, member, epoch

    def __post_init__(self) -> None:
        self.world = World(self.seed)
        self.zookeeper = SimulatedZooKeeper(self.world)
        self.paths = GroupPaths(GROUP)
        self.zookeeper.on_commit = self._committed
        self.world.after_each = self._check
        self.owners: dict[int, str] = {}
        for name, tags in self.tags.items():
            self.agents[name] = Agent(self, name, tags)

    # -- what people and the world do

    def run(self, seconds: float) -> None:
        self.world.advance(self.world.now + seconds)

    def pause(self) -> None:
        if self.paths.root in self.zookeeper.tree and not self.paused:
            record = PauseRecord(by="operator", since="")
            self.zookeeper.commit(
                self.zookeeper.tree
                | {
                    self.paths.pause: Node(
                        self.paths.pause,
                        record.to_bytes(),
                        0,
                        self.zookeeper.zxid + 1,
                        self.zookeeper.zxid + 1,
                        0,
                    )
                },
                0,
            )

    def resume(self) -> None:
        tree = self.zookeeper.tree
        self.zookeeper.commit({path: znode for path, znode in tree.items() if path != self.paths.pause}, 0)

    def heal(self) -> None:
        """Everything works again, save crashed agents and sick brokers; nothing is lost any more."""
        self.trouble = 0.0
        if not self.zookeeper.up:
            self.zookeeper.start()
        self.resume()
        for agent in self.agents.values():
            agent.session.link = True
            agent.session.suspended = False
            agent.session.trouble = 0.0

    # -- what is seen

    @property
    def paused(self) -> bool:
        return self.paths.pause in self.zookeeper.tree

    @property
    def leader(self) -> Agent | None:
        """The live agent whose session holds the lead in ZooKeeper."""
        znode = self.zookeeper.tree.get(self.paths.leader)
        for agent in self.agents.values():
            if znode is not None and agent.alive and agent.session.session_id == znode.owner:
                return agent
        return None

    def candidates(self) -> list[Agent]:
        return [
            agent
            for agent in self.agents.values()
            if agent.alive
            and agent.status is MemberStatus.RUNNING
            and not agent.tags.no_failover
            and not agent.mute
        ]

    def run_until(self, condition: Callable[[], bool], within: float) -> bool:
        deadline = self.world.now + within
        while not condition():
            if self.world.now >= deadline:
                return False
            self.run(0.05)
        return True

    # -- what must hold

    def campaigned(self, agent: Agent, view: GroupView) -> None:
        assert view.pause is None, f"{agent.name} campaigns in a paused group"
        assert not agent.tags.no_failover, f"{agent.name} campaigns against its tag"

    def took(self, agent: Agent, epoch: int) -> None:
        self.changes.append((self.world.now, agent.name, epoch))

    def _committed(self, before: Tree, after: Tree, session: int) -> None:
        old, new = before.get(self.paths.leader), after.get(self.paths.leader)
        if old is not None and (new is None or new.created != old.created) and session:
            assert session == old.owner, "a leader was deleted by another session than its own"
        if new is not None and (old is None or new.created != old.created):
            record = LeaderRecord.from_bytes(new.path, new.data)
            assert new.created not in self.owners, "two leaders in one epoch"
            assert all(epoch < new.created for epoch in self.owners), "the epoch went back"
            self.owners[new.created] = record.name

    def _check(self) -> None:
        leading = {agent.name: agent.leads for agent in self.agents.values() if agent.leads is not None}
        assert len(leading) <= 1, f"at {self.world.now:.3f} s more than one says that it leads: {leading}"


__all__ = ["GROUP", "TIMEOUT", "TIMING", "Agent", "Group", "replace"]
