"""One broker in virtual time: its process and driver, and what its agent's probe sees of it.

What it is to the other nodes is in ``cluster.py``, what its command-line tools do in ``tools.py``. It
outlives its agent. What must never be done to a broker is checked here, at the moment that it is done.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

from rabbitkeeper.agent.broker.drivers import BrokerProcess
from rabbitkeeper.agent.health.majority_request import MajorityRequest, MajorityResult
from rabbitkeeper.agent.model.observation import ConnectFailure, ConnectionFacts, NodeState
from simulation.rabbitmq.cluster import Database, SimulatedCluster
from simulation.rabbitmq.feeding import Feeding
from simulation.world import World

BOOT = 8.0  # seconds
HUNG_AFTER = 2.0
WAIT = 1.0  # seconds between two looks of a booting node for its cluster's tables
REFUSED = ConnectionFacts(failures=1, failure=ConnectFailure.REFUSED, error="cannot connect")


class BrokerGroup(Protocol):
    """The brokers of a group, and what is noted of them."""

    rabbits: SimulatedCluster
    leaderless: bool

    @property
    def replica_nodes(self) -> frozenset[str]:
        """Who has a replica of the canary's queue."""

    def note(self, member: str, what: str) -> None: ...

    def taken_down(self, member: str, how: str) -> None:
        """Its agent is about to take a broker down: an assertion fails if it must not."""


class SimulatedBroker:
    """A broker's process, its driver, and the probe's view of it.

    Attributes:
        hung: it stands still, as by SIGSTOP, or with its host.
        up: it has booted.
        refuses: why its listeners are closed, if they are.
        cut_off: from the other brokers, not from clients or ZooKeeper.
        busy: it accepts no new connection in time; those that there are work.
        alarm: of its own, which blocks publishers on all nodes; None: none.
        broken: ends a second after its start.
        slow: seconds that its next boots take.
        disk: what it has, shared with its cluster.
        peers: the nodes that it counts as running.
        partitions: those that it believes itself split from.
        split: what will become of it, between its finding out that it was dropped and its doing something.
        resumes: it sees a majority after its pause, and starts again.
        serves_nobody: it is split, and answers no client until its process is started again.
        stuck: it does, and waits for its tables in vain.
        apart_until: until when its database has not found the others', though it will.
        mute: its tools find no node, though it works, until its process has ended.
        denies: it refuses every login, until its process has ended.
        feeding: what its canary's consumer gets.
        retries: it tries to reach nodes that are gone before it pauses, and answers nobody meanwhile.
    """

    name = "process"
    can_start = True
    can_stop = True
    can_kill = True

    def __init__(self, world: World, group: BrokerGroup, member: str, node: str) -> None:
        self.world = world
        self.group = group
        self.member = member
        self.node = node
        self.pid: int | None = None
        self.hung = False
        self.hung_since: float | None = None
        self.up = False
        self.ill_since = 0.0  # when it was last well, or later
        self.refuses: NodeState | None = None
        self.busy = False
        self.alarm: str | None = None
        self.broken = False
        self.slow = BOOT
        self.disk = Database({node})
        self.peers: set[str] = set()
        self.partitions: set[str] = set()
        self.split: bool | None = None
        self.retries = self.mute = self.denies = False
        self.feeding = Feeding(node)
        self.resumes = self.serves_nobody = False
        self.stuck = False
        self.apart_until = 0.0
        self.facts = REFUSED
        self.exited: str | None = None
        self.wake: Callable[[], None] = lambda: None
        self._apart = False
        self._awaited: set[str] = set()  # nodes that ran when it ended, whose tables are newer
        self._heard_at: float | None = None  # when this agent's probe was let in
        self._pids = 0
        group.rabbits.nodes.setdefault(node, self)

    @property
    def well(self) -> bool:
        return self.listens and not (self.hung or self.retries or self.denies)

    @property
    def listens(self) -> bool:
        """Whether its listeners are open; they stay so when it stands still."""
        return self.up and self.refuses is None

    @property
    def cut_off(self) -> bool:
        others = self.disk.members - {self.node}
        return bool(others) and all(frozenset((self.node, one)) in self.group.rabbits.cuts for one in others)

    @cut_off.setter
    def cut_off(self, cut: bool) -> None:
        if cut:
            self.group.rabbits.cut(self.node, self.group.rabbits.nodes)
        else:
            self.group.rabbits.heal(self.node)

    # the driver

    def observe(self) -> BrokerProcess:
        identity = None if self.pid is None else str(self.pid)
        return BrokerProcess(self.pid is not None, self.pid, None, self.exited, identity=identity)

    def start(self, reason: str = "") -> None:
        assert self.pid is None, "a second broker was started"
        self._pids += 1
        self.pid = pid = self._pids
        self.hung, self.hung_since = False, None
        self.refuses = None
        others = self.disk.members - {self.node}
        there = [node for node in others if self.group.rabbits.answers(node)]
        self._apart = bool(there) and not any(self.group.rabbits.reaches(self.node, one) for one in others)
        if self.broken:
            self.world.after(1.0, lambda: self.die("ended with exit code 1"))
        self.world.after(self.slow, lambda: self._boot(pid))

    def kill(self, reason: str = "") -> None:
        self.group.note(self.member, "kill")
        self.group.taken_down(self.member, "kill")
        self.die("was ended by SIGKILL")

    def stop(self, timeout: float) -> None:
        self.group.note(self.member, "stop")
        self.group.taken_down(self.member, "stop")
        self.die("ended with exit code 0")

    # what happens to it

    def refuse(self, state: NodeState | None) -> None:
        """Close the listeners, the broker's process going on; None: open them again."""
        self.refuses, pid = state, self.pid
        self.ill_since = self.world.now
        if state is not None:
            self.world.after(0.03, lambda: self._see(REFUSED))
        elif pid is not None:
            self.world.after(0.3, lambda: self._connected(pid))

    def pause(self) -> float:
        """As RabbitMQ does it: it answers nobody for some seconds, then its listeners are closed.

        Returns:
            The seconds until then.
        """
        pid, self.refuses = self.pid, NodeState.PAUSED
        self.ill_since, self.retries, self.resumes = self.world.now, False, False
        self.group.note(self.member, "pauses")
        stop = self.world.chance.uniform(*self.group.rabbits.stop)
        self.world.after(stop, lambda: self._paused(pid))
        self.world.after(HUNG_AFTER, lambda: self._silent(pid))
        return stop

    def retry(self, retries: bool) -> None:
        """It begins or ends to try to reach nodes that are gone."""
        self.retries, pid = retries, self.pid
        if retries:
            self.ill_since = self.world.now
            self.world.after(HUNG_AFTER, lambda: self._silent(pid))
        else:
            self.world.after(0.05, lambda: self._answered(pid))

    def go_on_serving(self, pid: int | None) -> None:
        """A paused broker sees a majority again: its application has been started."""
        if self.pid == pid and self.refuses is NodeState.PAUSED and not self.hung:
            self.refuses, self.resumes = None, False
            self.group.rabbits.joined(self.node)
            self.world.after(0.1, lambda: self._connected(pid))

    def give_up_resuming(self, pid: int | None) -> None:
        """Its start after a pause has failed."""
        if self.pid == pid and self.stuck:
            self.resumes = self.stuck = False
            self.refuse(NodeState.STOPPED)

    def die(self, how: str = "was ended by SIGKILL") -> None:
        if self.pid is not None:
            self.ill_since = self.world.now
            self._awaited = {node for node in self.peers if self.group.rabbits.serves(node)}
            self.pid, self.up, self.hung, self.refuses = None, False, False, None
            self.hung_since, self.retries, self.resumes, self.stuck = None, False, False, False
            self.feeding.starves = self.mute = self.denies = self.serves_nobody = False
            self.exited = how
            self.group.rabbits.ended(self.node)
            self.world.after(0.03, lambda: self._see(REFUSED))

    def wipe(self) -> None:
        """Its disk is lost, and it with it."""
        self.die("its disk is gone")
        self.disk, self._awaited = Database({self.node}), set()

    def hang(self) -> None:
        """It stands still until :meth:`go_on`."""
        if self.pid is None or self.hung:
            return
        self.hung, self.hung_since = True, self.world.now
        self.ill_since = self.world.now
        self.group.rabbits.stood_still(self.node)
        pid, since = self.pid, self.world.now

        def notice() -> None:
            if self.hung_since == since:
                self._silent(pid)

        self.world.after(HUNG_AFTER + self.world.chance.uniform(0, 0.5), notice)

    def go_on(self) -> None:
        """It has been hung, and goes on."""
        if not self.hung:
            return
        self.hung, self.hung_since = False, None
        pid = self.pid
        if not self.up and pid is not None:
            self.world.after(1.0, lambda: self._boot(pid))
            return
        self.group.rabbits.resumed(self.node)
        self.world.after(0.05, lambda: self._answered(pid))

    def storm(self, busy: bool) -> None:
        """So many connections at once that no new one is answered in time; or no more."""
        self.busy, pid = busy, self.pid
        if busy and self.facts.blocked is not None:  # asked by new connections meanwhile
            self.world.after(HUNG_AFTER, lambda: self._silent(pid))
        elif not busy:
            self.world.after(0.05, lambda: self._answered(pid))

    def deny(self, denies: bool) -> None:
        """Its store of users has ended with a write that failed; or its agent's password is another one."""
        self.denies, pid = denies, self.pid
        self.ill_since = self.world.now
        self.world.after(0.05, lambda: self._connected(pid))

    def sound_alarm(self, alarm: str | None) -> None:
        """Memory or disk runs out; None: there is enough again."""
        self.alarm = alarm
        self.group.rabbits.tell_alarms()

    # the probe

    def probe_anew(self, wake: Callable[[], None]) -> None:
        """A new agent's probe looks at it."""
        self.wake, self._heard_at = wake, None
        self.facts = REFUSED
        if self.well and self.pid is not None:
            pid = self.pid
            self.world.after(0.02, lambda: self._connected(pid))
        elif self.hung and self.pid is not None:
            self.world.after(HUNG_AFTER, partial(self._silent, self.pid))

    def notice_alarm(self) -> None:
        if self.facts.up_since is None or self.hung:
            return
        blocked = self.group.rabbits.alarm_at(self.node)
        if blocked != self.facts.blocked:
            self._see(replace(self.facts, blocked=blocked, silent=0.0))
            if blocked and self.busy:
                pid = self.pid
                self.world.after(HUNG_AFTER, lambda: self._silent(pid))

    def confirm_majority(self, timeout: float) -> MajorityRequest:
        request = MajorityRequest(lambda request: None)
        started = self.world.now

        def ask() -> None:
            passed = self.world.now - started
            if self.well and self.group.rabbits.confirms(self.node) and not self.group.leaderless:
                self.group.note(self.member, "confirmed")
                self.facts = self.feeding.confirmed(self.facts, self.world.now)
                request.result = MajorityResult(True, passed, 1)
                self.wake()
            elif passed >= timeout:
                request.result = MajorityResult(False, passed, 1, "no majority answers")
                self.wake()
            else:
                self.world.after(0.1, ask)

        self.world.after(self.world.chance.uniform(0.005, 0.3), ask)
        return request

    # inside

    def _boot(self, pid: int) -> None:
        """It has read its disk; its cluster's tables may be newer, and then it waits for them."""
        if self.pid != pid or self.hung:  # a hung one boots on when it goes on
            return
        rabbits = self.group.rabbits
        others = self.disk.members - {self.node}
        serving = any(rabbits.serves(one) and rabbits.reaches(self.node, one) for one in others)
        back = all(rabbits.reaches(self.node, one) for one in self._awaited & set(rabbits.nodes))
        if self._apart or (others and self._awaited and not (serving or back)):
            self.world.after(WAIT, lambda: self._boot(pid))
            return
        self.up, self._awaited = True, set()
        rabbits.joined(self.node)
        self._connected(pid)

    @property
    def state(self) -> NodeState:
        """As the node says itself."""
        if self.refuses is NodeState.PAUSED and self.resumes:
            apart = self.stuck or self.world.now < self.apart_until
            return NodeState.RESUMING_APART if apart and self._finds_some else NodeState.RESUMING
        if self.refuses is not None:
            return self.refuses
        if self.up:
            return NodeState.SERVING
        others = self.disk.members - {self.node}
        if self._apart and any(self.group.rabbits.reaches(self.node, one) for one in others):
            return NodeState.APART
        return NodeState.BOOTING

    @property
    def _finds_some(self) -> bool:
        """Whether it can tell that it reaches one of its cluster's nodes whose database runs."""
        rabbits, others = self.group.rabbits, self.disk.members - {self.node}
        there = any(rabbits.reaches(self.node, one) and rabbits.serves(one) for one in others)
        return there and rabbits.tells

    def _paused(self, pid: int | None) -> None:
        if self.pid == pid and self.refuses is NodeState.PAUSED:
            if self.hung:  # it closes them when it goes on
                self.world.after(WAIT, lambda: self._paused(pid))
            else:
                self._see(REFUSED)

    def _silent(self, pid: int | None) -> None:
        open_yet = self.facts.up_since is not None
        if self.pid != pid or not (self.listens or open_yet):
            return  # who is refused does not wait for an answer
        pausing = self.refuses is NodeState.PAUSED and open_yet
        if self.hung or pausing or self.busy or self.retries:
            self._see(replace(self.facts, silent=HUNG_AFTER))

    def _answered(self, pid: int | None) -> None:
        if self.pid == pid and self.well:
            if self.facts.up_since is None:
                self._connected(pid)
            elif self.facts.silent and not self.busy:
                self._see(replace(self.facts, silent=0.0, blocked=self.group.rabbits.alarm_at(self.node)))

    def _connected(self, pid: int | None) -> None:
        if self.pid != pid or self.hung or not self.up or self.refuses is not None:
            return
        if self.busy:
            silent = ConnectionFacts(
                failures=1, failure=ConnectFailure.SILENT, error="it does not answer", silent=HUNG_AFTER
            )
            self.world.after(HUNG_AFTER, lambda: self._see(silent) if self.busy and self.pid == pid else None)
            self.world.after(1.0, lambda: self._connected(pid))
            return
        now = self.world.now
        if self.denies:
            denied = ConnectionFacts(failures=1, failure=ConnectFailure.DENIED, error="access refused")
            self._see(replace(denied, answered_at=now, heard_at=self._heard_at))
            return
        self._heard_at = now
        blocked = self.group.rabbits.alarm_at(self.node)
        self._see(
            ConnectionFacts(up_since=now, answered_at=now, heard_at=now, version="3.10.8", blocked=blocked)
        )
        self.world.after(0.01, lambda: self._confirmed(pid))

    def _confirmed(self, pid: int | None) -> None:
        if self.pid == pid and not self.hung and self.facts.up_since is not None:
            self._see(replace(self.facts, confirmed=1))

    def _see(self, facts: ConnectionFacts) -> None:
        if self.up or facts.up_since is None:
            self.facts = facts
            self.wake()
