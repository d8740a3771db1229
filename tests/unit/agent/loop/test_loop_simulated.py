"""The loop in virtual time: what happens at each fault, in which order, and how soon."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from simulation.agents import SimulatedAgent
from simulation.managed_group import Group
from simulation.rabbitmq.broker import BOOT
from simulation.rabbitmq.cluster import NET_TICK
from support.effort import examples, seeds

from rabbitkeeper.agent.broker.policy import HUNG_GRACE, STUCK
from rabbitkeeper.agent.cluster.canary_repair import PATIENCE
from rabbitkeeper.agent.group.disruption import TURN
from rabbitkeeper.agent.model.observation import NodeState
from rabbitkeeper.agent.rabbitmq.quorum_queues import QuorumQueue

BOOTED = BOOT + 5.0


@pytest.fixture(params=seeds(5))
def group(request: pytest.FixtureRequest) -> Group:
    group = Group(seed=request.param)
    assert group.run_until(lambda: group.whole, 60) is not None, group.log
    group.run(1)  # the history's entry is written beside the loop
    return group


def led_by(group: Group) -> str:
    assert group.leader is not None
    return group.leader


def state_of(group: Group, name: str) -> str | None:
    member = group.member(name)
    return None if member is None else member.state


def test_the_group_comes_up_and_then_writes_nothing(group: Group) -> None:
    zxid = group.zookeeper.zxid
    group.run(60)
    assert group.zookeeper.zxid == zxid
    assert group.whole


def test_a_dead_broker_costs_the_lead_at_once(group: Group) -> None:
    led, began = led_by(group), group.world.now
    group.agents[led].broker.die()
    assert group.run_until(lambda: bool(group.noted(led, "resigned", began)), 5) is not None
    assert group.noted(led, "resigned", began)[0] < began + 0.1
    assert (took := group.run_until(lambda: group.leader is not None, 5)) is not None
    assert took < 1.0
    assert group.leader != led
    now_leads = group.leader
    assert group.run_until(lambda: group.whole, BOOTED) is not None, "the broker was started again"
    assert group.leader == now_leads


def test_a_hung_broker_costs_the_lead_before_it_is_killed(group: Group) -> None:
    led, began = led_by(group), group.world.now
    group.agents[led].broker.hang()
    assert (took := group.run_until(lambda: group.leader not in (None, led), 10)) is not None
    assert took < 4.0
    group.run(5.0)
    (resigned,) = group.noted(led, "resigned", began)
    (killed,) = group.noted(led, "kill", began)
    assert resigned + HUNG_GRACE <= killed < resigned + HUNG_GRACE + 2.0
    assert group.run_until(lambda: group.whole, BOOTED) is not None


def test_a_node_that_is_gone_is_replaced_within_the_session_timeout(group: Group) -> None:
    led = led_by(group)
    group.agents[led].crash()
    group.agents[led].broker.die()
    assert (took := group.run_until(lambda: group.leader not in (None, led), 20)) is not None
    assert took < 6.0 + 0.5
    group.agents[led].start()
    assert group.run_until(lambda: group.whole, BOOTED + 10) is not None
    assert group.leader != led


def test_a_new_run_of_an_agent_adopts_the_broker(group: Group) -> None:
    led = led_by(group)
    agent = group.agents[led]
    pid = agent.broker.pid
    agent.crash()
    agent.start()
    assert group.run_until(lambda: group.member(led) is not None and group.whole, 30) is not None
    group.run(10)
    assert group.whole
    assert agent.broker.pid == pid
    assert agent.refused is None


def test_an_outage_of_zookeeper_changes_nothing(group: Group) -> None:
    led, epochs = led_by(group), list(group.epochs)
    pids = {name: agent.broker.pid for name, agent in group.agents.items()}
    group.zookeeper.stop()
    group.run(60)
    assert not any(what == "kill" for _, _, what in group.log)
    group.zookeeper.start()
    assert (took := group.run_until(lambda: group.whole, 10)) is not None
    assert took < 3.0
    group.run(10)
    assert group.leader == led
    assert group.epochs == epochs
    assert {name: agent.broker.pid for name, agent in group.agents.items()} == pids


def test_a_broker_that_dies_without_zookeeper_is_started_all_the_same(group: Group) -> None:
    led = led_by(group)
    group.zookeeper.stop()
    group.run(10)
    group.agents[led].broker.die()
    group.run(BOOTED)
    assert group.agents[led].broker.up
    group.zookeeper.start()
    assert group.run_until(lambda: group.whole, 20) is not None


def test_a_hung_broker_is_killed_also_without_zookeeper(group: Group) -> None:
    # It makes the whole cluster wait; ZooKeeper has nothing to do with that.
    led = led_by(group)
    group.zookeeper.stop()
    group.run(10)
    group.agents[led].broker.hang()
    group.run(STUCK - 10)
    assert not group.noted(led, "kill"), "how the others are is not known, so it may be a part of a majority"
    group.run(20 + 3 * TURN + BOOTED)
    assert group.noted(led, "kill")
    assert group.agents[led].broker.up


def test_a_leader_cut_off_from_zookeeper_does_not_lead_on(group: Group) -> None:
    led = led_by(group)
    agent = group.agents[led]
    agent.session.link = False
    assert group.run_until(lambda: group.leader not in (None, led), 20) is not None
    assert not agent.session.lease.valid(group.world.now)
    assert "stays as the last known leader" in agent.sentence
    agent.session.link = True
    assert group.run_until(lambda: group.whole, 20) is not None
    assert group.leader != led


def test_one_without_a_majority_does_not_take_the_lead_and_says_so(group: Group) -> None:
    led = led_by(group)
    group.rabbits.pauses = False
    others = [name for name in group.names if name != led]
    for name in (led, others[0]):
        group.agents[name].crash()
        group.agents[name].broker.die()
    assert group.run_until(lambda: group.leader is None, 20) is not None
    group.run(10)
    assert group.leader is None
    member = group.member(others[1])
    assert member is not None
    assert member.state == "minority"
    assert member.reasons == ("no majority answers",)
    group.heal()
    assert group.run_until(lambda: group.whole, 60) is not None


@pytest.mark.parametrize("pauses", [True, False])
def test_a_leader_that_alone_has_no_majority_says_so_and_then_gives_way(group: Group, pauses: bool) -> None:
    led = led_by(group)
    group.rabbits.pauses = pauses
    group.agents[led].broker.cut_off = True
    assert group.run_until(lambda: state_of(group, led) == "minority", 15) is not None
    assert group.leader == led, "it may be that nobody has one, and the others have yet to notice"
    assert group.run_until(lambda: group.leader not in (None, led), 15) is not None
    group.run(5)
    assert state_of(group, led) == ("unreachable" if pauses else "minority")
    group.agents[led].broker.cut_off = False
    assert group.run_until(lambda: group.whole, 10) is not None
    assert group.leader != led


def test_when_nobody_has_a_majority_all_say_so_and_the_leader_stays(group: Group) -> None:
    led = led_by(group)
    group.rabbits.pauses = False
    for agent in group.agents.values():
        agent.broker.cut_off = True
    everybody = ["minority"] * 3
    assert (
        group.run_until(lambda: [state_of(group, name) for name in group.names] == everybody, 15) is not None
    )
    group.run(NET_TICK + PATIENCE + 10)  # by then it is said why the canary's queue is left as it is
    zxid = group.zookeeper.zxid
    group.run(60)
    assert group.leader == led
    assert group.zookeeper.zxid == zxid, "nothing is written while nothing changes"
    for agent in group.agents.values():
        agent.broker.cut_off = False
    assert group.run_until(lambda: group.whole, 10) is not None
    assert group.leader == led


def test_a_broker_drained_by_an_operator_says_so_and_is_left_alone(group: Group) -> None:
    led, began = led_by(group), group.world.now
    agent = group.agents[led]
    pid = agent.broker.pid
    agent.broker.refuse(NodeState.DRAINED)
    assert group.run_until(lambda: group.leader not in (None, led), 5) is not None
    assert group.run_until(lambda: state_of(group, led) == "draining", 10) is not None
    group.run(300)
    assert state_of(group, led) == "draining"
    assert agent.broker.pid == pid
    assert not group.noted(led, "kill", began)
    agent.broker.refuse(None)
    assert group.run_until(lambda: group.whole, 10) is not None


def test_a_broker_that_rabbitmq_has_paused_is_left_alone_for_as_long_as_it_takes(group: Group) -> None:
    led, began = led_by(group), group.world.now
    group.agents[led].broker.refuse(NodeState.PAUSED)
    group.run(600)
    member = group.member(led)
    assert member is not None
    assert member.state == "unreachable"
    assert "no majority of its cluster" in member.reasons[0]
    assert not group.noted(led, "kill", began)
    group.agents[led].broker.refuse(None)
    assert group.run_until(lambda: group.whole, 10) is not None


def test_a_broker_that_is_stopped_in_a_living_erlang_machine_is_started_anew(group: Group) -> None:
    led, began = led_by(group), group.world.now
    group.agents[led].broker.refuse(NodeState.STOPPED)
    assert group.run_until(lambda: state_of(group, led) == "stopped", 10) is not None
    group.run(50)
    assert not group.noted(led, "kill", began), "whoever has stopped it has a minute"
    assert group.run_until(lambda: group.whole, 30 + BOOTED) is not None
    assert len(group.noted(led, "kill", began)) == 1


def test_a_member_that_comes_back_is_given_the_replicas_that_it_is_to_have(group: Group) -> None:
    """Every queue got one on every node: one that had asked for a single replica had three."""
    led = led_by(group)
    group.run(60)
    mine, began = group.agents[led].broker, group.world.now
    others = frozenset(group.agents[name].broker.node for name in group.names if name != led)
    one = frozenset(sorted(others)[:1])
    queues = [
        QuorumQueue("/", "declared without it", others),
        QuorumQueue("/", "asks for one", one, target=1),
        QuorumQueue("a", "asks for two", others, target=2),
        QuorumQueue("a", "asks for nine", one, target=9),
    ]
    mine.disk.queues.update({(queue.vhost, queue.name): queue for queue in queues})
    mine.die()
    assert group.run_until(lambda: group.whole, BOOTED) is not None
    group.run(120)
    assert [mine.disk.queues[queue.vhost, queue.name].members for queue in queues] == [
        others | {mine.node},
        one,
        others,
        one | {mine.node},
    ]
    looked = {name: len(group.noted(name, "looks at replicas", began)) for name in group.names}
    assert looked == {name: int(name == led) for name in group.names}
    member = group.member(led)
    assert member is not None
    assert member.warnings == (
        "quorum queues with fewer replicas than they are to have: 'asks for nine' in vhost 'a' (2 of 3)",
    )


def test_draining_gives_up_the_lead_and_says_why(group: Group) -> None:
    led = led_by(group)
    group.agents[led].loop.drain("told to stop")
    assert group.run_until(lambda: group.leader not in (None, led), 5) is not None
    member = group.member(led)
    assert member is not None
    assert (member.state, member.reasons) == ("draining", ("told to stop",))


def test_a_second_agent_of_the_same_name_is_refused_and_touches_nothing(group: Group) -> None:
    second = SimulatedAgent(group, group.agents["node1"].config)
    before = group.zookeeper.tree[group.paths.member("node1")]
    assert group.run_until(lambda: second.refused is not None, 20) is not None
    assert "give this agent a name of its own" in str(second.refused)
    assert second.broker.pid is None
    assert group.zookeeper.tree[group.paths.member("node1")] == before


NAMES = ("node1", "node2", "node3")
FAULTS: dict[str, Callable[[Group, str], object]] = {
    "kill the broker": lambda group, name: group.agents[name].broker.die(),
    "hang the broker": lambda group, name: group.agents[name].broker.hang(),
    "kill the agent": lambda group, name: group.agents[name].crash(),
    "cut the agent off": lambda group, name: setattr(group.agents[name].session, "link", False),
    "connect the agent": lambda group, name: setattr(group.agents[name].session, "link", True),
    "suspend the agent": lambda group, name: setattr(group.agents[name].session, "suspended", True),
    "resume the agent": lambda group, name: setattr(group.agents[name].session, "suspended", False),
    "cut the broker off": lambda group, name: setattr(group.agents[name].broker, "cut_off", True),
    "lose packets": lambda group, name: setattr(group.agents[name].session, "trouble", 0.7),
    "expire the session": lambda group, name: group.zookeeper.end(group.agents[name].session.session_id),
    "stop ZooKeeper": lambda group, name: group.zookeeper.stop(),
    "start ZooKeeper": lambda group, name: None if group.zookeeper.up else group.zookeeper.start(),
}


# Each of two has dropped all others, for its own part was cut off: that is no reason to restart the third.
ALL_CUT_OFF = [
    ("cut the broker off", "node2", 0.0),
    ("stop ZooKeeper", "node1", 0.0),
    ("suspend the agent", "node1", 0.0),
    ("cut the broker off", "node1", 12.0),
]


# The first to be ended waits for the others' tables, and they for its lock.
ALL_HANG = [
    ("cut the agent off", "node3", 3.5),
    ("hang the broker", "node2", 18.0),
    ("hang the broker", "node3", 12.0),
    ("kill the agent", "node1", 0.0),
    ("hang the broker", "node1", 9.0),
    ("stop ZooKeeper", "node3", 0.0),
]


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 10_000),
    st.lists(
        st.tuples(
            st.sampled_from(sorted(FAULTS)),
            st.sampled_from(("node1", "node2", "node3")),
            st.floats(0.0, 12.0),
        ),
        max_size=8,
    ),
)
@example(0, ALL_CUT_OFF)
@example(2977, ALL_HANG)
def test_whatever_happens_the_group_is_whole_again_when_it_is_over(
    seed: int, faults: list[tuple[str, str, float]]
) -> None:
    group = Group(seed)
    group.run(15)
    for fault, name, pause in faults:
        FAULTS[fault](group, name)
        group.run(pause)
    group.heal()
    group.run(10)  # what happened last has its effect
    assert group.run_until(lambda: group.whole, 150) is not None, (
        group.log,
        {name: agent.sentence for name, agent in group.agents.items()},
    )
    led, epochs = group.leader, list(group.epochs)
    group.run(30)
    assert (group.leader, group.epochs) == (led, epochs)


@pytest.mark.parametrize("state", [NodeState.DRAINED, NodeState.PAUSED])
def test_a_new_agent_leaves_a_broker_alone_that_is_drained_or_paused(group: Group, state: NodeState) -> None:
    name, began = led_by(group), group.world.now
    agent = group.agents[name]
    agent.broker.refuse(state)
    agent.crash()
    agent.start()
    group.run(300)  # longer than a broker may take to boot
    assert not group.noted(name, "kill", began)
    agent.broker.refuse(None)
    assert group.run_until(lambda: group.whole, 10) is not None


def test_a_new_agent_opens_listeners_that_one_before_it_has_closed(group: Group) -> None:
    name, began = led_by(group), group.world.now
    agent = group.agents[name]
    agent.broker.refuse(NodeState.DRAINED_BY_AGENT)
    agent.crash()
    agent.start()
    assert group.run_until(lambda: bool(group.noted(name, "revive", began)), 60) is not None
    assert group.run_until(lambda: group.whole, 10) is not None
    group.run(60)
    assert len(group.noted(name, "revive", began)) == 1
    assert not group.noted(name, "kill", began)
