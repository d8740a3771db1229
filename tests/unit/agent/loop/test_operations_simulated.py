"""What operators ask for, carried out by whole agents in virtual time, whatever dies meanwhile."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulation.managed_group import GROUP, Group
from simulation.rabbitmq.broker import BOOT
from support.effort import examples, seeds

from rabbitkeeper.agent.config import TagsConfig
from rabbitkeeper.agent.model.observation import NodeState
from rabbitkeeper.coordinator.model.records import (
    GroupConfig,
    History,
    MaintenanceRecord,
    MemberRecord,
    OperationEntry,
    OperationState,
)
from rabbitkeeper.coordinator.operations.service import OperationRefused, OperationService
from rabbitkeeper.coordinator.store.store import Store

DAY = 86400.0


@pytest.fixture(params=seeds(3))
def group(request: pytest.FixtureRequest) -> Group:
    return whole_group(request.param)


def whole_group(seed: int) -> Group:
    group = Group(seed=seed)
    assert group.run_until(lambda: group.whole, 60) is not None, group.log
    group.run(1)
    return group


def store(group: Group) -> Store:
    through = next(agent for agent in group.agents.values() if agent.alive and agent.session.connected)
    return Store(through.session, GROUP)


def operator(group: Group) -> OperationService:
    return OperationService(store(group), wall=lambda: group.world.now)


def outcome(group: Group, operation: str) -> OperationEntry:
    entry = operator(group).outcome(operation)
    assert entry is not None
    return entry


def ended(group: Group, operation: str) -> bool:
    return outcome(group, operation).state in (OperationState.DONE, OperationState.FAILED)


def led_by(group: Group) -> str:
    assert group.leader is not None
    return group.leader


def history(group: Group) -> History:
    znode = group.zookeeper.tree[group.paths.history]
    return History.from_bytes(znode.path, znode.data)


def others(group: Group) -> list[str]:
    return [name for name in group.names if name != led_by(group)]


@pytest.mark.parametrize("named", [True, False])
def test_a_switchover_moves_the_lead_at_once(group: Group, named: bool) -> None:
    led, to = led_by(group), others(group)[1] if named else None
    asked = operator(group).switchover(by="ann", to=to, reason="new disks")
    took = group.run_until(lambda: group.leader not in (led, None), 5)
    assert took is not None
    assert took < 0.7, "a canary"
    assert to in (None, group.leader)
    assert group.run_until(lambda: ended(group, asked.id), 5) is not None
    assert outcome(group, asked.id).state is OperationState.DONE
    group.run(1)
    entry = history(group).entries[-1]
    assert (entry.cause, entry.by, entry.operation, entry.reason) == (
        "switchover",
        "ann",
        asked.id,
        "new disks",
    )
    group.run(30)
    assert group.leader == entry.to
    assert group.zookeeper.tree.get(group.paths.switchover) is None


def test_one_for_later_waits_and_is_void_when_the_lead_moves_before(group: Group) -> None:
    led = led_by(group)
    asked = operator(group).switchover(by="ann", at="+60s")
    group.run(50)
    assert group.leader == led
    group.agents[led].broker.die()
    assert group.run_until(lambda: ended(group, asked.id), 30) is not None
    entry = outcome(group, asked.id)
    assert entry.state is OperationState.FAILED
    assert "before the appointed time" in (entry.outcome or "")


def test_one_for_later_happens_then(group: Group) -> None:
    led = led_by(group)
    asked = operator(group).switchover(by="ann", at="+60s")
    assert (took := group.run_until(lambda: ended(group, asked.id), 90)) is not None
    assert 58.0 < took < 63.0
    assert group.leader != led


def test_a_candidate_whose_agent_dies_in_between_costs_a_session_and_no_leader(group: Group) -> None:
    led, to = led_by(group), others(group)[0]
    group.agents[to].crash()
    asked = operator(group).switchover(by="ann", to=to)  # its session has not ended yet
    assert group.run_until(lambda: ended(group, asked.id), 30) is not None
    assert outcome(group, asked.id).state is OperationState.FAILED
    assert group.run_until(lambda: group.leader is not None, 30) is not None
    assert group.leader != to
    assert led in group.agents


def test_requests_that_cannot_be_are_refused_and_change_nothing(group: Group) -> None:
    led, (other, third) = led_by(group), others(group)
    asks = operator(group)
    zxid = group.zookeeper.zxid
    for refused, why in (
        (lambda: asks.switchover(by="ann", to=led), "leads already"),
        (lambda: asks.switchover(by="ann", to="node9"), "not registered"),
        (lambda: asks.failover(by="ann", to=led), "leads already"),
        (lambda: asks.resume(by="ann"), "not paused"),
        (lambda: asks.restart("node9", by="ann"), "not registered"),
        (lambda: asks.remove(other, by="ann"), "is registered"),
        (lambda: asks.remove("node9", by="ann"), "not recorded"),
        (lambda: asks.cancel("nothing", by="ann"), "no operation"),
    ):
        with pytest.raises(OperationRefused, match=why):
            refused()
    assert group.zookeeper.zxid == zxid
    for dry in (
        asks.switchover(by="ann", to=third, dry_run=True),
        asks.rolling_restart(by="ann", dry_run=True),
        asks.pause(by="ann", dry_run=True),
    ):
        assert dry.sentence
    assert group.zookeeper.zxid == zxid


def test_of_two_switchovers_the_second_is_refused(group: Group) -> None:
    asks = operator(group)
    first = asks.switchover(by="ann", at="+60s")
    with pytest.raises(OperationRefused, match=first.id):
        asks.switchover(by="bob")
    asks.cancel(first.id, by="bob")
    assert outcome(group, first.id).outcome == "cancelled by bob"
    asks.switchover(by="bob")


def test_a_pause_lets_a_lead_lie_and_only_a_failover_fills_it(group: Group) -> None:
    led, (other, _) = led_by(group), others(group)
    asks = operator(group)
    asks.pause(by="ann", reason="new disks")
    with pytest.raises(OperationRefused, match="paused by ann"):
        asks.switchover(by="bob")
    with pytest.raises(OperationRefused, match="paused by ann"):
        asks.restart(other, by="bob")
    group.agents[led].crash()
    group.agents[led].broker.die()
    assert group.run_until(lambda: group.leader is None, 10) is not None
    group.run(20)
    assert group.leader is None
    asked = operator(group).failover(by="bob", to=other)
    assert group.run_until(lambda: group.leader == other, 5) is not None
    assert group.run_until(lambda: ended(group, asked.id), 5) is not None
    operator(group).resume(by="ann")


def test_a_restart_hands_over_drains_and_comes_back(group: Group) -> None:
    led, began = led_by(group), group.world.now
    asked = operator(group).restart(led, by="ann")
    assert group.run_until(lambda: ended(group, asked.id), 60) is not None
    assert outcome(group, asked.id).state is OperationState.DONE
    others_led = [at for name in group.names for at in group.noted(name, "leads", began)]
    (drained,) = group.noted(led, "drain", began)
    (stopped,) = group.noted(led, "stop", began)
    assert min(others_led) + 0.9 <= drained < stopped, "clients had time to move"
    assert not group.noted(led, "revive", began)
    group.run(1)
    entry = history(group).entries[-1]
    assert (entry.by, entry.operation) == ("ann", asked.id)
    assert group.whole


def test_a_broker_that_was_given_up_is_brought_back_by_an_operators_restart(group: Group) -> None:
    name = next(name for name in group.names if name != led_by(group))
    its = group.agents[name].broker
    its.broken = True
    its.die()
    group.run(400)
    member = group.member(name)
    assert member is not None
    assert member.state == "stopped"
    assert member.reasons[0] == "ended with exit code 1"
    assert "given up after 10 restarts" in member.reasons[1]
    its.broken = False
    operation = operator(group).restart(name, by="ann")
    assert group.run_until(lambda: ended(group, operation.id), 60) is not None
    assert outcome(group, operation.id).state is OperationState.DONE
    assert group.whole
    assert not group.noted(name, "drain")


def test_a_rolling_restart_takes_one_after_the_other_and_the_leader_last(group: Group) -> None:
    led, began = led_by(group), group.world.now
    asked = operator(group).rolling_restart(by="ann")
    worst = 3

    def watch() -> bool:
        nonlocal worst
        worst = min(worst, sum(agent.broker.well for agent in group.agents.values()))
        return ended(group, asked.id)

    assert group.run_until(watch, 120) is not None
    assert outcome(group, asked.id).state is OperationState.DONE, outcome(group, asked.id)
    assert worst == 2, "never below the majority"
    stops = {name: group.noted(name, "stop", began) for name in group.names}
    assert all(len(at) == 1 for at in stops.values())
    assert max(stops, key=lambda name: stops[name]) == led
    assert len(group.noted(led, "resigned", began)) == 1
    assert sum(len(group.noted(name, "leads", began)) for name in group.names) == 1, "clients moved once"


def test_a_rolling_restart_waits_for_one_that_has_paused_itself_meanwhile(group: Group) -> None:
    began = group.world.now
    asked = operator(group).rolling_restart(by="ann")
    znode = group.zookeeper.tree[group.paths.maintenance]
    first, second, _ = MaintenanceRecord.from_bytes(znode.path, znode.data).members
    assert group.run_until(lambda: bool(group.noted(first, "stop", began)), 60) is not None
    group.agents[second].broker.refuse(NodeState.PAUSED)
    group.run(60)
    assert group.agents[first].broker.well
    assert not group.noted(second, "drain", began)
    group.agents[second].broker.refuse(None)
    assert group.run_until(lambda: ended(group, asked.id), 120) is not None
    assert outcome(group, asked.id).state is OperationState.DONE, outcome(group, asked.id)


@pytest.mark.parametrize("rolling", [True, False])
def test_a_second_restart_is_refused_by_the_first_and_not_by_what_that_costs(
    group: Group, rolling: bool
) -> None:
    first, asks = operator(group).rolling_restart(by="ann"), operator(group)
    assert group.run_until(lambda: not all(each.broker.well for each in group.agents.values()), 60)
    with pytest.raises(OperationRefused, match=first.id):
        asks.rolling_restart(by="bob") if rolling else asks.restart(led_by(group), by="bob")


def test_who_restarts_a_broker_is_warned_of_its_classic_queues(group: Group) -> None:
    name = others(group)[0]
    znode = group.zookeeper.tree[group.paths.member(name)]
    record = MemberRecord.from_bytes(znode.path, znode.data)
    loaded = record.model_copy(update={"load": {"connections": 5, "classic_queues": 2}})
    group.agents[name].crash()  # it would write again what is its own
    store(group).backend.set(znode.path, loaded.to_bytes(), znode.version)
    asked = operator(group).restart(name, by="ann", dry_run=True)
    assert asked.warnings == (f"2 classic queues live on {name} alone and are away while it restarts",)


def test_a_broker_that_cannot_be_spared_is_left_alone(group: Group) -> None:
    name, began = others(group)[0], group.world.now
    asked = operator(group).restart(name, by="ann")
    group.agents[name].tools.critical = "queue orders"
    assert group.run_until(lambda: ended(group, asked.id), 60) is not None
    assert "queue orders" in (outcome(group, asked.id).outcome or "")
    assert not group.noted(name, "stop", began)
    assert group.run_until(lambda: group.whole, 5) is not None


def test_a_restart_that_is_cancelled_while_drained_opens_the_listeners_again(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, began = others(group)[0], group.world.now
    monkeypatch.setattr(group.agents[name].supervisor, "restart", lambda timeout: False)
    asked = operator(group).restart(name, by="ann")
    assert group.run_until(lambda: bool(group.noted(name, "drain", began)), 30) is not None
    group.run(0.5)
    operator(group).cancel(asked.id, by="bob")
    assert group.run_until(lambda: bool(group.noted(name, "revive", began)), 10) is not None
    assert group.run_until(lambda: group.whole, 10) is not None


@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 999), st.sampled_from(["node1", "node2", "node3"]), st.floats(0.0, 20.0))
def test_a_rolling_restart_survives_the_death_of_any_agent(seed: int, dies: str, after: float) -> None:
    group = whole_group(seed % 7)
    began = group.world.now
    asked = operator(group).rolling_restart(by="ann")
    group.run(after)
    group.agents[dies].crash()
    group.run(8.0)
    group.agents[dies].start()
    assert group.run_until(lambda: ended(group, asked.id), 400) is not None, outcome(group, asked.id)
    assert outcome(group, asked.id).state is OperationState.DONE, outcome(group, asked.id)
    assert group.run_until(lambda: group.whole, 30) is not None
    for name in group.names:
        assert len(group.noted(name, "stop", began)) == 1, f"{name} was restarted once"
    assert BOOT > 0


def test_a_broker_that_hangs_with_its_listeners_closed_is_left_alone_in_a_pause(group: Group) -> None:
    broker = group.agents["node2"].broker
    operator(group).pause(by="ann", reason="new disks")
    broker.refuse(NodeState.DRAINED)
    broker.hang()
    pid = broker.pid
    group.run(180)
    assert broker.pid == pid
    operator(group).resume(by="ann")
    assert group.run_until(lambda: broker.pid != pid, 20) is not None, "it has been silent for long enough"


def test_a_pause_is_not_forgotten_when_the_lead_is_given_up(group: Group) -> None:
    led, (other, _) = led_by(group), others(group)
    operator(group).pause(by="ann")
    group.run(1)
    group.agents[led].broker.die()
    group.run(5)
    asked = operator(group).failover(by="ann", to=other)
    assert group.run_until(lambda: ended(group, asked.id), 10) is not None
    assert group.leader == other
    group.run(20)
    assert group.agents[led].broker.pid is None, "nothing is started in a pause"
    operator(group).resume(by="ann")
    assert group.run_until(lambda: group.whole, 30) is not None


def test_a_better_member_gets_the_lead_back_once_and_not_from_an_operator(group: Group) -> None:
    led = led_by(group)
    config = {"failback": {"after": 20.0}}
    for name in group.names:  # as its file says from this run on
        tags = {"priority": 200 if name == led else 100}
        agent = group.agents[name]
        agent.config = agent.config.model_copy(update={"tags": TagsConfig.model_validate(tags)})
        agent.crash()
        agent.start()
    group.run(15)  # until the sessions of the earlier runs have ended
    assert group.run_until(lambda: group.whole, 60) is not None
    store(group).backend.set(group.paths.config, GroupConfig.model_validate(config).to_bytes(), 0)
    group.run(1)
    group.agents[led].broker.die()
    group.run(1)
    assert group.run_until(lambda: group.leader not in (led, None), 20) is not None
    assert group.run_until(lambda: group.whole, 60) is not None
    back = group.run_until(lambda: group.leader == led, 60)
    assert back is not None
    assert back > 15.0, "not before it has been running for a while"
    group.run(2)
    entry = history(group).entries[-1]
    assert (entry.cause, entry.by) == ("failback", f"agent {led} (failback)")
    other = others(group)[0]
    asked = operator(group).switchover(by="ann", to=other)
    assert group.run_until(lambda: ended(group, asked.id), 10) is not None
    group.run(120)
    assert group.leader == other


def test_a_member_that_has_lost_its_disk_says_so_and_joins_again_when_it_is_asked(group: Group) -> None:
    lost = next(name for name in group.names if name != group.leader)
    group.agents[lost].broker.wipe()

    def told() -> bool:
        member = group.member(lost)
        return member is not None and any("its own data is gone" in reason for reason in member.reasons)

    assert group.run_until(told, 120) is not None, group.agents[lost].sentence
    group.run(60)
    assert told(), "it stays so, and nothing is destroyed meanwhile"
    others = set(group.names) - {lost}
    asked = operator(group).reinit(lost, by="ann")
    assert group.run_until(lambda: ended(group, asked.id), 60) is not None
    assert outcome(group, asked.id).state is OperationState.DONE
    assert group.run_until(lambda: group.whole, 120) is not None, group.agents[lost].sentence
    assert len({group.agents[name].broker.disk.number for name in group.names}) == 1
    assert set(group.recorded.values()) == others | {lost}
