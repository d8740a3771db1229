"""Whether our node and the others count each other in: nodes that disagree are *split*, however well each is.

RabbitMQ can be left so by a node that was dropped and goes on, as after a pause of its host: it believes
itself alone, or the others do not count it, while publishes are confirmed everywhere and ``pause_minority``
is silent. Queues are then there on one side only, and consumers get nothing. Nobody notices who looks at one
node alone, so what our node says of the cluster is compared with what the other agents say of theirs.

A node that the others have dropped while it hung, or stood still with its host, and that then goes on as if
nothing had been, is not asked: it takes no part in the cluster any more, whatever it says, until RabbitMQ has
started again on it. So it is split.

One node can count another that does not count it. So an agent tells whom its node does not count, and both
agents of such a pair know which of the two gives way.

The question starts an Erlang machine, so it is asked some times after something has happened from which a
split can come, and seldom besides.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rabbitkeeper.agent.cluster.strangers import strangers
from rabbitkeeper.agent.model.observation import STARTS_AGAIN, NodeFacts
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus, RabbitmqCtlError
from rabbitkeeper.agent.runtime.job import Job, Launch, ThreadJob
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView

LOG = logging.getLogger("rabbitkeeper.agent")

AFTER = (1.0, 4.0, 9.0)  # seconds after an event; what a node believes may come out late
SELDOM = 120.0  # seconds between questions that nothing has asked for
AGAIN = 3.0  # seconds between questions while the node is split
DENIED = 6.0  # seconds for which others do not count a node that counts them; they ask again each 3
CONTESTED = 3.0  # seconds beyond a session's for which nobody has a majority, until one of them gives way
DOUBT = 20.0  # seconds for which a node does not serve because it has not been asked
DROPPED = "the others have dropped its node while it stood still, and RabbitMQ has not started on it since"
MUTE = (
    "the broker works, and its tools do not find its node: no other node that starts can join it; "
    "if that lasts for minutes, it is started again"
)
MUTE_AGAIN = 30.0  # seconds between questions while the tools find no node
HUNG_OF_LATE = 10.0  # seconds in which the others' word of a node that hung may come
STOOD_STILL = 6.0  # seconds; others drop a node only after its agent's session has ended
# Only of one that a majority confirms messages for: that is how it is known that the network is not cut.
_ASKED = frozenset({MemberStatus.RUNNING, MemberStatus.SPLIT, MemberStatus.STARVING})
_COUNTS = _ASKED | {MemberStatus.ALARMED}
# A broker that pauses, boots or has ended meets afresh whom it had dropped.
_AWAY = frozenset({MemberStatus.UNREACHABLE, MemberStatus.STARTING, MemberStatus.STOPPED})


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing our node with the others.

    Attributes:
        split: why our node is the odd one out; None if it is not.
        warning: what is to be told of others that are.
        uncounted: the nodes that ours does not count and is not split from: their agents are to be told.
        contested: of those, the ones that do not say so themselves: neither side has a majority against it.
        yields: our node is the odd one out if that goes on.
        counted: our node counts all of those: none has died with its agent, and is still seen as it was.
    """

    split: str | None = None
    warning: str | None = None
    uncounted: frozenset[str] = frozenset()
    contested: bool = False
    yields: bool = False
    counted: bool = False


def compare(node: str, status: ClusterStatus, view: GroupView) -> Comparison:
    """Compare our node with the others. Pure.

    Args:
        node: ours.
        status: what it says of its cluster.
        view: the last snapshot.

    Two disagree as soon as one of them does not count the other. The odd one out is who has a majority
    against it, by its own word at once, by theirs after a while: a record may be out of date. When nobody
    has, because a third node counts both in or is ill, it is not the leader's, and of two others the later by
    name.
    """
    recorded = frozenset(view.nodes)
    if recorded and node not in recorded:
        return Comparison()  # a member that is being formed, or removed
    if recorded - {node} and not status.nodes & (recorded - {node}):
        return Comparison(f"its node has left the recorded cluster and knows of {_listed(status.nodes)} only")
    states = {member.record.node: member.record.state for member in view.members.values()}
    well = {each for each, state in states.items() if state in _COUNTS} & recorded
    missing = (well - status.running - {node}) | (status.partitions & well)
    against = {each: _deniers(each, view) & well for each in well | {node}}
    for each in missing:
        against[each].add(node)
    deniers = against[node]
    if not missing | deniers:
        return Comparison()
    if missing:
        believed = (
            "believes itself cut off from" if status.partitions & missing else "does not count as running"
        )
        said = f"node {believed} {_listed(missing)}"
    else:
        said = f"node is not counted as running by {_listed(deniers)}"
    if 2 * len(missing) > len(recorded):
        return Comparison(f"its {said}, whose agents say that they run")
    leader = None if view.leader is None else view.leader.record.node
    rivals = {each for each in missing | deniers if states[each] is not MemberStatus.SPLIT}
    odd = {each for each, its in against.items() if 2 * len(its) > len(recorded)}
    ours = rivals - odd  # of which one gives way, they or we
    return Comparison(
        warning=f"the {said}: the odd one out is restarted by its agent",
        uncounted=frozenset(missing),
        contested=bool(rivals),
        yields=node in odd or (node != leader and (leader in ours or any(each < node for each in ours))),
        counted=not missing & rivals,
    )


def _deniers(node: str, view: GroupView) -> set[str]:
    """Whose members say that they do not count the node."""
    return {member.record.node for member in view.members.values() if node in member.record.uncounted}


def dropped_by(node: str, view: GroupView, before: frozenset[str] = frozenset()) -> frozenset[str]:
    """Who says that they have dropped a node, or has said so and not started again since. Pure.

    Args:
        node: ours, which hangs or has stood still.
        view: the last snapshot.
        before: who had said so already: they tell it for some seconds only.
    """
    states = {member.record.node: member.record.state for member in view.members.values()}
    say = {member.record.node for member in view.members.values() if node in member.record.dropped}
    return frozenset(
        each for each in (say | before) & view.nodes.keys() - {node} if states.get(each) not in _AWAY
    )


def is_dropped(node: str, view: GroupView, droppers: frozenset[str]) -> bool:
    """Whether so many others have dropped a node that they are a majority without it. Pure.

    Args:
        node: ours.
        view: the last snapshot.
        droppers: see :func:`dropped_by`.
    """
    return node in view.nodes and 2 * len(droppers) > len(view.nodes)


class Tools(Protocol):
    """What is needed of ``rabbitmqctl``."""

    @property
    def answered(self) -> bool:
        """Whether the node has ever answered; if not, they may have another cookie."""

    def cluster_status(self) -> ClusterStatus: ...

    def answers(self, node: str) -> bool: ...


class Agreement:
    """One agent's part in it. Belongs to the loop's thread.

    Args:
        node: our Erlang node.
        tools: the broker's.
        session_timeout: seconds for which a member is seen as it was that has died with its broker.
        wake: called when a question is answered.
        launch: begins it beside the loop.

    Attributes:
        split: why our node is split from the others; a sentence.
        doubt: why it may be, until it has been asked.
        warning: what is to be told of others that are.
        strangers: in what the node and the record of the cluster differ, a sentence each.
        dropped: the others have dropped our node, and it has not started again.
        uncounted: the nodes that ours does not count and is not split from.
        mute_since: since when the tools find no node, though it works; monotonic seconds.
    """

    def __init__(
        self,
        node: str,
        tools: Tools,
        *,
        session_timeout: float,
        wake: Callable[[], None],
        launch: Launch = ThreadJob,
    ) -> None:
        self._node = node
        self._contested_for = session_timeout + CONTESTED
        self._tools = tools
        self._wake = wake
        self._launch = launch
        self._job: Job | None = None
        self._found: ClusterStatus | None = None
        self._mute = False  # the last question found no node
        self._due: list[float] = []
        self._record: int | None = None  # the version of the cluster's record when it was asked
        self._contested_since: float | None = None
        self._seen: object = None  # what an event is a change of
        self._doubt_until = 0.0
        self.split: str | None = None
        self.doubt: str | None = None
        self.warning: str | None = None
        self.strangers: tuple[str, ...] = ()
        self.dropped = False
        self.uncounted: frozenset[str] = frozenset()
        self.mute_since: float | None = None
        self._droppers: frozenset[str] = frozenset()
        self._stood_until = 0.0  # it hangs, has hung of late, or its host has stood still; monotonic seconds

    def turn(
        self,
        now: float,
        verdict: Verdict,
        view: GroupView | None,
        *,
        formed: bool,
        node: NodeFacts | None = None,
        excused: bool = False,
        stood_still: float = 0.0,
    ) -> None:
        """Take note of an answer, and ask if it is time to.

        Args:
            now: seconds, monotonic.
            verdict: of this turn.
            view: the last snapshot; None as well while it may be out of date.
            formed: our node is in the cluster since it was started.
            node: what it says of itself while it refuses connections.
            excused: it was cut off, of which RabbitMQ makes a pause and a start of its own.
            stood_still: seconds for which this process has just stood still, and with it its host maybe.
        """
        if now >= self._doubt_until:
            self.doubt = None
        if not formed or excused or (node is not None and node.state in STARTS_AGAIN):
            self.dropped = False
            self._stood_until = 0.0
        elif stood_still > STOOD_STILL:
            self._stood_until = now + DOUBT
        elif verdict.status is MemberStatus.HUNG:
            self._stood_until = max(self._stood_until, now + HUNG_OF_LATE)
        if view is not None and (self.dropped or now < self._stood_until):
            self._droppers = dropped_by(self._node, view, self._droppers if self.dropped else frozenset())
            self.dropped = is_dropped(self._node, view, self._droppers)
        if self.dropped:
            self._forget(DROPPED)
            return
        waits = self.doubt is not None and verdict.status is MemberStatus.STARTING
        if not formed or not (waits or verdict.status in _ASKED):
            self._forget(None)
            return
        if stood_still > STOOD_STILL:
            self._doubt_until, self._seen = now + DOUBT, None
            self.doubt = (
                f"its host may have stood still for {STOOD_STILL:g} s or longer: it is not known yet whether "
                "the others have dropped its node"
            )
        if view is None:
            return
        record = None if view.cluster is None else view.cluster.version
        if record != self._record:
            self.strangers = ()  # what the node said before may be of the record before
        seen = (
            verdict.status,
            record,
            sorted((name, member.record.state in _COUNTS) for name, member in view.members.items()),
            _deniers(self._node, view),
        )
        if seen != self._seen:
            self._seen = seen
            self._due = [now + after for after in AFTER]
        if self._job is not None:
            if not self._job.done:
                return
            self._collect(now, view)
        if self._due and now >= self._due[0]:
            self._due.pop(0)
            self._found, self._record = None, record
            self._job = self._launch("agreement", self._ask, self._wake)

    def _forget(self, split: str | None) -> None:
        """What was said before is of the past, and so is what is being asked."""
        self._due, self._seen, self.split, self.doubt, self.warning = [], None, split, None, None
        self.strangers, self._contested_since, self.uncounted = (), None, frozenset()
        self.mute_since = None
        if self._job is not None and self._job.done:
            self._job = None

    def _ask(self) -> None:
        self._mute = False
        try:
            self._found = self._tools.cluster_status()
        except RabbitmqCtlError:
            # It asks all nodes, so it can wait for another one that hangs.
            self._mute = not self._tools.answers(self._node)
            raise

    def _collect(self, now: float, view: GroupView) -> None:
        job, self._job = self._job, None
        if job is not None and job.failure is not None:
            LOG.debug("the node cannot be asked about its cluster: %s", job.failure)
        if self._found is None:
            mute = self._mute and self._tools.answered
            self.mute_since = (self.mute_since or now) if mute else None
            self.warning = MUTE if mute else self.warning
            self._due = [now + MUTE_AGAIN] if mute else self._due or [now + AGAIN]
            return
        self.mute_since = None
        record = None if view.cluster is None else view.cluster.version
        self.strangers = strangers(self._found.nodes, view) if record == self._record else ()
        compared = compare(self._node, self._found, view)
        since = self._contested_since = (self._contested_since or now) if compared.contested else None
        split = compared.split
        patience = DENIED if compared.counted else self._contested_for
        if compared.yields and since is not None and now >= since + patience:
            split = compared.warning
        if split is not None and split != self.split:
            LOG.warning("split: %s", split)
        self.split, self.doubt, self.warning = split, None, compared.warning
        self.uncounted = compared.uncounted if split is None else frozenset()
        if split is not None or compared.contested:
            self._due = [now + AGAIN]
        elif not self._due:
            self._due = [now + SELDOM]


def _listed(nodes: frozenset[str] | set[str]) -> str:
    return " and ".join(sorted(nodes))
