"""Two agents with a broker each: what is said of a broker that runs and is of no use.

Two, so that the one that is left has no majority: RabbitMQ pauses it up to 4.2. With three nothing would.
"""

from collections.abc import Callable, Iterator

import pika
import pytest
from click.testing import CliRunner, Result
from support.agent.commands import done, ended_well
from support.agent.rabbitmq_version import rabbitmq_version
from support.group_watch import Watch, states

from rabbitkeeper.agent.model.observation import NodeState
from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtlError
from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.cli.root import root
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(400)]

BOTH = ("node1", "node2")
LONG = 200.0  # seconds; replicas that cannot be grown at once are tried again after a minute


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    with Local(zookeepers=1, members=2, group="standstill") as local:
        local.wait_ready(180)
        yield local


@pytest.fixture
def watch(local: Local, watching: Callable[[Local], Watch]) -> Watch:
    return watching(local)


def whole(watch: Watch) -> GroupView:
    running = dict.fromkeys(BOTH, MemberStatus.RUNNING)
    return watch.until(
        lambda view: states(view) == running and view.leader is not None, "both run and one leads", LONG
    )[0]


def says(view: GroupView, name: str) -> str:
    return "; ".join(view.members[name].record.reasons)


def test_a_cluster_of_two_is_warned_of(watch: Watch) -> None:
    view, _ = watch.until(
        lambda view: all(member.record.warnings for member in view.members.values()), "both warn", LONG
    )
    assert "two brokers" in view.members["node1"].record.warnings[0]


def test_a_broker_stopped_inside_its_erlang_machine_says_so(local: Local, watch: Watch) -> None:
    whole(watch)
    with local.ctl("node2").app_stopped():
        view, _ = watch.until(
            lambda view: states(view)["node2"] is MemberStatus.STOPPED, "node2 says that it is stopped", LONG
        )
        assert "living Erlang machine" in says(view, "node2")
    whole(watch)


def test_a_broker_that_is_left_alone_says_so_and_goes_on_when_the_other_is_back(
    local: Local, watch: Watch
) -> None:
    pauses = rabbitmq_version(local) < (4, 3)
    reason = "RabbitMQ has paused it" if pauses else "no majority answers for queue rabbitkeeper.canary"
    whole(watch)
    pid = local.broker_pid("node1")
    local.kill_node("node2")
    view, _ = watch.until(
        lambda view: "node1" in view.members and reason in says(view, "node1"),
        f"node1 says: {reason}",
        LONG,
    )
    assert states(view)["node1"] is (MemberStatus.UNREACHABLE if pauses else MemberStatus.MINORITY)
    local.start_agent("node2")
    whole(watch)
    assert local.broker_pid("node1") == pid


def test_a_queue_declared_while_a_member_was_away_gets_a_replica_there(local: Local, watch: Watch) -> None:
    whole(watch)
    parameters = pika.ConnectionParameters(
        *local.amqp("node1"), credentials=pika.PlainCredentials(*local.credentials)
    )
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    quorum = {"x-queue-type": "quorum"}
    channel.queue_declare("single", durable=True, arguments={**quorum, "x-quorum-initial-group-size": 1})
    channel.queue_declare("alone", durable=True, arguments=quorum)
    connection.close()
    # As if the other had been away when it was declared.
    local.ctl("node1")._run("delete_member", "alone", local.node("node2"), tool="rabbitmq-queues")
    assert local.node("node2") not in replicas(local, "alone")
    local.kill_broker("node2")
    whole(watch)

    def grown() -> bool:
        try:
            return local.node("node2") in replicas(local, "alone")
        except RabbitmqCtlError:  # one of two nodes alone is paused by RabbitMQ, until the other is back
            return False

    watch.until(lambda _: grown(), "the queue has a replica on node2", LONG)
    assert local.node("node2") not in replicas(local, "single"), "it asked for one"


def test_a_restart_by_force_ends_though_queues_find_no_other_leader(local: Local, watch: Watch) -> None:
    whole(watch)
    pid = local.broker_pid("node1")
    environment = {"RABBITKEEPER_ZOOKEEPER": local.zookeeper_hosts, "RABBITKEEPER_GROUP": local.group}

    def run(*arguments: str, **more: str) -> Result:
        return CliRunner().invoke(root, ["-o", "json", *arguments], env={**environment, **more})

    asked = done(run("restart", "node1", "--force", "--wait", "0"))
    ended_well(run, asked["id"], LONG)
    whole(watch)
    assert local.broker_pid("node1") != pid


def test_a_drained_broker_says_so_and_is_left_alone(local: Local, watch: Watch) -> None:
    # From here on two nodes have no majority now and then, and need not find it again at once.
    whole(watch)
    # From 4.2 a drain waits 30 s for each queue that finds no other leader: for the canary's, and no more.
    local.ctl("node1").delete_queue("/", "alone")
    pid = local.broker_pid("node1")
    local.ctl("node1").drain()
    view, _ = watch.until(
        lambda view: states(view)["node1"] is MemberStatus.DRAINING, "node1 says that it is drained", LONG
    )
    assert "rabbitmq-upgrade drain" in says(view, "node1")
    before = run_of(view)
    local.kill_agent("node1")
    local.start_agent("node1")
    view, _ = watch.until(
        lambda view: run_of(view) not in (None, before) and states(view)["node1"] is MemberStatus.DRAINING,
        "the next run of its agent says so too",
        LONG,
    )
    assert "rabbitmq-upgrade drain" in says(view, "node1")
    local.ctl("node1").revive()
    assert run_of(open_again(watch)) == run_of(view)
    assert local.broker_pid("node1") == pid


def test_a_broker_that_an_agent_has_drained_and_left_so_is_opened_by_the_next(
    local: Local, watch: Watch
) -> None:
    view, pid = open_again(watch), local.broker_pid("node1")
    local.kill_agent("node1")
    local.ctl("node1").claim_drain()  # as agents do before they drain
    local.ctl("node1").drain()
    before = run_of(view)
    local.start_agent("node1")
    watch.until(lambda view: run_of(view) not in (None, before), "the next run has begun", LONG)
    open_again(watch)
    assert local.broker_pid("node1") == pid
    assert local.ctl("node1").node_state() is NodeState.SERVING


def run_of(view: GroupView) -> str | None:
    """Which run of node1's agent is registered."""
    return view.members["node1"].record.instance if "node1" in view.members else None


def open_again(watch: Watch) -> GroupView:
    return watch.until(
        lambda view: states(view).get("node1") in (MemberStatus.RUNNING, MemberStatus.MINORITY),
        "node1 takes connections again",
        LONG,
    )[0]


def replicas(local: Local, queue: str) -> str:
    return local.ctl("node1")._run("quorum_status", queue, tool="rabbitmq-queues")
