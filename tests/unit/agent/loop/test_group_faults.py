"""What went wrong once in whole groups, brokers included, each as a scenario in virtual time."""

from collections.abc import Callable

import pytest
from simulation.group_faults import ALARM
from simulation.managed_group import Group

from rabbitkeeper.agent.model.observation import NodeState
from rabbitkeeper.coordinator.model.records import ClusterNode, ClusterRecord, MemberStatus

ROOT = "/rabbitkeeper/orders"


def dropped_by(group: Group, since: float) -> list[str]:
    """Whose brokers have dropped node2's."""
    node = group.agents["node2"].broker.node
    return [name for name in group.names if group.noted(name, f"drop {node}", since)]


def state(group: Group, name: str) -> MemberStatus:
    record = group.member(name)
    assert record is not None
    return record.state


def everybody(group: Group, do: Callable[[str], object]) -> None:
    for name in group.names:
        do(name)


@pytest.mark.parametrize("lasts", [3.0, 3.5, 8.0, 20.0])
def test_brokers_that_stall_together_are_not_killed(group: Group, lasts: float) -> None:
    before = group.pids
    everybody(group, lambda name: group.agents[name].broker.hang())
    group.run(lasts)
    everybody(group, lambda name: group.agents[name].broker.go_on())
    assert group.run_until(lambda: group.whole, 30) is not None
    group.run(30)
    assert group.pids == before


def test_one_that_stalls_with_a_host_that_is_starved_is_given_time(group: Group) -> None:
    before, agent = group.pids, group.agents["node2"]
    agent.starved = True
    agent.broker.hang()
    group.run(6.0)
    agent.broker.go_on()
    assert group.run_until(lambda: group.whole, 30) is not None
    assert group.pids == before


def test_one_that_is_stopped_on_a_host_that_is_starved_is_killed_soon(group: Group) -> None:
    """It was given 20 s, for which new channels to its queues waited on the other nodes."""
    before, began, agent = group.pids["node2"], group.world.now, group.agents["node2"]
    agent.starved = True
    agent.tools.slow = True  # which its own agent does not need for that
    agent.stop_broker()
    assert group.run_until(lambda: bool(group.noted("node2", "kill", began)), 8.0) is not None
    agent.tools.slow = False
    assert group.run_until(lambda: group.whole, 60) is not None
    assert group.pids["node2"] != before


@pytest.mark.parametrize("lasts", [2.6, 3.6, 6.0])
def test_one_that_is_stopped_for_a_moment_is_not_killed(group: Group, lasts: float) -> None:
    before, agent = group.pids, group.agents["node2"]
    agent.starved = True
    agent.stop_broker()
    group.run(lasts)
    agent.broker.go_on()
    assert group.run_until(lambda: group.whole, 30) is not None
    assert group.pids == before


def test_one_that_goes_on_in_the_last_moment_is_not_killed(group: Group) -> None:
    """Before its canary is answered: its process alone tells."""
    before, agent = group.pids, group.agents["node2"]
    agent.stop_broker()
    assert group.run_until(lambda: agent.supervisor.busy, 10) is not None
    group.run(0.97)
    agent.broker.go_on()
    assert group.run_until(lambda: group.whole, 30) is not None
    assert group.pids == before


def test_those_that_are_stopped_together_are_not_killed_while_they_are_the_majority(group: Group) -> None:
    before = group.pids
    for name in ("node1", "node3"):
        group.agents[name].stop_broker()
    group.run(15.0)
    for name in ("node1", "node3"):
        group.agents[name].broker.go_on()
    assert group.run_until(lambda: group.whole, 30) is not None
    assert group.pids == before


def test_a_node_that_the_others_have_dropped_does_not_serve_before_it_has_started_again(group: Group) -> None:
    """Its channels have lived on meanwhile, and nobody else counts it in."""
    before, began, agent = group.pids, group.world.now, group.agents["node2"]
    agent.starved = True  # so that it is given time
    group.rabbits.splits = 1.0
    agent.broker.hang()
    assert group.run_until(lambda: dropped_by(group, began) == ["node1", "node3"], 30) is not None
    agent.broker.go_on()
    group.run(1.0)
    while not group.noted("node2", "kill", began):
        assert state(group, "node2") is not MemberStatus.RUNNING
        group.run(0.05)
    assert group.run_until(lambda: group.whole, 60) is not None
    assert len(group.noted("node2", "kill", began)) == 1
    assert group.pids["node2"] != before["node2"]


@pytest.mark.parametrize("after", [0.0, 3.0, 8.0])
def test_beside_a_host_that_dies_whole_nobody_takes_itself_for_split(group: Group, after: float) -> None:
    """Its record says that it runs, until its session ends."""
    group.agents["node3"].broker.die()  # after which the nodes are compared
    assert group.run_until(lambda: group.whole, 60) is not None
    group.run(after)
    group.agents["node1"].crash()
    group.agents["node1"].broker.die()
    for _ in range(400):
        group.run(0.05)
        for name in ("node2", "node3"):
            assert state(group, name) is not MemberStatus.SPLIT


def test_a_majority_that_stalls_is_not_killed_either(group: Group) -> None:
    before = group.pids
    for name in ("node1", "node3"):
        group.agents[name].broker.hang()
    group.run(10.0)
    for name in ("node1", "node3"):
        group.agents[name].broker.go_on()
    assert group.run_until(lambda: group.whole, 30) is not None
    assert group.pids == before


@pytest.mark.parametrize("damage", [None, b"{]"])
def test_brokers_that_stall_while_nobody_knows_the_cluster_are_not_killed_either(
    group: Group, damage: bytes | None
) -> None:
    """Nobody can write the record again, since no node answers; and without it no majority was wanted."""
    before = group.pids
    everybody(group, lambda name: group.agents[name].broker.hang())
    group.zookeeper.by_hand(f"{ROOT}/cluster", damage)
    group.run(8.0)
    everybody(group, lambda name: group.agents[name].broker.go_on())
    assert group.run_until(lambda: group.whole, 30) is not None
    group.run(30)
    assert group.pids == before
    assert len(group.recorded) == 3


def refuses(group: Group, name: str, state: NodeState) -> None:
    """Have its broker close its listeners; here one that is paused does not come back by itself."""
    broker = group.agents[name].broker
    broker.refuse(state)
    group.run(1)


@pytest.mark.parametrize("state", [NodeState.PAUSED, NodeState.DRAINED, NodeState.STOPPED])
def test_one_that_hangs_while_its_listeners_are_closed_is_ended(group: Group, state: NodeState) -> None:
    """No probe waits for it, so that it was unreachable for good."""
    refuses(group, "node2", state)
    began = group.world.now
    group.agents["node2"].broker.hang()
    assert group.run_until(lambda: group.whole, 130) is not None, group.log
    (killed,) = group.noted("node2", "kill", began)
    assert killed >= began + 60.0


def test_two_that_hang_so_are_ended_one_after_the_other_though_no_majority_is_well(group: Group) -> None:
    began = group.world.now
    for name in ("node2", "node3"):
        refuses(group, name, NodeState.DRAINED)
        group.agents[name].broker.hang()
    assert group.run_until(lambda: group.whole, 400) is not None, group.log
    kills = sorted(at for name in group.names for at in group.noted(name, "kill", began))
    assert len(kills) == 2
    assert kills[0] >= began + 120.0


@pytest.mark.parametrize(
    ("state", "lasts", "starved"), [(NodeState.PAUSED, 50.0, False), (NodeState.DRAINED, 110.0, True)]
)
def test_one_whose_tools_are_slow_while_its_listeners_are_closed_is_not_killed(
    group: Group, state: NodeState, lasts: float, starved: bool
) -> None:
    agent, before = group.agents["node2"], group.pids
    agent.starved = starved
    refuses(group, "node2", state)
    agent.tools.slow = True
    group.run(lasts)
    agent.tools.slow = False
    group.run(30)
    assert group.pids == before


def test_one_that_waits_when_a_new_agent_comes_is_not_killed_for_a_look_that_found_no_answer(
    group: Group,
) -> None:
    """It counted at once as one that had not come up."""
    agent, before = group.agents["node2"], group.pids
    agent.broker.refuse(NodeState.DRAINED)
    agent.crash()
    group.run(10)
    agent.start()
    group.run(100)
    agent.tools.slow = True
    group.run(40)
    agent.tools.slow = False
    group.run(60)
    assert group.pids == before


def test_brokers_that_hang_for_good_are_ended_one_after_the_other_though_nobody_is_well(group: Group) -> None:
    began = group.world.now
    everybody(group, lambda name: group.agents[name].broker.hang())
    group.run(5)
    assert group.run_until(lambda: group.whole, 400) is not None, group.log
    kills = sorted(at for name in group.names for at in group.noted(name, "kill", began))
    assert len(kills) == 3
    assert kills[0] >= began + 60.0


@pytest.mark.parametrize("alarmed", [False, True])
def test_a_storm_of_connections_is_sat_out(group: Group, alarmed: bool) -> None:
    before = group.pids
    broker = group.agents["node2"].broker
    if alarmed:
        broker.sound_alarm(ALARM)
        group.run(2)
    broker.storm(True)
    group.run(25)
    broker.storm(False)
    broker.sound_alarm(None)
    assert group.run_until(lambda: group.whole, 30) is not None
    assert group.pids == before


def test_a_node_that_pauses_because_it_is_cut_off_from_the_others_alone_is_not_killed(group: Group) -> None:
    began, before = group.world.now, group.pids
    broker = group.agents["node2"].broker
    broker.cut_off = True
    group.run(70)  # RabbitMQ notices after a minute
    assert group.noted("node2", "pauses", began)
    group.run(60)
    broker.cut_off = False
    assert group.run_until(lambda: group.whole, 60) is not None
    assert group.pids == before


@pytest.mark.parametrize("from_zookeeper", [True, False])
@pytest.mark.parametrize("cut", [8.0, 12.0, 30.0])
def test_a_node_that_takes_long_to_pause_after_a_cut_is_not_killed(
    group: Group, cut: float, from_zookeeper: bool
) -> None:
    """RabbitMQ 4.0.5 on a busy machine answered no canary for 33 s: killed just before it was well."""
    before, began = group.pids, group.world.now
    agent = group.agents["node2"]
    group.rabbits.retries, group.rabbits.stop, group.rabbits.splits = 7.0, (45.0, 45.0), 0.0
    agent.broker.cut_off = True
    agent.session.link = not from_zookeeper
    group.run(cut if from_zookeeper else 60.0 + cut)
    agent.broker.cut_off = False
    agent.session.link = True
    assert group.run_until(lambda: group.whole, 120) is not None, group.log
    assert group.pids == before
    assert not group.noted("node2", "kill", began)


def test_two_restarts_at_a_time_are_one_after_the_other(group: Group) -> None:
    """One hangs while another is restarted by its operator: the lock has the reason in it."""
    group.agents["node1"].broker.hang()
    assert group.run_until(lambda: group.paths.disruption in group.zookeeper.tree, 20) is not None
    znode = group.zookeeper.tree[group.paths.disruption]
    assert b"the broker hangs" in znode.data
    group.agents["node2"].broker.hang()
    assert group.run_until(lambda: group.whole, 120) is not None
    group.run(5)
    assert group.paths.disruption not in group.zookeeper.tree, "given back when the broker is there again"


def test_an_alarmed_member_takes_the_lead_when_nobody_runs(group: Group) -> None:
    led = group.leader
    assert led is not None
    alarmed = next(name for name in group.names if name != led)
    group.agents[alarmed].broker.sound_alarm(ALARM)
    group.run(1)
    group.agents[led].crash()
    group.agents[led].broker.die()
    assert group.run_until(lambda: group.leader not in (None, led), 12) is not None
    member = group.member(group.leader or "")
    assert member is not None
    assert member.state == "alarmed"
    now_leads, epochs = group.leader, list(group.epochs)
    group.agents[alarmed].broker.sound_alarm(None)
    group.agents[led].start()
    assert group.run_until(lambda: group.whole, 60) is not None
    assert (group.leader, group.epochs) == (now_leads, epochs), "it stays where it is afterwards"


@pytest.mark.parametrize("damage", [None, b"{]", b"", b'{"v":1,"name":"node9"}'])
@pytest.mark.parametrize("node", ["leader", "cluster", "members/node1", "members/node2", "config", "members"])
def test_a_znode_that_is_deleted_or_spoilt_by_hand_is_written_again(
    group: Group, node: str, damage: bytes | None
) -> None:
    path, before, led = f"{ROOT}/{node}", group.pids, group.leader
    if node == "config":
        config = b'{"v":1,"mode":"cluster","health":{"hung_after":3.0}}'
        group.zookeeper.by_hand(path, config)
        group.run(1)
    content, epochs = group.zookeeper.tree[path].data, list(group.epochs)
    if node in ("config", "members") and damage is not None:
        pytest.skip("what an operator writes there is the operator's")
    group.zookeeper.by_hand(path, damage)
    group.run(10)
    assert group.whole
    assert group.pids == before
    if node == "leader" and damage is None:
        assert len(group.epochs) == len(epochs) + 1, "whoever is first, it is another lead"
        return
    assert group.leader == led
    if node != "members" and node != "cluster":
        assert group.zookeeper.tree[path].data == content
    if node == "cluster":
        assert set(group.recorded) == {"rabbit@node1", "rabbit@node2", "rabbit@node3"}


@pytest.mark.parametrize("whose", [None, "rabbit@node2"], ids=["not recorded", "recorded for nobody"])
def test_a_running_node_that_the_record_lacks_is_added_by_its_owner(group: Group, whose: str | None) -> None:
    """A node that booted without the others had found no record, and written one with itself alone."""
    before, epochs = group.pids, list(group.epochs)
    path = f"{ROOT}/cluster"
    record = ClusterRecord.from_bytes(path, group.zookeeper.tree[path].data)
    nodes = {node: its for node, its in record.nodes.items() if node != "rabbit@node2"}
    if whose is not None:
        nodes["rabbit@node2"] = ClusterNode(member=whose, joined="")
    group.zookeeper.by_hand(path, record.model_copy(update={"nodes": nodes}).to_bytes())
    group.run(15)
    assert group.recorded == {f"rabbit@{name}": name for name in group.names}
    assert (group.pids, group.epochs) == (before, epochs)


def test_a_lost_record_and_an_emptied_node_make_no_second_cluster(group: Group) -> None:
    """The emptied node was the first to start, founded a cluster of one, and led the group."""
    led = group.leader
    assert led is not None
    for name in group.names:
        group.agents[name].crash()
        group.agents[name].broker.die()
    group.agents[led].broker.wipe()
    group.run(10)
    group.zookeeper.by_hand(f"{ROOT}/cluster", None)
    other = next(name for name in group.names if name != led)
    # Whoever led before may not have been the emptied one.
    emptied = group.agents[led]
    emptied.start()
    group.run(40)
    for name in group.names:
        if name != led:
            group.agents[name].start()
    group.run(60)
    assert group.member(other) is not None
    disks = {group.agents[name].broker.disk.number for name in group.names if name != led}
    assert len(disks) == 1
    leader = group.leader
    assert leader is not None
    assert leader != led, "it would lead a cluster of one"
    recorded = set(group.recorded)
    assert recorded >= {group.agents[name].broker.node for name in group.names if name != led}


def test_an_agent_that_may_not_write_any_more_gives_its_session_up_with_the_lead(group: Group) -> None:
    led = group.leader
    assert led is not None
    agent = group.agents[led]
    agent.session.read_only = True
    group.run(2)
    assert group.leader == led, "while its broker is well there is no need to"
    agent.broker.hang()
    assert group.run_until(lambda: group.leader not in (None, led), 10) is not None
    agent.session.read_only = False
    assert group.run_until(lambda: group.whole, 60) is not None
