"""Many agents in virtual time: whatever breaks, one leads at most; when it is over, one leads."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulation.election_group import TIMEOUT, TIMING, Group
from support.effort import examples

from rabbitkeeper.coordinator.model.records import MemberStatus, Tags
from rabbitkeeper.coordinator.policy.election import Action

SETTLED = TIMEOUT + TIMING.settle + 5.0  # seconds in which a vacant lead is taken, whatever happened before
LEADER = -1
KINDS = [
    "crash",
    "suspend",
    "cut",
    "mute",
    "sick",
    "drain",
    "alarm",
    "zookeeper",
    "frozen zookeeper",
    "pause",
]


@dataclass(frozen=True)
class Fault:
    after: float  # seconds from the one before
    kind: str
    member: int
    lasts: float


FAULTS = st.builds(
    Fault,
    after=st.sampled_from([0.0, 0.2, 1.0, 4.0, 8.0]),
    kind=st.sampled_from(KINDS),
    member=st.sampled_from([LEADER, LEADER, 0, 1, 2, 3, 4]),
    lasts=st.sampled_from([0.3, 2.0, 6.5, 9.0, 15.0]),
)
MEMBERS = st.lists(
    st.builds(
        Tags, priority=st.sampled_from([1, 100, 100]), no_failover=st.sampled_from([False] * 4 + [True])
    ),
    min_size=1,
    max_size=5,
).map(lambda tags: {f"node{number}": tag for number, tag in enumerate(tags)})


def inflict(group: Group, fault: Fault) -> None:
    world = group.world
    agent = list(group.agents.values())[fault.member % len(group.agents)]
    if fault.member == LEADER and group.leader is not None:
        agent = group.leader
    session = agent.session

    def later(what: Callable[[], object]) -> None:
        world.after(fault.lasts, what)

    match fault.kind:
        case "crash":
            agent.crash()
            later(lambda: agent.start() if not agent.alive else None)
        case "suspend":
            session.suspended = True
            later(lambda: setattr(session, "suspended", False))
        case "cut":
            session.link = False
            later(lambda: setattr(session, "link", True))
        case "mute":
            agent.mute = True
            later(lambda: setattr(agent, "mute", False))
        case "sick" | "drain" | "alarm":
            states = {
                "sick": MemberStatus.UNREACHABLE,
                "drain": MemberStatus.DRAINING,
                "alarm": MemberStatus.ALARMED,
            }
            agent.status = states[fault.kind]
            later(lambda: setattr(agent, "status", MemberStatus.RUNNING))
        case "zookeeper" | "frozen zookeeper" if group.zookeeper.up:
            group.zookeeper.stop()
            lost = fault.kind == "frozen zookeeper"
            later(lambda: group.zookeeper.start(lambda _: lost and world.chance.random() < 0.7))
        case "pause":
            group.pause()
            later(group.resume)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32),
    tags=MEMBERS,
    trouble=st.sampled_from([0.0, 0.3, 1.0]),
    faults=st.lists(FAULTS, min_size=1, max_size=12),
    crashed=st.sets(st.integers(0, 4), max_size=2),
    mute=st.sets(st.integers(0, 4), max_size=2),
)
def test_at_most_one_leads_and_in_the_end_one_does(
    seed: int, tags: dict[str, Tags], trouble: float, faults: list[Fault], crashed: set[int], mute: set[int]
) -> None:
    group = Group(seed, tags, trouble)
    for fault in faults:
        group.run(fault.after)
        inflict(group, fault)
    group.run(1.0)
    group.heal()
    for number in crashed:
        list(group.agents.values())[number % len(group.agents)].crash()
    for number in mute:
        list(group.agents.values())[number % len(group.agents)].mute = True
    group.run(20.0)  # the last fault is over by then
    group.heal()
    for number in mute:
        list(group.agents.values())[number % len(group.agents)].mute = True

    def settled() -> bool:
        leader = group.leader
        return leader is not None and leader.leads is not None

    if group.candidates():
        assert group.run_until(settled, SETTLED), "a healthy candidate did not take the lead"
        leader, changes = group.leader, list(group.changes)
        assert leader is not None
        assert not leader.tags.no_failover
        group.run(20.0)
        assert group.changes == changes, "the lead moved although nothing happened"
        assert group.leader is leader
    assert all(not tags[name].no_failover for name in group.owners.values())


@settings(max_examples=examples(100), deadline=None)
@given(
    seed=st.integers(0, 2**32),
    tags=MEMBERS.filter(lambda tags: any(not tag.no_failover for tag in tags.values())),
    outage=st.floats(0.05, 120.0),
    lost=st.sampled_from(["none", "all", "some"]),
)
def test_an_outage_of_zookeeper_does_not_move_the_lead_of_a_healthy_member(
    seed: int, tags: dict[str, Tags], outage: float, lost: str
) -> None:
    group = Group(seed, tags)
    assert group.run_until(lambda: group.leader is not None and group.leader.leads is not None, SETTLED)
    group.run(TIMING.settle + 2.0)
    leader = group.leader
    assert leader is not None
    group.zookeeper.stop()
    group.run(outage)
    if outage > 1.5 * TIMEOUT:
        assert {agent.leads for agent in group.agents.values()} == {None}
        assert leader.decision is not None
        assert leader.decision.action is Action.HOLD
    chance = {"none": 0.0, "all": 1.0, "some": 0.5}[lost]
    group.zookeeper.start(lambda _: group.world.chance.random() < chance)
    assert group.run_until(lambda: group.leader is not None and group.leader.leads is not None, SETTLED)
    group.run(10.0)
    assert {name for _, name, _ in group.changes} == {leader.name}
    assert group.leader is leader
    assert all(agent.store.registered for agent in group.agents.values())


@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 2**32), members=st.integers(2, 5), how=st.sampled_from(["crash", "resign"]))
def test_a_vacant_lead_is_taken_soon(seed: int, members: int, how: str) -> None:
    group = Group(seed, {f"node{number}": Tags() for number in range(members)})
    group.zookeeper.lags = (0.0,)
    assert group.run_until(lambda: group.leader is not None and group.leader.leads is not None, SETTLED)
    group.run(5.0)
    first = group.leader
    assert first is not None
    began = group.world.now
    if how == "crash":
        first.crash()
        within = TIMEOUT + 1.0  # the session's end, one look of the server's, watch and turn
    else:
        first.status = MemberStatus.UNREACHABLE
        within = 1.6  # one turn of the loop to notice, then watch and turn; stagger once if the view is old
    assert group.run_until(
        lambda: group.leader not in (None, first) and group.leader.leads is not None,
        within,
    ), f"vacant for {group.world.now - began:.2f} s"
    # All see the same, so it is the best: by name, priorities being equal.
    assert group.leader is not None
    assert group.leader.name == min(name for name in group.agents if name != first.name)


@settings(max_examples=examples(80), deadline=None)
@given(
    seed=st.integers(0, 2**32),
    kind=st.sampled_from(["cut", "suspend", "crash", "sick", "drain"]),
    lasts=st.sampled_from([7.0, 9.0, 15.0]),
    trouble=st.sampled_from([0.0, 1.0]),
)
def test_a_leader_that_is_away_longer_than_its_session_is_replaced_once_its_lease_is_over(
    seed: int, kind: str, lasts: float, trouble: float
) -> None:
    group = Group(seed, {f"node{number}": Tags() for number in range(3)}, trouble)
    assert group.run_until(lambda: group.leader is not None and group.leader.leads is not None, 60.0)
    group.run(3.0)
    inflict(group, Fault(0.0, kind, LEADER, lasts))
    group.run(lasts + 15.0)
    group.heal()
    assert group.run_until(lambda: group.leader is not None and group.leader.leads is not None, SETTLED)


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 2**32), mute=st.integers(1, 3))
def test_better_candidates_that_fail_do_not_hold_up_the_others(seed: int, mute: int) -> None:
    group = Group(seed, {f"node{number}": Tags() for number in range(mute + 2)})
    assert group.run_until(lambda: group.leader is not None and group.leader.leads is not None, SETTLED)
    group.run(5.0)
    first = group.leader
    assert first is not None
    others = sorted(name for name in group.agents if name != first.name)
    for name in others[:mute]:
        group.agents[name].mute = True
    first.status = MemberStatus.UNREACHABLE
    # One turn of the loop to notice; the head starts; a server that lags, and the trips there.
    assert group.run_until(lambda: group.leader not in (None, first), 1.0 + TIMING.stagger * (mute + 2) + 0.5)


@settings(max_examples=examples(40), deadline=None)
@given(seed=st.integers(0, 2**32), members=st.integers(2, 4))
def test_nobody_takes_the_lead_of_a_paused_group(seed: int, members: int) -> None:
    group = Group(seed, {f"node{number}": Tags() for number in range(members)})
    assert group.run_until(lambda: group.leader is not None and group.leader.leads is not None, SETTLED)
    group.run(3.0)
    first = group.leader
    assert first is not None
    changes = len(group.changes)
    group.pause()
    group.run(2.0)
    first.status = MemberStatus.UNREACHABLE
    group.run(10.0)
    assert group.leader is first, "a sick leader keeps its lead during maintenance"
    first.crash()
    group.run(30.0)
    assert len(group.changes) == changes
    group.resume()
    assert group.run_until(lambda: len(group.changes) > changes, 2.0)


@pytest.mark.parametrize("priority", [1, 200])
def test_the_lead_is_not_taken_from_a_healthy_leader_by_priority(priority: int) -> None:
    group = Group(7, {"a": Tags(priority=100)})
    assert group.run_until(lambda: group.leader is not None, SETTLED)
    group.run(5.0)
    from simulation.election_group import Agent

    group.agents["b"] = Agent(group, "b", Tags(priority=priority))
    group.run(20.0)
    assert group.leader is group.agents["a"]
