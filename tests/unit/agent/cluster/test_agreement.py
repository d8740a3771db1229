"""Whether nodes count each other in: which is the odd one out, when it is asked, and what follows."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from simulation.managed_group import Group
from support.agent_states import leader, member, view
from support.effort import seeds
from support.jobs import Done

from rabbitkeeper.agent.cluster.agreement import (
    DROPPED,
    HUNG_OF_LATE,
    MUTE,
    STOOD_STILL,
    Agreement,
    Comparison,
    compare,
    dropped_by,
    is_dropped,
)
from rabbitkeeper.agent.model.observation import NodeFacts, NodeState
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.agent.rabbitmq.ctl import (
    ClusterStatus,
    NodeNotRunning,
    RabbitmqCtlError,
    RabbitmqCtlTimeout,
)
from rabbitkeeper.coordinator.model.records import ClusterNode, ClusterRecord, MemberRecord, MemberStatus
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView

ONE, TWO, THREE = ALL = tuple(f"rabbit@node{number}" for number in (1, 2, 3))
RUNNING, SPLIT = MemberStatus.RUNNING, MemberStatus.SPLIT


def group(*states: MemberStatus, led: str = "node1") -> GroupView:
    nodes = {node: ClusterNode(member=node[7:], joined="") for node in ALL}
    cluster = ClusterView(ClusterRecord(founder=ONE, formed="", nodes=nodes), 0)
    there = [member(node[7:], state) for node, state in zip(ALL, states, strict=True)]
    return view(leader(led), *there, cluster=cluster)


def says(
    *running: str, partitions: frozenset[str] = frozenset(), nodes: tuple[str, ...] = ALL
) -> ClusterStatus:
    return ClusterStatus(frozenset(nodes), frozenset(running), {}, partitions)


def test_nodes_that_agree() -> None:
    assert compare(ONE, says(*ALL), group(RUNNING, RUNNING, RUNNING)) == Comparison()


def test_the_odd_one_out_is_who_has_no_majority_on_its_side() -> None:
    everybody = group(RUNNING, RUNNING, RUNNING)
    alone = compare(TWO, says(TWO, partitions=frozenset({ONE, THREE})), everybody)
    assert alone.split == (
        "its node believes itself cut off from rabbit@node1 and rabbit@node3, whose agents say that they run"
    )
    others = compare(ONE, says(ONE, THREE), group(RUNNING, SPLIT, RUNNING))
    assert (others.split, others.contested) == (None, False)
    assert (
        others.warning
        == "the node does not count as running rabbit@node2: the odd one out is restarted by its agent"
    )


def test_one_that_is_ill_by_its_own_word_need_not_be_counted() -> None:
    assert compare(ONE, says(ONE, THREE), group(RUNNING, MemberStatus.STOPPED, RUNNING)) == Comparison()
    assert compare(ONE, says(ONE, THREE), group(RUNNING, MemberStatus.MINORITY, RUNNING)) == Comparison()


def test_of_two_with_a_majority_each_the_leader_stays_or_the_first_by_name() -> None:
    everybody = group(RUNNING, RUNNING, RUNNING, led="node3")
    assert not compare(THREE, says(TWO, THREE), everybody).yields
    assert compare(ONE, says(ONE, TWO), everybody).yields
    elsewhere = group(RUNNING, RUNNING, RUNNING, led="node2")
    assert compare(THREE, says(TWO, THREE), elsewhere).yields
    assert not compare(ONE, says(ONE, TWO), elsewhere).yields


def denied(view: GroupView, **uncounted: tuple[str, ...]) -> GroupView:
    """As it is when members say whom their nodes do not count."""
    said = {
        name: replace(its, record=its.record.model_copy(update={"uncounted": uncounted.get(name, ())}))
        for name, its in view.members.items()
    }
    return replace(view, members=MappingProxyType(said))


def test_one_that_counts_another_and_is_not_counted_by_it_knows_whose_turn_it_is() -> None:
    everybody = group(RUNNING, RUNNING, RUNNING)
    blind = compare(TWO, says(ONE, TWO), everybody)
    assert (blind.uncounted, blind.yields, blind.counted) == ({THREE}, False, False)
    unseen = compare(THREE, says(*ALL), denied(everybody, node2=(THREE,)))
    assert unseen == Comparison(
        warning=(
            "the node is not counted as running by rabbit@node2: the odd one out is restarted by its agent"
        ),
        contested=True,
        yields=True,
        counted=True,
    )
    assert compare(ONE, says(*ALL), denied(everybody, node2=(THREE,))) == Comparison()
    leads = group(RUNNING, RUNNING, RUNNING, led="node3")
    assert compare(TWO, says(ONE, TWO), leads).yields
    assert not compare(THREE, says(*ALL), denied(leads, node2=(THREE,))).yields


def test_one_that_most_do_not_count_gives_way_though_it_leads_and_they_do_not() -> None:
    leads = denied(group(RUNNING, RUNNING, RUNNING, led="node3"), node1=(THREE,), node2=(THREE,))
    assert compare(THREE, says(*ALL), leads).yields
    assert not compare(ONE, says(ONE, TWO), leads).yields
    assert not compare(TWO, says(ONE, TWO), leads).yields


def test_of_two_without_the_third_only_one_gives_way() -> None:
    """Both did, and nobody was left to lead."""
    two = group(RUNNING, RUNNING, MemberStatus.HUNG)
    first, second = compare(ONE, says(ONE), two), compare(TWO, says(TWO), two)
    assert (first.split, first.contested, first.yields) == (None, True, False)
    assert (second.split, second.contested, second.yields) == (None, True, True)


def test_a_node_that_has_left_the_recorded_cluster() -> None:
    alone = compare(TWO, says(TWO, nodes=(TWO,)), group(RUNNING, RUNNING, RUNNING))
    assert alone.split == "its node has left the recorded cluster and knows of rabbit@node2 only"


def dropped(*droppers: str) -> GroupView:
    everybody = group(RUNNING, MemberStatus.HUNG, RUNNING)
    said = {
        name: replace(its, record=its.record.model_copy(update={"dropped": (TWO,)}))
        if its.record.node in droppers
        else its
        for name, its in everybody.members.items()
    }
    return replace(everybody, members=said)


def out(node: str, view: GroupView) -> bool:
    return is_dropped(node, view, dropped_by(node, view))


def test_who_is_dropped_by_so_many_that_they_are_a_majority_is_out() -> None:
    assert out(TWO, dropped(ONE, THREE))
    assert not out(TWO, dropped(ONE))
    assert not out(TWO, dropped(ONE, TWO))
    assert not out(THREE, dropped(ONE, THREE))
    assert not out(TWO, replace(dropped(ONE, THREE), cluster=None))


@pytest.mark.parametrize(
    "state", [MemberStatus.UNREACHABLE, MemberStatus.STARTING, MemberStatus.STOPPED, MemberStatus.HUNG]
)
def test_those_that_start_again_have_dropped_nobody(state: MemberStatus) -> None:
    """It was split for a minute by the word of brokers that had met it afresh, and nobody had a majority."""
    agreement = Agreement(TWO, _Says(), session_timeout=6.0, wake=lambda: None)
    agreement.turn(101.0, verdict(MemberStatus.HUNG), dropped(ONE, THREE), formed=True)
    assert agreement.dropped
    agreement.turn(140.0, verdict(RUNNING), group(RUNNING, RUNNING, RUNNING), formed=True)
    assert agreement.dropped, "it is told for some seconds only"
    agreement.turn(141.0, verdict(RUNNING), group(state, RUNNING, RUNNING), formed=True)
    assert agreement.dropped is (state is MemberStatus.HUNG)
    agreement.turn(142.0, verdict(RUNNING), group(RUNNING, RUNNING, RUNNING), formed=True)
    assert agreement.dropped is (state is MemberStatus.HUNG)


class _Says:
    answered = True

    def cluster_status(self) -> ClusterStatus:
        return says(*ALL)

    def answers(self, node: str) -> bool:
        return True


def verdict(status: MemberStatus) -> Verdict:
    return Verdict(status, (), 0.0)


def test_one_that_was_dropped_is_split_until_it_has_started_again_whatever_it_says() -> None:
    agreement = Agreement(TWO, _Says(), session_timeout=6.0, wake=lambda: None)
    told, hung = dropped(ONE, THREE), verdict(MemberStatus.HUNG)
    agreement.turn(100.0, verdict(RUNNING), told, formed=True)  # before its agent has seen it hang
    assert not agreement.dropped
    agreement.turn(101.0, hung, told, formed=True)
    assert agreement.dropped
    well = group(RUNNING, RUNNING, RUNNING)
    for status in (MemberStatus.UNREACHABLE, MemberStatus.STARTING, RUNNING, SPLIT):
        agreement.turn(102.0, verdict(status), well, formed=True)
        assert (agreement.dropped, agreement.split) == (True, DROPPED)
    agreement.turn(103.0, verdict(MemberStatus.STARTING), told, formed=False)
    agreement.turn(104.0, verdict(RUNNING), told, formed=True)
    assert (agreement.dropped, agreement.split) == (False, None)


@pytest.mark.parametrize("status", [RUNNING, MemberStatus.STARTING, MemberStatus.HUNG])
def test_one_that_was_dropped_while_its_host_stood_still_is_split_too(status: MemberStatus) -> None:
    """Before anybody could see it hang: its agent stood still with it, and was gone from ZooKeeper."""
    told = dropped(ONE, THREE)
    agreement = Agreement(TWO, _Says(), session_timeout=6.0, wake=lambda: None)
    agreement.turn(100.0, verdict(status), None, formed=True, stood_still=STOOD_STILL + 0.1)
    agreement.turn(105.0, verdict(status), told, formed=True)
    assert (agreement.dropped, agreement.split) == (True, DROPPED)


@pytest.mark.parametrize(("stood_still", "excused"), [(STOOD_STILL, False), (20.0, True)])
def test_one_whose_host_stood_still_for_a_moment_or_was_cut_off_is_not_dropped(
    stood_still: float, excused: bool
) -> None:
    agreement = Agreement(TWO, _Says(), session_timeout=6.0, wake=lambda: None)
    agreement.turn(100.0, verdict(RUNNING), None, formed=True, excused=excused, stood_still=stood_still)
    agreement.turn(101.0, verdict(RUNNING), dropped(ONE, THREE), formed=True, excused=excused)
    assert not agreement.dropped


def test_the_others_word_may_come_a_moment_after_it_goes_on() -> None:
    agreement = Agreement(TWO, _Says(), session_timeout=6.0, wake=lambda: None)
    well, told = group(RUNNING, RUNNING, RUNNING), dropped(ONE, THREE)
    agreement.turn(100.0, verdict(MemberStatus.HUNG), well, formed=True)
    agreement.turn(101.0, verdict(RUNNING), well, formed=True)
    assert not agreement.dropped
    agreement.turn(100.0 + HUNG_OF_LATE, verdict(RUNNING), told, formed=True)
    assert not agreement.dropped
    agreement.turn(99.9 + HUNG_OF_LATE, verdict(RUNNING), told, formed=True)
    assert agreement.dropped


@pytest.mark.parametrize("state", [NodeState.PAUSED, NodeState.BOOTING])
def test_one_that_starts_again_by_itself_or_was_cut_off_with_its_agent_is_not_dropped(
    state: NodeState,
) -> None:
    agreement = Agreement(TWO, _Says(), session_timeout=6.0, wake=lambda: None)
    told, hung = dropped(ONE, THREE), verdict(MemberStatus.HUNG)
    agreement.turn(100.0, hung, told, formed=True, excused=True)
    assert not agreement.dropped
    agreement.turn(101.0, hung, told, formed=True)
    assert agreement.dropped
    unreachable = verdict(MemberStatus.UNREACHABLE)
    agreement.turn(102.0, unreachable, told, formed=True, node=NodeFacts(state, 102.0))
    assert (agreement.dropped, agreement.split) == (False, None)


def test_what_older_agents_read_of_a_split_node() -> None:
    record = member("node2", SPLIT, "because").record
    data = record.to_bytes()
    assert b'"state":"unreachable"' in data
    assert MemberRecord.from_bytes("/members/node2", data).state is SPLIT
    assert b"condition" not in member("node2").record.to_bytes()


@pytest.fixture(params=seeds(6))
def whole(request: pytest.FixtureRequest) -> Group:
    group = Group(seed=request.param)
    group.rabbits.splits = 1.0
    assert group.run_until(lambda: group.whole, 60) is not None, group.log
    group.run(1)
    return group


@pytest.mark.parametrize("led", [True, False])
@pytest.mark.parametrize(("lasts", "answers"), [(20.0, True), (20.0, False), (60.0, True)])
def test_a_host_that_was_paused_is_whole_again_within_a_minute(
    whole: Group, led: bool, lasts: float, answers: bool
) -> None:
    """Its broker may answer no client when it goes on, as if it hung, and its Erlang machine all the same."""
    name = next(name for name in whole.names if (name == whole.leader) is led)
    agent, began = whole.agents[name], whole.world.now
    agent.starved = not answers  # for which what hangs is given more time
    whole.rabbits.silences = float(not answers)
    agent.broker.hang()
    agent.session.suspended = True
    whole.run(lasts)
    agent.session.suspended = False
    agent.broker.go_on()
    took = whole.run_until(lambda: bool(whole.rabbits.disagreement()), 5)
    assert took is not None, "RabbitMQ leaves it split"
    member = whole.member(name)
    assert member is None or member.state != "running", "it does not serve before it has been asked"
    assert whole.run_until(lambda: not whole.rabbits.disagreement() and whole.whole, 60) is not None
    kills = {each: len(whole.noted(each, "kill", began)) for each in whole.names}
    assert kills == {each: int(each == name) for each in whole.names}, "the odd one out, once"


class _Fails:
    """Tools whose question about the cluster fails, and that find the node or not."""

    def __init__(self) -> None:
        self.failure: RabbitmqCtlError | None = None
        self.found = self.answered = True

    def cluster_status(self) -> ClusterStatus:
        if self.failure is not None:
            raise self.failure
        return says(*ALL)

    def answers(self, node: str) -> bool:
        assert node == TWO
        return self.found


def asked(tools: _Fails, seconds: int) -> Agreement:
    agreement = Agreement(TWO, tools, session_timeout=6.0, wake=lambda: None, launch=Done)
    for second in range(seconds):
        agreement.turn(float(second), verdict(RUNNING), group(RUNNING, RUNNING, RUNNING), formed=True)
    return agreement


def test_tools_that_have_found_the_node_and_do_not_any_more_are_told_of() -> None:
    tools = _Fails()
    tools.failure, tools.found = NodeNotRunning("no running node"), False
    agreement = asked(tools, 100)
    assert agreement.mute_since is not None
    assert agreement.mute_since < 10.0
    assert (agreement.warning, agreement.split) == (MUTE, None)
    tools.failure, tools.found = None, True
    for second in range(100, 150):
        agreement.turn(float(second), verdict(RUNNING), group(RUNNING, RUNNING, RUNNING), formed=True)
    assert agreement.mute_since is None
    assert agreement.warning is None


@pytest.mark.parametrize(
    ("failure", "found", "answered"),
    [
        (RabbitmqCtlTimeout("another node hangs"), True, True),
        (NodeNotRunning("another cookie"), False, False),
        (RabbitmqCtlError("it did not print JSON"), True, True),
    ],
)
def test_what_may_be_the_tools_or_another_node_says_nothing(
    failure: RabbitmqCtlError, found: bool, answered: bool
) -> None:
    tools = _Fails()
    tools.failure, tools.found, tools.answered = failure, found, answered
    assert asked(tools, 600).mute_since is None


def test_one_that_does_not_serve_is_not_asked_for_that() -> None:
    tools = _Fails()
    tools.failure, tools.found = NodeNotRunning("no running node"), False
    agreement = asked(tools, 100)
    agreement.turn(100.0, verdict(MemberStatus.HUNG), group(RUNNING, RUNNING, RUNNING), formed=True)
    assert agreement.mute_since is None
