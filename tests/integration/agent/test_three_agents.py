"""Three agents with a broker each: who leads when one of them goes, and how it comes back."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.group_watch import Watch, epoch, leader_of, states

from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(300)]

MEMBERS = ("node1", "node2", "node3")
RUNNING = dict.fromkeys(MEMBERS, MemberStatus.RUNNING)


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    with Local(zookeepers=1, members=3, group="three-agents") as local:
        local.wait_ready(180)
        yield local


@pytest.fixture
def watch(local: Local, watching: Callable[[Local], Watch]) -> Watch:
    return watching(local)


def whole(watch: Watch) -> tuple[GroupView, str]:
    """The group when all is well, and its leader."""
    view, _ = watch.until(
        lambda view: states(view) == RUNNING and view.leader is not None, "all three run and one leads", 90
    )
    name = leader_of(view)
    assert name is not None
    return view, name


def another_leads(watch: Watch, before: GroupView) -> GroupView:
    return watch.until(
        lambda view: view.leader is not None and epoch(view) != epoch(before), "another leads"
    )[0]


def test_the_three_are_one_cluster(local: Local, watch: Watch) -> None:
    view, _ = whole(watch)
    assert view.cluster is not None
    assert set(view.cluster.record.nodes) == {local.node(name) for name in MEMBERS}
    status = local.ctl("node1").cluster_status()
    assert status.running == frozenset(view.cluster.record.nodes)


def test_when_the_leaders_broker_is_killed_another_leads_and_it_comes_back(
    local: Local, watch: Watch
) -> None:
    before, led = whole(watch)
    local.kill_broker(led)
    after = another_leads(watch, before)
    assert leader_of(after) != led
    assert (epoch(after) or 0) > (epoch(before) or 0)
    back, now_leads = whole(watch)
    assert now_leads == leader_of(after), "a member that comes back does not take the lead"
    assert epoch(back) == epoch(after)
    assert back.last_change is not None
    assert (back.last_change.previous, back.last_change.to) == (led, now_leads)
    assert back.last_change.cause.startswith("broker ")


def test_when_the_leaders_broker_hangs_another_leads_and_it_is_killed(local: Local, watch: Watch) -> None:
    before, led = whole(watch)
    pid = local.broker_pid(led)
    local.stop_broker(led)
    after = another_leads(watch, before)
    assert leader_of(after) != led
    whole(watch)
    assert local.broker_pid(led) not in (None, pid)
    if Path("/proc/self/schedstat").exists():  # however busy this host is: it has not waited for a processor
        said = (local.settings(led).directory / "log" / "agent.log").read_text()
        assert "killing the broker: the broker hangs, and its process stands still" in said


def test_when_the_leaders_node_is_killed_another_leads_when_its_session_ends(
    local: Local, watch: Watch
) -> None:
    before, led = whole(watch)
    local.kill_node(led)
    after = another_leads(watch, before)
    assert led not in after.members
    assert after.leader is not None
    assert after.leader.record.cause == "agent lost"
    local.start_agent(led)
    _, now_leads = whole(watch)
    assert now_leads == leader_of(after)


def test_an_agent_that_stands_still_loses_the_lead_and_its_broker_goes_on(local: Local, watch: Watch) -> None:
    before, led = whole(watch)
    agent, broker = local.agent_pid(led), local.broker_pid(led)
    assert agent is not None
    os.kill(agent, signal.SIGSTOP)
    try:
        after = another_leads(watch, before)
        assert leader_of(after) != led
    finally:
        os.kill(agent, signal.SIGCONT)
    _, now_leads = whole(watch)
    assert now_leads == leader_of(after)
    assert local.agent_pid(led) == agent
    assert local.broker_pid(led) == broker


def test_an_alarm_is_reported_and_does_not_move_the_lead(local: Local, watch: Watch) -> None:
    before, led = whole(watch)
    ctl = local.ctl(led)
    ctl._run("set_vm_memory_high_watermark", "0.00001")
    try:
        alarmed, _ = watch.until(
            lambda view: states(view)[led] is MemberStatus.ALARMED, "the leader's alarm is reported", 20
        )
        assert epoch(alarmed) == epoch(before)
        assert "low on memory" in alarmed.members[led].record.reasons[0]
    finally:
        ctl._run("set_vm_memory_high_watermark", "absolute", "512MiB")
    after, _ = whole(watch)
    assert epoch(after) == epoch(before)


def test_a_leader_that_is_told_to_stop_hands_over_first(local: Local, watch: Watch) -> None:
    before, led = whole(watch)
    local.stop_agent(led)
    after = another_leads(watch, before)  # it was so before the agent ended
    assert leader_of(after) != led
    assert local.broker_pid(led) is None
    local.start_agent(led)
    _, now_leads = whole(watch)
    assert now_leads == leader_of(after)


def test_without_a_majority_nobody_leads_and_with_it_somebody_does(local: Local, watch: Watch) -> None:
    before, led = whole(watch)
    gone = [name for name in MEMBERS if name != led]
    for name in gone:
        local.kill_node(name)
    watch.until(
        lambda view: set(view.members) == {led} and states(view)[led] is not MemberStatus.RUNNING,
        "the one that is left says that it takes no messages",
        90,
    )
    for name in gone:
        local.start_agent(name)
    after, _ = whole(watch)
    assert (epoch(after) or 0) >= (epoch(before) or 0)
