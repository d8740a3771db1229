"""What to do with the broker's process next: one pure decision.

A broker is started when it is not there, brought into the cluster when it answers, and killed when it
hangs or does not come up: a hung broker that is left alone makes declares and new connections wait for a
minute on the *other* nodes of its cluster. One that looks hung may only be loaded, or its host may stand
still, so there is a while before the kill, longer when something speaks for a load, and a last question
(``last_question.py``). One whose process itself stands still (``stillness.py``) is not slow, whatever speaks
for a load. A node that says that it boots is given time. Nothing is done twice at a time, and nothing during
a pause, so that an operator can stop a broker by hand.

One that is stopped in a living Erlang machine is started again after a grace, and so is one that was cut off
when it began to boot: it would wait for its cluster for ever. One that RabbitMQ has paused comes back by
itself and is left alone, as long as it sees no majority and its Erlang machine answers. One that sees a
majority again and does not come up is started anew: it waits for its cluster's tables like the one before.
One that refuses connections and does not answer its tools either is hung as well, though no probe can see
it. What the driver has no means for is left to whatever runs the broker.
"""

from dataclasses import dataclass
from enum import StrEnum

from rabbitkeeper.agent.model.observation import RESUMES, WAITING, NodeFacts, NodeState
from rabbitkeeper.coordinator.model.records import MemberStatus

APP_STOPPED_GRACE = 60.0  # seconds for whoever has stopped it; a paused group gives him all the time he needs
APART_GRACE = 5.0  # seconds; a boot that is well has the others' database in a moment once it is connected
REJOIN_GRACE = (
    30.0  # seconds for a broker that was cut off to notice it, pause and come back, silent meanwhile
)
HUNG_GRACE = 2.0  # seconds from the verdict to the kill: others that stall as well have been seen to by then
HANDSHAKE_GRACE = 20.0  # the same if it is new connections alone that are not answered, as in a storm of them
STRAINED_GRACE = 20.0  # the same while there is an alarm, or this host itself stands still again and again
STILL = 1.5  # seconds for which a process stands still; an idle one that serves wakes often in that time
STILL_GRACE = 4.0  # … and the process stands still: it is the others' agents alone that may be slow to tell
LONGEST_GRACE = 60.0  # to which each kill of the last ten minutes doubles it: they have not helped
ALIVE_GRACE = 30.0  # seconds for a broker that answers no client while its node answers; twice if strained
SPLIT_GRACE = 5.0  # seconds for nodes that disagree to agree by themselves
STARVING_GRACE = 5.0  # seconds for clients to leave one that feeds nobody; twice if strained
DROPPED_GRACE = 2.0  # seconds for one that the others have dropped to pause by itself
REUNION_GRACE = 20.0  # the same for one that was just cut off, or whose host stands still again and again
RESUME_GRACE = 30.0  # seconds for one that RabbitMQ starts again after a pause; twice if strained
RESUME_APART_GRACE = 9.0  # the same for one whose database has not found the others': three looks
SILENT_GRACE = 60.0  # seconds for one that refuses connections to answer its tools (0035); twice if strained
DENIED_GRACE = 60.0  # seconds for one that has let its agent in and refuses it; twice if strained
LONGEST_SILENCE = 240.0  # to which kills double these three, as LONGEST_GRACE
MUTE_GRACE = (
    180.0  # seconds for one that works and whose tools find no node; six questions, twice if strained
)
LONGEST_MUTE = 1200.0  # to which kills double it
STUCK = 60.0  # seconds after which a hung broker is no part of a majority, whatever becomes of the others
BOOT_SILENCE = 30.0  # seconds without a word from a node that said that it boots
_STANDSTILLS = {
    NodeState.STOPPED: (
        APP_STOPPED_GRACE,
        f"the broker has been stopped inside its Erlang machine for {APP_STOPPED_GRACE:g} s",
    ),
    NodeState.APART: (
        APART_GRACE,
        "the broker was cut off when it began to boot, and waits for its cluster in vain",
    ),
}
"""States that last until the process is started again: the grace that each has, and why it is ended then."""


class Step(StrEnum):
    NOTHING = "nothing"
    START = "start"
    FORM = "form"  # see to it that it is in the cluster
    KILL = "kill"
    RESTART = "restart"  # an orderly end, as an operator has asked; then it is started like any other


@dataclass(frozen=True, slots=True)
class Supervised:
    """A broker as its supervisor knows it. Times are monotonic seconds."""

    can_start: bool  # the driver has the means to
    can_kill: bool
    running: bool | None  # None: cannot be told
    status: MemberStatus  # by the last verdict
    busy: bool = False  # a step is under way
    paused: bool = False  # the group is
    cut_off: bool = False  # from most of the others
    dropped: bool = False  # by most of them, and it has not started again since
    answers: bool = False  # a live broker is there now
    been_up: bool = False  # it has answered since it was started
    formed: bool = False  # it is in the cluster since it was started
    can_form: bool = True  # ZooKeeper is there
    watched_since: float = 0.0  # when it was started, or found running
    node: NodeFacts | None = None  # what it says of itself while it refuses connections
    start_due: float = 0.0
    kill_due: float = 0.0
    hung_since: float | None = None  # the verdict
    still_since: float | None = None  # its process neither runs nor waits for a processor
    split_since: float | None = None  # the same
    starves_since: float | None = None  # the same
    mute_since: float | None = None  # its tools find no node, though it works
    denied_since: float | None = None  # it has let its agent in since it was started, and refuses it now
    resumes_since: float | None = None  # RabbitMQ starts it again after a pause
    only_new: bool = False  # it is new connections that it does not answer
    strained: bool = False  # an alarm, or a host that stands still: what looks hung may be slow
    recent_kills: int = 0  # in the last ten minutes
    resume_kills: int = 0  # of these, while it resumed after a pause
    boots_until: float = 0.0  # it has said that it boots, and is believed until then
    rejoins_until: float = 0.0  # it was cut off, and hangs for that until then at the longest
    form_due: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    step: Step
    reason: str = ""  # for the log, with START and KILL
    look_again: float | None = None  # monotonic seconds
    takes_down: bool = False  # a process that is there: only with the group's leave
    hangs: bool = False  # only if it still does just before
    motionless: bool = False  # only if its process still stands still
    starves: bool = False  # only if it still feeds nobody
    mute: bool = False  # only if its tools find no node, whatever it answers to clients
    denies: bool = False  # only if it still refuses its agent, and finds no virtual host
    listens: bool = False  # only if the node does not say that it pauses or boots
    refuses: bool = False  # only if nobody can connect just before
    asks: bool = False  # only if the node does not answer its tools either
    still: frozenset[NodeState] = frozenset()  # only if the node still says one of these, if there are any
    needs_majority: bool = False  # only while a majority of the other brokers is well


def plan(broker: Supervised, now: float, *, boot_timeout: float) -> Plan:
    """Decide the next step.

    Args:
        broker: what is known of it.
        now: seconds, monotonic.
        boot_timeout: seconds that a broker of ours may take until it answers.
    """
    if broker.busy:
        return Plan(Step.NOTHING)
    # A broker that is cut off pauses until it is not, which takes it a while and looks like hanging. Started
    # again among none, it could take itself for the last of its cluster, and go its own way.
    if not broker.paused and not broker.cut_off:
        planned = _of_the_process(broker, now, boot_timeout)
        if planned is not None:
            return planned
    if broker.running is not False and broker.answers and not broker.formed and broker.can_form:
        if now < broker.form_due:
            return Plan(Step.NOTHING, look_again=broker.form_due)
        return Plan(Step.FORM)
    return Plan(Step.NOTHING)


def _of_the_process(broker: Supervised, now: float, boot_timeout: float) -> Plan | None:
    """What is to be done about the process; None if its place in the cluster may be seen to."""
    if broker.running is False and broker.can_start:
        return _when(now, broker.start_due, Plan(Step.START, "the broker is not running"))
    if broker.status is MemberStatus.HUNG and (broker.can_kill or broker.can_start):
        return _of_a_hung_one(broker, now)
    if broker.status is MemberStatus.SPLIT and broker.can_kill and broker.can_start:
        since = now if broker.split_since is None else broker.split_since
        why = "its node is split from the others, and does not join them by itself"
        majority = now < since + STUCK
        end = Plan(Step.KILL, why, takes_down=True, listens=True, needs_majority=majority)
        late = broker.strained or now < broker.rejoins_until
        grace = DROPPED_GRACE if broker.dropped else REUNION_GRACE if late else SPLIT_GRACE
        return _when(now, max(since + grace, broker.kill_due), end)
    if broker.status is MemberStatus.STARVING and broker.can_kill and broker.can_start:
        since = now if broker.starves_since is None else broker.starves_since
        due = since + _with_patience(STARVING_GRACE, broker)
        why = "it takes messages and feeds nobody"
        end = Plan(Step.KILL, why, takes_down=True, starves=True, listens=True, needs_majority=True)
        return _when(now, max(due, broker.kill_due), end)
    if broker.mute_since is not None and broker.running and broker.can_kill and broker.can_start:
        grace = _with_patience(MUTE_GRACE, broker, LONGEST_MUTE)
        why = f"its tools have found no node for {grace:g} s, so that no node which starts can join it"
        end = Plan(Step.KILL, why, takes_down=True, mute=True, needs_majority=True)
        return _when(now, max(broker.mute_since + grace, broker.rejoins_until, broker.kill_due), end)
    denied_since = broker.denied_since if broker.formed else None  # forming it may be what gives it its user
    if denied_since is not None and broker.running and broker.can_kill and broker.can_start:
        grace = _with_patience(DENIED_GRACE, broker)
        why = f"it has refused its agent for {grace:g} s, and finds no virtual host: its store has ended"
        end = Plan(Step.KILL, why, takes_down=True, denies=True, needs_majority=True)
        return _when(now, max(denied_since + grace, broker.rejoins_until, broker.kill_due), end)
    node = broker.node
    if node is not None and node.state in _STANDSTILLS and broker.can_kill and broker.can_start:
        grace, why = _STANDSTILLS[node.state]
        kill = Plan(Step.KILL, why, takes_down=True, still=frozenset({node.state}))
        return _when(now, max(node.since + grace, broker.kill_due), kill)
    if node is not None and node.state in RESUMES and broker.can_kill and broker.can_start:
        return _of_a_resuming_one(broker, node, now)
    silent_since = node.since if node is not None and node.state is NodeState.SILENT else None
    if silent_since is not None and broker.running and broker.been_up:
        return _of_a_silent_one(broker, silent_since, now)
    waits = node is not None and node.state in WAITING
    if broker.running and broker.can_kill and not (broker.been_up or broker.answers or waits):
        due = max(broker.watched_since + boot_timeout, broker.kill_due, broker.boots_until)
        why = f"the broker did not come up within {boot_timeout:g} s"
        if silent_since is None:
            return _when(now, due, Plan(Step.KILL, why, takes_down=True, listens=True, refuses=True))
        # It may have said before that it waits, and the tools be slow.
        due = max(due, silent_since + SILENT_GRACE * (2.0 if broker.strained else 1.0))
        return _when(now, due, Plan(Step.KILL, why, takes_down=True, asks=True))
    return None


def _of_a_hung_one(broker: Supervised, now: float) -> Plan:
    since = now if broker.hung_since is None else broker.hung_since
    still_due = None if broker.still_since is None else broker.still_since + STILL
    still = still_due is not None and now >= still_due  # not slow then, and unable to say what it does
    grace, due = HUNG_GRACE, broker.kill_due
    if not broker.dropped:  # else the others have asked, and it is no part of the cluster for them
        if broker.strained:
            grace = STILL_GRACE if still else STRAINED_GRACE
        elif broker.only_new and not still:
            grace = HANDSHAKE_GRACE
        if not still:  # of one that stands still no earlier kill makes it likely that this one does not help
            grace = min(grace * 2.0**broker.recent_kills, max(grace, LONGEST_GRACE))
        due = max(due, broker.rejoins_until)
    due = max(due, since + grace)
    alive = ALIVE_GRACE * (2.0 if broker.strained else 1.0)
    step = Step.KILL
    if not broker.can_kill:
        step, due = Step.START, max(due, broker.start_due)
    end = Plan(
        step,
        "the broker hangs, and its process stands still" if still else "the broker hangs",
        takes_down=True,
        hangs=True,
        motionless=still,
        listens=not still,
        asks=not (still or broker.dropped) and now < max(since, broker.rejoins_until) + max(grace, alive),
        needs_majority=now < since + STUCK,
    )
    look_again = due if still or still_due is None else min(due, still_due)
    return end if now >= due else Plan(Step.NOTHING, look_again=look_again)


def _of_a_resuming_one(broker: Supervised, node: NodeFacts, now: float) -> Plan:
    """Of one that sees a majority again after its pause, and that RabbitMQ starts.

    That takes seconds. But one that starts at the very moment at which the network heals can find its Mnesia
    partitioned from the others' (``starting_partitioned_network``): RabbitMQ 3.10 waited for tables for 9
    times 30 s then, and has given up afterwards. Mnesia looks for the others once, when it starts. So one
    that has started, and that has not found those that it can reach now, does not come up however long it
    is waited for; of any other it is only known that it takes long. The start waits for Erlang's ``global``
    too, which can hang (seen on 3.10.8 with Erlang 25.2, which does not know RabbitMQ's workaround any more):
    that lasts until the process is ended. One that is only slow loses these seconds, and boots for as long
    as it needs.
    """
    apart = node.state is NodeState.RESUMING_APART
    # Kills of another kind say nothing of this one: it came back from them, and has paused since.
    kills = broker.resume_kills
    grace = _with_patience(RESUME_GRACE, broker, kills=kills)
    since = node.since if broker.resumes_since is None else broker.resumes_since
    due = max(since + grace, broker.rejoins_until)
    why = f"RabbitMQ sees a majority again after its pause, and has not started the broker in {grace:g} s"
    if apart:  # what it has said is no guess, whether it was cut off just before or not
        due = min(due, node.since + _with_patience(RESUME_APART_GRACE, broker, kills=kills))
        why = "RabbitMQ starts the broker after its pause, and its database does not find those it can reach"
    end = Plan(
        Step.KILL,
        why,
        takes_down=True,
        still=frozenset({NodeState.RESUMING_APART}) if apart else RESUMES,
        needs_majority=True,
    )
    return _when(now, max(due, broker.kill_due), end)


def _of_a_silent_one(broker: Supervised, since: float, now: float) -> Plan | None:
    """Of one that refuses connections, and whose node does not answer its tools.

    It takes nobody in, so that nobody waits for it, and there is time to be sure. One look that finds no
    answer says little on a busy host: Erlang gives up connecting after 7 s (its ``net_setuptime``), and a
    node that stopped for its pause answered no client for 33 s. In the grace there are three or four looks,
    and the last question is one more. After ``STUCK`` seconds more it is ended whatever the others do, as a
    hung one is.
    """
    if not (broker.can_kill and broker.can_start):
        return None
    due = max(since + _with_patience(SILENT_GRACE, broker), broker.rejoins_until)
    end = Plan(
        Step.KILL,
        "the broker refuses connections, and its Erlang machine does not answer its tools",
        takes_down=True,
        asks=True,
        needs_majority=now < due + STUCK,
    )
    return _when(now, max(due, broker.kill_due), end)


def _with_patience(
    grace: float, broker: Supervised, longest: float = LONGEST_SILENCE, *, kills: int | None = None
) -> float:
    """Twice as long while it is strained, and for each kill of late (``kills``: only so many count)."""
    kills = broker.recent_kills if kills is None else kills
    return min(grace * (2.0 if broker.strained else 1.0) * 2.0**kills, longest)


def _when(now: float, due: float, planned: Plan) -> Plan:
    return planned if now >= due else Plan(Step.NOTHING, look_again=due)
