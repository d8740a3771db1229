"""One agent with one broker: what it does when one of the two, or ZooKeeper, goes away."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from support.agent.processes import agent_config, refusal, run_agent, running_agent
from support.agent.rabbitmq_version import rabbitmq_version
from support.agent.starved_queue import consumers, starve
from support.group_watch import Watch, epoch, leader_of, states
from support.waiting import wait_for
from support.zookeeper.proxy import Proxy

from rabbitkeeper.agent.cluster.feeding import REASON
from rabbitkeeper.agent.health.majority_canary import QUEUE
from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(300)]

NODE = "node1"
VHOST = "rabbitkeeper"
LONG = 300.0  # seconds; a node has one or two minutes to answer its tools, and looks are half a minute apart
REFUSED = "broker.amqp.username 'rabbitkeeper' and its password are refused by the broker at "


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    with Local(zookeepers=1, members=1, group="one-agent", api=True) as local:
        local.wait_ready(120)
        yield local


@pytest.fixture
def watch(local: Local, watching: Callable[[Local], Watch]) -> Watch:
    return watching(local)


def test_it_leads_once_a_majority_has_confirmed_its_canary(watch: Watch) -> None:
    view = watch.leader()
    assert leader_of(view) == NODE
    assert view.last_change is not None
    assert view.last_change.cause == "first leader"
    assert view.last_change.previous is None
    assert view.last_change.epoch == epoch(view)
    assert 0 < view.last_change.timings["canary"] <= view.last_change.timings["vacant"]
    member = view.members[NODE].record
    assert member.versions.rabbitmq is not None
    assert member.versions.rabbitmq.startswith(("3.", "4."))


def test_while_nothing_changes_nothing_is_written(watch: Watch) -> None:
    before = watch.leader()
    time.sleep(3)  # what should not happen has this long to happen
    after = watch.leader()
    assert after.members[NODE].version == before.members[NODE].version
    assert epoch(after) == epoch(before)


def test_a_killed_broker_costs_the_lead_at_once_and_is_started_again(local: Local, watch: Watch) -> None:
    before = watch.leader()
    local.kill_broker(NODE)
    vacant, _ = watch.until(lambda view: view.leader is None, "the lead is given up")
    # Its connection has told that, not a canary without an answer, which would be later.
    assert states(vacant)[NODE] not in (MemberStatus.RUNNING, MemberStatus.HUNG)
    after = watch.leader()
    assert (epoch(after) or 0) > (epoch(before) or 0)
    assert after.members[NODE].record.instance == before.members[NODE].record.instance


def test_a_hung_broker_is_killed_and_started_again(local: Local, watch: Watch) -> None:
    before, pid = watch.leader(), local.broker_pid(NODE)
    local.stop_broker(NODE)
    vacant, _ = watch.until(lambda view: view.leader is None, "the lead is given up")
    assert states(vacant)[NODE] is MemberStatus.HUNG
    assert vacant.members[NODE].record.reasons == ("no answer to a canary within 2 s",)
    after = watch.leader()
    assert (epoch(after) or 0) > (epoch(before) or 0)
    assert local.broker_pid(NODE) != pid


@pytest.mark.timeout(2 * LONG)
def test_a_broker_that_feeds_nobody_is_started_again(local: Local, watch: Watch) -> None:
    watch.leader()
    pid = local.broker_pid(NODE)
    ctl = local.ctl(NODE)
    wait_for(lambda: consumers(ctl, VHOST, QUEUE) > 0, "the canary is consumed", 60)
    again = 0.0

    def starving(view: GroupView) -> bool:
        nonlocal again
        if time.monotonic() >= again:  # a message that was under way has its consumer fed once more
            starve(ctl, VHOST, QUEUE)
            again = time.monotonic() + 60.0
        return states(view)[NODE] is MemberStatus.STARVING

    view, _ = watch.until(starving, "it says so", LONG)
    assert view.members[NODE].record.reasons == (REASON,)
    watch.until(lambda view: view.leader is None, "the lead is given up", LONG)
    watch.leader(LONG)
    assert local.broker_pid(NODE) != pid


@pytest.mark.timeout(2 * LONG)
def test_one_that_hangs_while_its_listeners_are_closed_is_killed_as_well(local: Local, watch: Watch) -> None:
    watch.leader()
    pid = local.broker_pid(NODE)
    local.ctl(NODE).drain()
    watch.until(lambda view: states(view)[NODE] is MemberStatus.DRAINING, "it is drained")
    local.stop_broker(NODE)
    view, _ = watch.until(
        lambda view: states(view)[NODE] is MemberStatus.UNREACHABLE, "its tools find no answer", LONG
    )
    assert "its Erlang machine does not answer its tools either" in view.members[NODE].record.reasons
    assert local.broker_pid(NODE) == pid
    watch.leader(LONG)
    assert local.broker_pid(NODE) != pid


def test_a_new_agent_adopts_the_broker_of_one_that_was_killed(local: Local, watch: Watch) -> None:
    before, pid = watch.leader(), local.broker_pid(NODE)
    local.kill_agent(NODE)
    local.start_agent(NODE)
    after, _ = watch.until(
        lambda view: view.leader is not None and epoch(view) != epoch(before), "the new agent leads"
    )
    assert after.members[NODE].record.instance != before.members[NODE].record.instance
    assert local.broker_pid(NODE) == pid


def test_an_agent_that_was_stopped_and_goes_on_leads_again(local: Local, watch: Watch) -> None:
    before, pid = watch.leader(), local.broker_pid(NODE)
    agent = local.agent_pid(NODE)
    assert agent is not None
    os.kill(agent, signal.SIGSTOP)
    try:
        watch.until(lambda view: view.leader is None and not view.members, "the session has ended")
    finally:
        os.kill(agent, signal.SIGCONT)
    after, _ = watch.until(lambda view: view.leader is not None, "it leads again")
    assert epoch(after) != epoch(before)
    assert local.agent_pid(NODE) == agent
    assert local.broker_pid(NODE) == pid  # the silence was the agent's, not the broker's


def test_fifteen_seconds_without_zookeeper_change_nothing(local: Local, watch: Watch) -> None:
    before, pid = watch.leader(), local.broker_pid(NODE)
    local.stop_zookeeper()
    time.sleep(15)  # two and a half session timeouts
    local.start_zookeeper()
    after, _ = watch.until(lambda view: NODE in view.members, "it is registered")
    assert epoch(after) == epoch(before)
    assert after.members[NODE].record == before.members[NODE].record
    assert local.broker_pid(NODE) == pid
    time.sleep(7)  # sessions of before the outage would end now
    assert epoch(watch.leader()) == epoch(before)


def test_another_agent_under_the_same_name_is_refused(local: Local, watch: Watch, tmp_path: Path) -> None:
    before, pid = watch.leader(), local.broker_pid(NODE)
    port = local.reserve_port()
    config = agent_config(
        local,
        NODE,
        http=None,
        broker={
            "node": "other@localhost",
            "amqp": {"port": port},
            "process": {"directory": str(tmp_path / "other")},
        },
    )
    # Not 2, with which it would not be started again: the name may become free.
    said = refusal(run_agent(tmp_path / "agent.yml", config), code=1)
    assert said.startswith(f"member name '{NODE}' is taken in group 'one-agent' by {NODE} (instance ")
    assert "give this agent a name of its own" in said
    assert not (tmp_path / "other").exists()
    after = watch.leader()
    assert epoch(after) == epoch(before)
    assert after.members[NODE].record == before.members[NODE].record
    assert local.broker_pid(NODE) == pid


def test_wrong_credentials_for_a_broker_that_is_not_ours_leave_no_trace(
    local: Local, watch: Watch, tmp_path: Path
) -> None:
    watch.leader()
    config = agent_config(
        local,
        NODE,
        group="elsewhere",
        http=None,
        broker={
            "driver": "external",
            "process": None,
            "amqp": {"password": "wrong", "password_file": None},
        },
    )
    said = refusal(run_agent(tmp_path / "agent.yml", config))
    assert said.startswith(
        "broker.amqp.username 'rabbitkeeper' and its password are refused by the broker at "
    )
    assert "wrong" not in said
    assert "elsewhere" not in watch.groups()


def test_a_broker_that_cannot_boot_is_given_up_and_says_why(local: Local, tmp_path: Path) -> None:
    lines = agent_config(local, NODE)["broker"]["process"].get("config", "")
    config = agent_config(
        local,
        NODE,
        group="never-boots",
        http=None,
        broker={
            "node": "never@localhost",
            "restart_limit": 1,
            "amqp": {"port": local.reserve_port()},
            "process": {"directory": str(tmp_path / "never"), "config": f"{lines}\nno_such_key = 1\n"},
        },
    )
    with (
        closing(Watch(local.zookeeper_hosts, "never-boots")) as watch,
        running_agent(tmp_path / "agent.yml", config),
    ):
        view, _ = watch.until(
            lambda view: NODE in view.members and len(view.members[NODE].record.reasons) > 1, "it is given up"
        )
        member = view.members[NODE].record
        assert member.state is MemberStatus.STOPPED
        assert "exit code 1" in member.reasons[0]
        assert "given up after 1 restarts" in member.reasons[1]
        assert "its log: - Conf file attempted to set unknown variable: no_such_key" in member.reasons
        version = view.members[NODE].version
        time.sleep(3)  # nothing should happen for so long
        view, _ = watch.until(lambda view: NODE in view.members, "it is there")
        assert view.members[NODE].version == version
    assert view.leader is None


def test_a_canary_queue_that_can_have_no_leader_any_more_is_declared_anew(local: Local, watch: Watch) -> None:
    # A broker that is killed within a second or so of declaring a quorum queue may not have written down that
    # it has a replica of it. It is so now and then only: here the file in which that stands is removed.
    # From 4.3 on RabbitMQ has such a replica hold an election by itself.
    elects = rabbitmq_version(local) >= (4, 3)
    before = watch.leader()
    local.kill_agent(NODE)
    local.kill_broker(NODE)
    (noted,) = local.settings(NODE).directory.glob("data/*/quorum/*/names.dets")
    noted.unlink()
    local.start_agent(NODE)
    if not elects:
        view, _ = watch.until(
            lambda view: NODE in view.members and states(view)[NODE] is MemberStatus.MINORITY,
            "no queue answers",
        )
        assert view.leader is None
        assert "rabbitkeeper.canary" in view.members[NODE].record.reasons[0]
    # The killed agent's session, and its lead with it, last for some seconds: the next is waited for.
    watch.until(
        lambda view: view.leader is not None and epoch(view) != epoch(before), "the new agent leads", 120
    )
    said = (local.settings(NODE).directory / "log" / "agent.log").read_text()
    repaired = "queue rabbitkeeper.canary had no leader for 30 s while all its nodes ran" in said
    assert repaired is not elects


@pytest.mark.timeout(2 * LONG)
def test_while_zookeeper_is_slow_it_leads_on(local: Local, watch: Watch, tmp_path: Path) -> None:
    watch.leader()
    local.kill_agent(NODE)
    pid = local.broker_pid(NODE)
    with Proxy(local.zookeeper_hosts) as proxy:
        # A long session: what is tried are answers that come late, not pauses of a busy host besides.
        config = agent_config(local, NODE, zookeeper={"hosts": proxy.address, "session_timeout": 20.0})
        with running_agent(tmp_path / "agent.yml", config):

            def answer(path: str) -> int | str:
                try:
                    return httpx.get(local.api(NODE) + path, timeout=30.0).status_code
                except httpx.TransportError as error:
                    return repr(error)

            wait_for(lambda: answer("/leader") == httpx.codes.OK, "it leads", LONG)
            before = watch.leader()
            proxy.delay(1.5)
            refused: list[tuple[str, int | str]] = []
            end = time.monotonic() + 60.0
            while time.monotonic() < end:
                codes = [(path, answer(path)) for path in ("/live", "/ready", "/leader?hold=true")]
                refused += [each for each in codes if each[1] != httpx.codes.OK]
                time.sleep(0.5)  # as a load balancer asks
            proxy.delay(0.0)
            assert refused == []
            assert epoch(watch.leader()) == epoch(before)
            assert local.broker_pid(NODE) == pid
    local.start_agent(NODE)
    watch.leader(LONG)


def test_told_to_stop_it_leaves_and_stops_the_broker(local: Local, watch: Watch) -> None:
    watch.leader()
    local.stop_agent(NODE)
    view, _ = watch.until(lambda view: not view.members, "it has left")
    assert view.leader is None
    assert local.broker_pid(NODE) is None


def test_credentials_that_its_broker_has_accepted_before_are_waited_for(
    local: Local, watch: Watch, tmp_path: Path
) -> None:
    # The test before has stopped agent and broker; the data is there, with the old password in it. The broker
    # says the same of a right one while it cannot ask its authentication backend.
    assert local.agent_pid(NODE) is None
    config = agent_config(local, NODE, broker={"amqp": {"password": "wrong", "password_file": None}})
    with running_agent(tmp_path / "agent.yml", config):
        view, _ = watch.until(
            lambda view: (
                NODE in view.members and states(view)[NODE] is MemberStatus.UNREACHABLE and not view.leader
            ),
            "it is refused",
            120,
        )
        reasons = view.members[NODE].record.reasons
        assert reasons[0].startswith("the broker refuses the credentials: ")
        assert "cannot ask its authentication backend" in reasons[1]
        pid = local.broker_pid(NODE)
        assert pid is not None
        time.sleep(5)  # nothing should happen for so long
        assert local.broker_pid(NODE) == pid
    view, _ = watch.until(lambda view: not view.members, "it has left")
    assert view.leader is None
    assert local.broker_pid(NODE) is None
