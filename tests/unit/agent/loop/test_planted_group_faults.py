"""Faults that are planted in agents, each of which histories of whole groups find.

What finds nothing in a group that is well shows nothing, if it finds nothing in one that is not.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from simulation.backend import SimulatedBackend
from simulation.group_faults import FAULTS as ALL_FAULTS
from simulation.group_faults import KINDS, REQUESTS
from simulation.group_history import History
from support.effort import examples
from support.planting import Plant, both, instead, nothing

from rabbitkeeper.agent.broker import policy, supervisor
from rabbitkeeper.agent.broker.last_question import LastQuestion
from rabbitkeeper.agent.broker.policy import Plan, Step
from rabbitkeeper.agent.broker.stillness import Stillness
from rabbitkeeper.agent.cluster import formation
from rabbitkeeper.agent.cluster.agreement import Agreement
from rabbitkeeper.agent.cluster.feeding import Feeding
from rabbitkeeper.agent.cluster.formation_plan import FormationPlan, FormationStep
from rabbitkeeper.agent.cluster.record_keeper import RecordKeeper
from rabbitkeeper.agent.group import disruption
from rabbitkeeper.agent.group.disruption import Disruption
from rabbitkeeper.agent.group.membership import Membership
from rabbitkeeper.agent.loop import turn
from rabbitkeeper.agent.model.observation import ConnectionFacts, NodeFacts, NodeState
from rabbitkeeper.coordinator.backend.lease import Lease
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.policy import election
from rabbitkeeper.coordinator.policy.election import Action, Decision
from rabbitkeeper.coordinator.store.disruption_lock import DisruptionLock
from rabbitkeeper.coordinator.store.store import Store

RESTARTS = ("restart", "rolling restart", "cut from brokers", "broker hangs", "slow boot")
STARVED = ("feeds nobody", "all feed nobody", "broker dies", "alarm", "cut off", "restart", "broker hangs")
MUTED = ("tools find no node", "broker dies", "cut off", "restart", "broker hangs", "host pauses")
PAUSES = ("cut off", "host pauses", "cut from brokers", "broker hangs", "node crashes")
DENIED = ("refuses every login", "broker dies", "alarm", "cut off", "restart", "broker hangs", "host pauses")
STOPPED = ("broker stopped by a signal",)
LONG_UNFED = 8  # canaries
ENOUGH = 40  # histories in which each fault is found, most of them in the first few


def no(_right: object, *_given: object, **_named: object) -> bool:
    return False


def keep_the_lead(right: Callable[..., Any], *given: Any, **named: Any) -> Any:
    decision = right(*given, **named)
    return replace(decision, action=Action.LEAD) if decision.action is Action.RESIGN else decision


def leave_alone(status: MemberStatus) -> Callable[..., Plan]:
    def wrong(right: Callable[..., Plan], broker: Any, now: float, **named: Any) -> Plan:
        return Plan(Step.NOTHING) if broker.status is status else right(broker, now, **named)

    return wrong


def at_the_first_look(right: Callable[..., Plan], broker: Any, node: NodeFacts, now: float) -> Plan:
    since = now - 1000.0 if node.state is NodeState.RESUMING_APART else node.since
    return right(replace(broker, resumes_since=since), replace(node, since=since), now)


def as_if_it_answered(right: Callable[..., Any], *given: Any, mute_since: float | None, **named: Any) -> Any:
    return right(*given, mute_since=None, **named)


def as_if_let_in(right: Callable[..., Plan], broker: Any, now: float, **named: Any) -> Plan:
    return right(replace(broker, denied_since=None), now, **named)


def whoever_else_does(
    _right: Callable[..., None], feeding: Feeding, connection: ConnectionFacts, *_given: object
) -> None:
    feeding.starving = "it feeds nobody" if connection.unfed > LONG_UNFED else None


def for_ever(right: Callable[..., float], lease: Lease, now: float) -> float:
    return 0.0 if lease.renewed is None else 1000.0


def five_more(right: Callable[..., float], lease: Lease, now: float) -> float:
    return right(replace(lease, margin=-5.0), now)


def as_of_the_answer(right: Callable[..., Lease], lease: Lease, sent: float) -> Lease:
    return right(lease, sent + 4.0)


def wants_no_majority(
    right: Callable[..., None], its: Disruption, reason: str, *, needs_majority: bool
) -> None:
    right(its, reason, needs_majority=False)


def at_once(right: Callable[..., Plan], broker: Any, now: float, **named: Any) -> Plan:
    hung = broker.status is MemberStatus.HUNG
    return right(replace(broker, hung_since=now - 100.0) if hung else broker, now, **named)


def wait(_right: object, *_given: object) -> Decision:
    return Decision(Action.WAIT, "somebody else will")


def found(right: Callable[..., FormationPlan], *given: Any) -> FormationPlan:
    return replace(right(*given), step=FormationStep.FOUND)


def told_only(_right: object, *_given: object, **_named: object) -> bool:
    return True


FAULTS: dict[str, tuple[Plant, tuple[str, ...]]] = {
    "a leader whose broker is down stays": (instead(turn, "decide_election", keep_the_lead), ("slow boot",)),
    "nobody takes a vacant lead": (instead(election, "_vacant", wait), ("broker dies",)),
    "a lead is not given up, though it is said to be": (
        instead(Store, "resign", told_only),
        ("slow boot", "broker hangs"),
    ),
    "the lease never ends": (instead(Lease, "remaining", for_ever), ("cut from ZooKeeper",)),
    "the lease ends too late": (instead(Lease, "remaining", five_more), ("cut from ZooKeeper",)),
    "the lease counts from later than the request": (
        instead(Lease, "answered", as_of_the_answer),
        ("cut from ZooKeeper",),
    ),
    "the lease is not renewed": (instead(SimulatedBackend, "renew", nothing), ("alarm",)),
    "every node founds a cluster": (instead(formation, "plan", found), ("alarm",)),
    "who has joined is not recorded": (
        both(
            instead(formation, "_record", lambda _right, store, _me: store.cluster()),
            instead(RecordKeeper, "_add", nothing),
        ),
        ("alarm",),
    ),
    "a lost record of the cluster is not written again": (
        instead(RecordKeeper, "turn", nothing),
        ("cluster deleted",),
    ),
    "a spoilt lead is not mended": (instead(Store, "mend_lead", no), ("leader spoilt",)),
    "a deleted member is not mended": (instead(Store, "mend_member", no), ("member deleted",)),
    "a group that lost a part is not made again": (
        instead(Membership, "_create_group", nothing),
        ("members deleted",),
    ),
    "brokers are taken down without leave": (
        instead(LastQuestion, "__call__", nothing),
        ("brokers stall together",),
    ),
    "the others are not looked at": (
        instead(disruption, "why_not", nothing),
        ("brokers stall together",),
    ),
    "no majority is wanted": (
        instead(Disruption, "begin", wants_no_majority),
        ("brokers stall together",),
    ),
    "the lock is not taken": (instead(DisruptionLock, "take", nothing), ("broker hangs",)),
    "one that stands still is given the time of a slow one": (
        instead(Stillness, "look", nothing),
        STOPPED,
    ),
    "what hangs is taken for stuck at once": (
        instead(supervisor, "plan", at_once),
        ("brokers stall together", "storm of connections"),
    ),
    "a hung broker is left alone": (
        instead(supervisor, "plan", leave_alone(MemberStatus.HUNG)),
        ("broker hangs",),
    ),
    "one that hangs while its listeners are closed is left alone": (
        instead(policy, "_of_a_silent_one", nothing),
        ("broker stopped inside", "broker hangs"),
    ),
    "one that has not found the others yet after its pause is started anew at once": (
        instead(policy, "_of_a_resuming_one", at_the_first_look),
        ("cut off", "cut from brokers"),
    ),
    "nodes are not compared": (instead(Agreement, "turn", nothing), ("host pauses",)),
    "a split node is left alone": (
        instead(supervisor, "plan", leave_alone(MemberStatus.SPLIT)),
        ("host pauses",),
    ),
    "a broker that feeds nobody is left alone": (
        instead(supervisor, "plan", leave_alone(MemberStatus.STARVING)),
        ("feeds nobody",),
    ),
    "one whose tools find no node is left alone": (
        instead(supervisor.BrokerSupervisor, "act", as_if_it_answered),
        ("tools find no node",),
    ),
    "one that refuses every login is left alone": (
        instead(supervisor, "plan", as_if_let_in),
        ("refuses every login",),
    ),
    "all that feed nobody leave at once": (
        instead(Feeding, "turn", whoever_else_does),
        ("all feed nobody",),
    ),
    "a broker that died is not started again": (
        instead(supervisor, "plan", leave_alone(MemberStatus.STOPPED)),
        ("broker dies",),
    ),
}


def test_there_are_kinds_for_all() -> None:
    assert {kind for _, kinds in FAULTS.values() for kind in kinds} <= set(KINDS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, kinds = FAULTS[fault]
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        play_many(kinds)


def play_many(kinds: tuple[str, ...]) -> None:
    for seed in range(ENOUGH):
        History(seed, kinds).play()


@pytest.mark.parametrize("part", range(4))
def test_a_group_is_whole_again_whatever_has_happened(part: int) -> None:
    """``RABBITKEEPER_TESTS=quick`` plays a quarter of them; more: ``tests/simulation/group_history.py``."""
    for seed in range(part * 1000, part * 1000 + examples(40)):
        History(seed).play()


def test_a_group_is_whole_again_when_operators_ask_for_restarts_meanwhile() -> None:
    for seed in range(examples(32)):
        History(seed, RESTARTS).play()


def test_a_group_is_whole_again_though_nodes_do_not_come_up_after_their_pause() -> None:
    for seed in range(examples(32)):
        History(seed, PAUSES, sticks=0.5).play()


def test_a_group_is_whole_again_though_tools_find_no_node() -> None:
    for seed in range(examples(32)):
        History(seed, MUTED).play()


def test_a_group_is_whole_again_though_brokers_refuse_every_login() -> None:
    for seed in range(examples(32)):
        History(seed, DENIED).play()


def test_a_group_is_whole_again_though_brokers_are_stopped_by_signals() -> None:
    for seed in range(examples(32)):
        History(seed, (*STOPPED, "broker dies", "broker stalls", "alarm", "slow store")).play()


def test_a_group_is_whole_again_though_brokers_feed_nobody() -> None:
    for seed in range(examples(32)):
        History(seed, STARVED).play()


@pytest.mark.parametrize("seed", [1029, 2025])
def test_a_history_that_went_wrong_once(seed: int) -> None:
    History(seed).play()


def test_a_history_in_which_a_broker_was_back_and_died_by_itself_while_another_was_stuck() -> None:
    History(439, RESTARTS).play()


@pytest.mark.parametrize("seed", [7000, 7056])
def test_a_history_with_a_node_that_had_come_up_just_before_it_was_killed(seed: int) -> None:
    """It had booted apart from the others, and found them in the second in which it was asked last."""
    History(seed, PAUSES, sticks=0.5).play()


def test_a_history_after_which_a_broker_stood_still_for_good() -> None:
    """It hung while its listeners were closed, so that no probe waited for it."""
    History(18, ("broker stopped inside", "broker hangs")).play()


def test_a_history_after_which_a_node_was_missing_in_the_record() -> None:
    """The record was deleted, and written again by a node that booted, with itself alone."""
    History(6047, (*ALL_FAULTS, *REQUESTS)).play()
