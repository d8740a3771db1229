"""Brokers that do not come up after a pause, feed nobody, refuse or hang unseen: groups in virtual time."""

import pytest
from simulation.managed_group import Group

from rabbitkeeper.agent.broker.policy import DENIED_GRACE, MUTE_GRACE
from rabbitkeeper.agent.model.observation import NodeState
from rabbitkeeper.coordinator.model.records import MemberStatus


def pids(group: Group) -> dict[str, int | None]:
    return {name: agent.broker.pid for name, agent in group.agents.items()}


@pytest.mark.parametrize("from_zookeeper", [True, False])
def test_a_node_that_does_not_come_up_after_its_pause_is_started_anew(
    group: Group, from_zookeeper: bool
) -> None:
    """RabbitMQ 3.10 began to start just as the network healed, and waited for its tables for 270 s."""
    agent, group.rabbits.sticks = group.agents["node2"], 1.0
    agent.broker.cut_off = True
    agent.session.link = not from_zookeeper
    group.run(30.0 if from_zookeeper else 90.0)
    group.rabbits.sticks, group.rabbits.splits = 1.0, 0.0
    agent.broker.cut_off = False
    agent.session.link = True
    healed = group.world.now
    assert group.run_until(lambda: agent.broker.stuck, 10) is not None
    group.rabbits.sticks = 0.0
    assert group.run_until(lambda: group.whole, healed + 60.0 - group.world.now) is not None, group.log
    assert len(group.noted("node2", "kill", healed)) == 1
    assert not any(group.noted(name, "kill") for name in ("node1", "node3"))


@pytest.mark.parametrize(("rejoin", "blind"), [(28.0, 0.0), (12.0, 6.0), (25.0, 6.0)])
def test_a_node_that_comes_up_slowly_after_its_pause_is_left_alone(
    group: Group, rejoin: float, blind: float
) -> None:
    """It makes progress, be it that its database has not found the others' at first."""
    before, agent = pids(group), group.agents["node2"]
    group.rabbits.splits, group.rabbits.rejoin, group.rabbits.blind = 0.0, rejoin, blind
    agent.broker.cut_off = True
    agent.session.link = False
    group.run(30)
    agent.broker.cut_off = False
    agent.session.link = True
    assert group.run_until(lambda: agent.broker.resumes, 10) is not None
    assert group.run_until(lambda: group.whole, rejoin + 20.0) is not None, group.log
    assert pids(group) == before


def test_a_node_that_cannot_be_told_to_be_apart_is_given_half_a_minute(group: Group) -> None:
    """Nothing of the others' databases can be reached: that says nothing of its own."""
    agent, group.rabbits.sticks, group.rabbits.tells = group.agents["node2"], 1.0, False
    agent.broker.cut_off = True
    agent.session.link = False
    group.run(30)
    agent.broker.cut_off = False
    agent.session.link = True
    healed = group.world.now
    assert group.run_until(lambda: agent.broker.stuck, 10) is not None
    assert group.run_until(lambda: bool(group.noted("node2", "kill", healed)), 120) is not None
    assert group.world.now >= healed + 30.0


def test_one_that_does_not_come_up_is_left_while_no_majority_of_the_others_is_well(group: Group) -> None:
    agent, group.rabbits.sticks = group.agents["node2"], 1.0
    agent.broker.cut_off = True
    agent.session.link = False
    group.run(30)
    agent.broker.cut_off = False
    agent.session.link = True
    healed = group.world.now
    assert group.run_until(lambda: agent.broker.stuck, 10) is not None
    group.rabbits.sticks = 0.0
    group.agents["node3"].broker.refuse(NodeState.DRAINED)
    group.run(120)
    assert not group.noted("node2", "kill", healed)
    group.agents["node3"].broker.refuse(None)
    assert group.run_until(lambda: group.whole, 60) is not None
    assert len(group.noted("node2", "kill", healed)) == 1


def test_a_broker_that_feeds_nobody_leaves_and_is_started_again(group: Group) -> None:
    """Seen after a full disk: messages were taken and confirmed, and no consumer got one, for good."""
    leader = group.leader
    assert leader is not None
    broker, began = group.agents[leader].broker, group.world.now
    broker.feeding.starves = True
    assert group.run_until(lambda: bool(group.noted(leader, "kill", began)), 90) is not None, group.log
    assert group.leader != leader, "it gave up the lead first"
    assert group.run_until(lambda: group.whole, 60) is not None
    assert not broker.feeding.starves
    group.run(120)
    assert len(group.noted(leader, "kill", began)) == 1
    assert not any(group.noted(name, "kill", began) for name in group.names if name != leader)


def test_brokers_that_all_feed_nobody_are_started_again_one_after_the_other(group: Group) -> None:
    for agent in group.agents.values():
        agent.broker.feeding.starves = True
    starve = [agent.broker.feeding for agent in group.agents.values()]

    def one_is_away() -> bool:
        away = [name for name in group.names if (it := group.member(name)) is None or not it.state.serves]
        assert len(away) <= 1, f"{away} serve nobody at the same time"
        return group.whole and not any(each.starves for each in starve)

    assert group.run_until(one_is_away, 300) is not None, group.log


def test_a_broker_that_is_blocked_by_an_alarm_does_not_count_as_one_that_feeds_nobody(group: Group) -> None:
    before, agent = pids(group), group.agents["node1"]
    agent.broker.sound_alarm("low on memory")
    group.run(200)
    agent.broker.sound_alarm(None)
    group.run(60)
    assert pids(group) == before


def test_a_broker_that_works_and_whose_tools_find_no_node_is_started_again_after_minutes(
    group: Group,
) -> None:
    """Seen with OTP 25.1: its Erlang machine span and took in no connection, and no node could join it."""
    group.run(15)  # it has been asked once
    agent, before, began = group.agents["node2"], pids(group), group.world.now
    agent.broker.mute = True
    assert group.run_until(lambda: bool(group.noted("node2", "kill", began)), 400) is not None
    assert group.world.now >= began + MUTE_GRACE, "clients are served, so there is time"
    assert group.run_until(lambda: group.whole, 60) is not None
    assert not agent.broker.mute
    after = pids(group)
    assert {name for name in before if before[name] != after[name]} == {"node2"}


def test_it_is_left_alone_when_its_tools_find_it_again(group: Group) -> None:
    group.run(15)
    agent, before = group.agents["node2"], pids(group)
    agent.broker.mute = True
    group.run(MUTE_GRACE)
    agent.broker.mute = False
    group.run(MUTE_GRACE)
    assert pids(group) == before


def test_it_is_left_alone_while_no_majority_of_the_others_is_well(group: Group) -> None:
    group.run(15)
    agent, other = group.agents["node2"], group.agents["node3"]
    agent.broker.mute, began = True, group.world.now
    other.broker.refuse(NodeState.DRAINED)
    group.run(5 * MUTE_GRACE)
    assert not group.noted("node2", "kill", began)
    other.broker.refuse(None)
    assert group.run_until(lambda: bool(group.noted("node2", "kill", began)), 60) is not None


@pytest.mark.parametrize("cut", [-12.0, -3.0, 2.0, 7.0, 8.5])
@pytest.mark.parametrize("lasts", [4.0, 9.0, 25.0])
def test_a_node_that_boots_while_another_is_cut_off_is_not_killed_for_that(
    group: Group, cut: float, lasts: float
) -> None:
    """It does not count the other, which still says for a while that it runs."""
    one, other, began = group.agents["node2"].broker, group.agents["node3"].broker, group.world.now
    dies = began + 13.0
    group.world.at(dies, one.die)
    group.world.at(dies + cut, lambda: setattr(other, "cut_off", True))
    group.world.at(dies + cut + lasts, lambda: setattr(other, "cut_off", False))
    group.run(60.0)
    assert group.run_until(lambda: group.whole and not group.rabbits.disagreement(), 60) is not None
    assert not any(group.noted(name, "kill", began) for name in group.names)


def test_a_broker_that_hangs_before_it_is_in_its_cluster_is_started_again(group: Group) -> None:
    """It had booted while ZooKeeper was away; nobody can be asked then whether it is in the cluster."""
    broker = group.agents["node2"].broker
    group.zookeeper.stop()
    broker.die()
    assert group.run_until(lambda: broker.listens, 60) is not None
    group.run(1.0)
    broker.hang()
    hung = broker.pid
    group.zookeeper.start()
    again = group.run_until(lambda: broker.pid not in (hung, None) and group.whole, 90)
    assert again is not None, group.agents["node2"].sentence


def test_a_slow_boot_is_given_time(group: Group) -> None:
    began = group.world.now
    broker = group.agents["node2"].broker
    broker.slow = 500.0
    broker.die()
    assert group.run_until(lambda: group.whole, 520) is not None
    assert not group.noted("node2", "kill", began)


def kills(group: Group, since: float) -> dict[str, int]:
    return {name: len(group.noted(name, "kill", since)) for name in group.names}


def test_a_broker_whose_store_of_users_has_ended_is_started_again(group: Group) -> None:
    """Khepri ends with a write that fails, and RabbitMQ 4.3 refuses every login from then on."""
    agent, began = group.agents["node2"], group.world.now
    agent.broker.deny(True)
    group.run(10)
    state = agent.board.state
    assert state is not None
    assert state.verdict.status is MemberStatus.UNREACHABLE
    assert "started again while a majority of the other brokers is well" in state.verdict.reasons[-1]
    group.run(DENIED_GRACE - 15.0)
    assert not any(kills(group, began).values())
    assert group.run_until(lambda: group.whole, 60) is not None, group.log
    assert kills(group, began) == {"node1": 0, "node2": 1, "node3": 0}


def test_one_that_refuses_its_agent_for_its_password_is_left_alone(group: Group) -> None:
    """It works for everybody else."""
    agent, began = group.agents["node2"], group.world.now
    agent.tools.vhosts = True
    agent.broker.deny(True)
    group.run(10 * DENIED_GRACE)
    assert not any(kills(group, began).values())
    agent.broker.deny(False)
    assert group.run_until(lambda: group.whole, 10) is not None


def test_when_all_are_refused_no_broker_is_restarted(group: Group) -> None:
    began = group.world.now
    for agent in group.agents.values():
        agent.broker.deny(True)
    group.run(10 * DENIED_GRACE)
    assert not any(kills(group, began).values())


def test_one_that_has_never_let_its_agent_in_is_left_alone(group: Group) -> None:
    agent = group.agents["node2"]
    agent.broker.die()
    assert group.run_until(lambda: agent.broker.pid is not None, 60) is not None
    began = group.world.now
    agent.broker.deny(True)
    group.run(10 * DENIED_GRACE)
    assert not any(kills(group, began).values())
