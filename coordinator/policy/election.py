"""Who leads: one pure decision on one snapshot. No I/O, no clock, nothing remembered.

``decide`` is asked in each turn of an agent's loop and answers what to do now, in one sentence why, and when
to look again. That there is one leader at a time is not its doing: ZooKeeper creates one ``leader`` znode,
and deletes it with the session that made it. What is decided here is that a lead is given up by those who
should not have it, and that a vacant one is taken soon, by the best, and not moved without need.

A vacant lead is taken in the order of ``ranking.rank``, by those that have an alarm if nobody runs. The first
candidate campaigns at once; each next one gives those before it ``stagger`` seconds, so that they do not all
try at the same moment and so that one that is silent cannot hold up the others. (The alternative, an election
by sequential znodes, needs a queue that must be kept in the order of health, which changes.)

After ZooKeeper was away, the member that led before keeps the lead if it is well: it ranks first, and those
who have just come back themselves wait up to ``settle`` seconds for it to be there again. An outage of
ZooKeeper is no reason to move the clients of a broker that works.

An operator can have the lead moved: ``switchover.py`` says what is asked for, and here it is weighed with the
rest. Site and priority rank candidates; a lead that is well moves back to a better one only when
``failback`` is configured, and then through the same kind of request.
"""

from dataclasses import dataclass
from enum import StrEnum

from rabbitkeeper.coordinator.model.records import MemberStatus, SwitchoverRecord, Tags
from rabbitkeeper.coordinator.model.view import GroupView, LeaderView
from rabbitkeeper.coordinator.policy.ranking import rank
from rabbitkeeper.coordinator.policy.switchover import PATIENCE, SwitchoverPlan, plan_switchover

FORCED = "failover"  # the cause of a lead that an operator gave, to a member tagged no_failover maybe

_CAUSES = {
    MemberStatus.STARTING: "broker restarting",
    MemberStatus.ALARMED: "broker alarmed",
    MemberStatus.MINORITY: "majority lost",
    MemberStatus.HUNG: "broker hung",
    MemberStatus.DRAINING: "broker draining",
    MemberStatus.STOPPED: "broker stopped",
    MemberStatus.UNREACHABLE: "broker unreachable",
    MemberStatus.SPLIT: "node split",
    MemberStatus.STARVING: "broker feeds nobody",
}


class Action(StrEnum):
    """What an agent is to do now."""

    FOLLOW = "follow"  # another leads
    LEAD = "lead"  # we lead and may go on
    CAMPAIGN = "campaign"  # take the lead: it is vacant and it is our turn
    WAIT = "wait"  # it is vacant, or nothing is known; not our turn
    RESIGN = "resign"  # give up the lead
    HOLD = "hold"  # we led when we last knew; stay as we are, write nothing


@dataclass(frozen=True, slots=True)
class ElectionTiming:
    """Seconds."""

    stagger: float = (
        0.3  # head start of each candidate over the next; two elections of a quorum queue's leader
    )
    settle: float = 2.0  # how long to wait for the member that led before ZooKeeper was away
    retry: float = 0.1  # between two campaigns of one's own
    minority: float = 8.0  # without a majority while another says that it has one, until that is believed


@dataclass(frozen=True, slots=True)
class MemberState:
    """What an agent knows of itself. Times are monotonic seconds."""

    name: str
    instance: str
    session: int  # ZooKeeper's session id; 0 if there is none
    status: MemberStatus
    reasons: tuple[str, ...]
    status_since: float
    connected: bool  # to ZooKeeper
    lease_valid: bool
    session_established_at: float | None
    disconnected_since: float | None
    registered: bool  # our member znode is there, in this session
    tags: Tags
    vacant_since: float | None  # since when no leader has been seen; None while there is one
    campaign_failed_at: float | None = None
    connected_since: float | None = None  # of the present connection
    switchover_since: float | None = None  # since when the pending ``switchover`` has been seen
    majority_elsewhere_since: float | None = None  # since when we have had no majority and another has
    wall: float = 0.0  # seconds since 1970; for an operator's appointed time and for nothing else
    held_until: float = 0.0  # a lead that ZooKeeper has forgotten may be held till then, by its lease

    def waited(self, now: float) -> float:
        """Seconds for which the lead has been vacant with a request to move it pending."""
        if self.vacant_since is None or self.switchover_since is None:
            return 0.0
        return now - max(self.vacant_since, self.switchover_since)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why."""

    action: Action
    reason: str  # a sentence for a person
    cause: str | None = None  # in a word or two, for the record, with CAMPAIGN and RESIGN
    wait_until: float | None = None  # monotonic seconds: look again then, even if nothing has happened
    operation: SwitchoverRecord | None = None  # the operator's request that is carried out


def decide(
    view: GroupView | None,
    me: MemberState,
    now: float,
    timing: ElectionTiming | None = None,
    *,
    switchover: SwitchoverPlan | None = None,
    hold: bool = True,
) -> Decision:
    """Decide what the agent ``me`` does now.

    Args:
        view: the last snapshot. None before the first, *and after each campaign or resignation until the next
            snapshot has been read*, whatever became of it: a write whose answer was lost may still have been
            done, and an older snapshot would say the contrary.
        me: the agent itself.
        now: seconds, monotonic; the clock of ``me`` and ``view``.
        timing: seconds to wait in each case.
        switchover: what :func:`plan_switchover` says of this very turn, if that has been asked already.
        hold: a leader stays what it is while there is no ZooKeeper, for as long as that lasts.
    """
    if not me.connected or not me.lease_valid:
        return _without_zookeeper(view, me, now, hold=hold)
    if view is None:
        return Decision(Action.WAIT, "the group has not been read yet")
    if view.leader_unreadable is not None:
        return Decision(Action.WAIT, f"there is a leader that cannot be read: {view.leader_unreadable}")
    move = switchover or plan_switchover(view, me.wall, me.waited(now))
    if view.leader is not None:
        return _with_leader(view, view.leader, me, now, timing or ElectionTiming(), move)
    return _vacant(view, me, now, timing or ElectionTiming(), move)


def _without_zookeeper(view: GroupView | None, me: MemberState, now: float, *, hold: bool) -> Decision:
    since = me.disconnected_since
    if me.connected:
        what = "the lease of the ZooKeeper session is not certain"
    elif since is None:
        what = "there is no connection to ZooKeeper"
    else:
        what = f"there has been no connection to ZooKeeper for {now - since:.1f} s"
    if view is not None and view.leader is not None and view.leads(me.session):
        epoch = view.leader.epoch
        if not hold:
            return Decision(Action.WAIT, f"{what}: does not lead (epoch {epoch}) any more")
        return Decision(Action.HOLD, f"{what}: stays as the last known leader (epoch {epoch})")
    return Decision(Action.WAIT, what)


def _with_leader(
    view: GroupView,
    leader: LeaderView,
    me: MemberState,
    now: float,
    timing: ElectionTiming,
    move: SwitchoverPlan | None,
) -> Decision:
    name, epoch = leader.record.name, leader.epoch
    if not view.leads(me.session):
        if name == me.name:
            return Decision(
                Action.FOLLOW,
                f"the lead (epoch {epoch}) is still held by an earlier session of this member: "
                "it goes when that session ends",
            )
        return Decision(Action.FOLLOW, f"{name} leads (epoch {epoch})")
    if move is not None and move.candidate is not None:
        return Decision(
            Action.RESIGN,
            f"gives up the lead to {move.candidate}: {move.asked_by}",
            cause=move.record.kind,
            operation=move.record,
        )
    why = f": {'; '.join(me.reasons)}" if me.reasons else ""
    fit = me.status.serves and (not me.tags.no_failover or leader.record.cause == FORCED)
    if fit and me.status is MemberStatus.RUNNING:
        return Decision(Action.LEAD, f"leads (epoch {epoch})")
    if fit and me.status is MemberStatus.ALARMED:
        return Decision(
            Action.LEAD,
            f"leads (epoch {epoch}) with an alarm, which blocks publishers on every node, so that moving "
            f"would not help{why}",
        )
    if fit:
        return _in_minority(view, epoch, me, now, timing)
    if view.pause is not None:
        return Decision(Action.HOLD, f"is {me.status} but keeps the lead: {_paused(view)}{why}")
    if me.status.serves:
        return Decision(Action.RESIGN, "gives up the lead: it is tagged no_failover", cause="no_failover")
    return Decision(
        Action.RESIGN, f"gives up the lead: the broker is {me.status}{why}", cause=_CAUSES[me.status]
    )


def _in_minority(
    view: GroupView, epoch: int, me: MemberState, now: float, timing: ElectionTiming
) -> Decision:
    """A leader without a majority stays, unless another goes on having one: then it is cut off itself.

    Others notice a lost majority, or one that is back, up to one interval of their canaries earlier or later;
    until then nothing is to be concluded from their saying that they run.
    """
    why = f": {'; '.join(me.reasons)}" if me.reasons else ""
    others = rank(view, me)
    if not others or me.majority_elsewhere_since is None or view.pause is not None:
        return Decision(
            Action.LEAD, f"leads (epoch {epoch}) without a majority, which nobody else has either{why}"
        )
    until = me.majority_elsewhere_since + timing.minority
    if now < until:
        return Decision(
            Action.LEAD,
            f"leads (epoch {epoch}) without a majority; {others[0]} may have one, which will show{why}",
            wait_until=until,
        )
    return Decision(
        Action.RESIGN,
        f"gives up the lead: it has no majority, and {others[0]} has one{why}",
        cause=_CAUSES[me.status],
    )


def _vacant(
    view: GroupView, me: MemberState, now: float, timing: ElectionTiming, move: SwitchoverPlan | None
) -> Decision:
    candidate = None if move is None else move.candidate
    forced = move is not None and move.forced and candidate == me.name
    if view.pause is not None and not forced:
        return Decision(Action.WAIT, f"the lead is vacant, and {_paused(view)}")
    if me.tags.no_failover and not forced:
        return Decision(Action.WAIT, "the lead is vacant, and this member is tagged no_failover")
    order = rank(view, me, alarmed=move is None or candidate is None)
    if not me.status.may_lead and me.name not in order:
        why = f": {'; '.join(me.reasons)}" if me.reasons else ""
        return Decision(Action.WAIT, f"the lead is vacant, and this broker is {me.status}{why}")
    if not me.registered or me.name not in view.members:
        return Decision(Action.WAIT, "the lead is vacant, and this member is not registered yet")
    if move is not None and candidate is not None:
        return _vacant_for(move, candidate, view, me, now, timing)
    place = order.index(me.name)
    since = now if me.vacant_since is None else me.vacant_since
    reason = f"{order[0]} goes first"
    settled = _settled(view, me, order, timing)
    if settled > since and view.last_change is not None:
        since, reason = settled, f"{view.last_change.to} led before and may come back with ZooKeeper"
    if me.held_until > since:
        since, reason = me.held_until, "whoever led before ZooKeeper forgot it may not know that yet"
    turn = since + place * timing.stagger
    if me.campaign_failed_at is not None and me.campaign_failed_at + timing.retry > turn:
        turn, reason = me.campaign_failed_at + timing.retry, "the last campaign has just failed"
    if now < turn:
        return Decision(Action.WAIT, f"the lead is vacant: {reason}", wait_until=turn)
    cause, why = _cause(view, me)
    return Decision(Action.CAMPAIGN, f"takes the vacant lead: {why}", cause=cause)


def _vacant_for(
    move: SwitchoverPlan, candidate: str, view: GroupView, me: MemberState, now: float, timing: ElectionTiming
) -> Decision:
    """The lead is vacant for a candidate; the others wait for a while, and who gave it up waits longest."""
    turn = max(now if me.vacant_since is None else me.vacant_since, me.held_until)
    if me.name != candidate:
        others = sorted(rank(view, me), key=lambda name: name == move.record.previous)
        turn += PATIENCE + others.index(me.name) * timing.stagger
    if me.campaign_failed_at is not None:
        turn = max(turn, me.campaign_failed_at + timing.retry)
    if now < turn:
        return Decision(Action.WAIT, f"the lead is vacant for {candidate}: {move.asked_by}", wait_until=turn)
    if me.name == candidate:
        return Decision(
            Action.CAMPAIGN,
            f"takes the lead: {move.asked_by}",
            cause=move.record.kind,
            operation=move.record,
        )
    return Decision(
        Action.CAMPAIGN,
        f"takes the vacant lead: {candidate} has not taken it within {PATIENCE:g} s",
        cause="switchover failed",
    )


def _settled(view: GroupView, me: MemberState, order: tuple[str, ...], timing: ElectionTiming) -> float:
    """Until when those who have just come back leave the lead to the member that had it; 0 if not at all.

    It is left to it as long as it is not there, and also once it is, since it has yet to take it.
    """
    last = None if view.last_change is None else view.last_change.to
    if last is None or last == me.name or (last in view.members and last not in order):
        return 0.0
    back = [at for at in (me.session_established_at, me.connected_since) if at is not None]
    return max(back, default=0.0) + timing.settle


def _cause(view: GroupView, me: MemberState) -> tuple[str, str]:
    """Why the lead is vacant, as far as the snapshot shows it: in short, and as a clause."""
    if view.last_change is None:
        return "first leader", "the group has had no leader yet"
    last = view.last_change.to
    if last == me.name:
        return "returned", "it led before, and nobody has since"
    member = view.members.get(last)
    if member is None:
        return "agent lost", f"{last}, which led before, is not registered any more"
    cause = _CAUSES.get(member.record.state)
    if cause is None:
        return "resigned", f"{last}, which led before, does not take it"
    reasons = f" ({'; '.join(member.record.reasons)})" if member.record.reasons else ""
    return cause, f"{last}, which led before, is {member.record.state}{reasons}"


def _paused(view: GroupView) -> str:
    pause = view.pause
    reason = f": {pause.reason}" if pause is not None and pause.reason else ""
    return f"the group is paused by {pause.by if pause is not None else 'nobody'}{reason}"
