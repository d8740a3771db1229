"""A real group under what hands and overloaded hosts do to it: nothing that works is restarted."""

from collections.abc import Callable, Iterator

import pytest
from support.agent.rabbitmq_version import rabbitmq_version
from support.group_watch import Watch, leader_of, states
from support.waiting import wait_for

from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.errors import NodeError
from rabbitkeeper.coordinator.model.paths import ROOT, GroupPaths
from rabbitkeeper.coordinator.model.records import ClusterRecord, MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.store.reader import read_node

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq, pytest.mark.timeout(300)]

MEMBERS = ("node1", "node2", "node3")
RUNNING = dict.fromkeys(MEMBERS, MemberStatus.RUNNING)
GROUP = "nobody-tried"
PATHS = GroupPaths(GROUP)


@pytest.fixture(scope="module")
def local() -> Iterator[Local]:
    with Local(zookeepers=1, members=3, group=GROUP) as local:
        local.wait_ready(180)
        yield local


@pytest.fixture
def watch(local: Local, watching: Callable[[Local], Watch]) -> Watch:
    return watching(local)


@pytest.fixture
def zookeeper(local: Local) -> Iterator[Backend]:
    backend = backend_at(local.zookeeper_hosts, wake=lambda: None, name="hands")
    backend.start(10)
    yield backend
    backend.close()


def whole(watch: Watch, timeout: float = 30) -> GroupView:
    def is_whole(view: GroupView) -> bool:
        recorded = view.cluster is not None and len(view.cluster.record.nodes) == len(MEMBERS)
        return states(view) == RUNNING and view.leader is not None and recorded

    return watch.until(is_whole, "all three run, are recorded, and one leads", timeout)[0]


def pids(local: Local) -> dict[str, int | None]:
    return {name: local.broker_pid(name) for name in MEMBERS}


def delete(backend: Backend, path: str) -> None:
    """The node and all below it, as an operator's ``deleteall`` does it."""
    for name in backend.children(path) or ():
        delete(backend, f"{path}/{name}")
    try:
        node = read_node(backend, path)
        if node is not None:
            backend.delete(path, node.version)
    except NodeError:  # an agent has made something below it again meanwhile
        delete(backend, path)


def test_brokers_that_stall_together_for_seconds_are_not_killed(local: Local, watch: Watch) -> None:
    whole(watch, 90)
    before = pids(local)
    for name in MEMBERS:
        local.stop_broker(name)
    try:
        watch.until(
            lambda view: set(states(view).values()) == {MemberStatus.HUNG}, "all are found to hang", 20
        )
    finally:
        for name in MEMBERS:
            local.continue_broker(name)
    whole(watch, 60)
    assert pids(local) == before


@pytest.mark.parametrize("damage", [None, b"{]"], ids=["deleted", "spoilt"])
@pytest.mark.parametrize("node", ["leader", "cluster", "members/node1", "members/node2", "config"])
def test_a_znode_that_was_deleted_or_spoilt_by_hand_is_written_again(
    local: Local, watch: Watch, zookeeper: Backend, node: str, damage: bytes | None
) -> None:
    if node == "config" and damage is not None:
        pytest.skip("what an operator writes there is the operator's")
    led, before = leader_of(whole(watch)), pids(local)
    path = f"{PATHS.root}/{node}"
    there = read_node(zookeeper, path)
    assert there is not None
    if damage is None:
        zookeeper.delete(path, there.version)
    else:
        zookeeper.set(path, damage, there.version)

    def mended(view: GroupView) -> bool:
        return not view.problems and view.config is not None and view.cluster is not None

    watch.until(lambda view: mended(view) and states(view) == RUNNING, "it is written again", 15)
    after = whole(watch)
    assert pids(local) == before
    if (node, damage) != ("leader", None):
        assert leader_of(after) == led


def test_a_member_that_the_record_of_the_cluster_lacks_adds_itself(
    local: Local, watch: Watch, zookeeper: Backend
) -> None:
    """As after a node that booted had found no record, and written one without those that ran."""
    led, before = leader_of(whole(watch)), pids(local)
    there = read_node(zookeeper, PATHS.cluster)
    assert there is not None
    record = ClusterRecord.from_bytes(PATHS.cluster, there.data)
    nodes = {node: its for node, its in record.nodes.items() if its.member != "node2"}
    lacks = record.model_copy(update={"nodes": nodes})
    zookeeper.set(PATHS.cluster, lacks.to_bytes(), there.version)
    after = whole(watch, 60)
    assert after.cluster is not None
    assert {its.member for its in after.cluster.record.nodes.values()} == set(MEMBERS)
    assert (leader_of(after), pids(local)) == (led, before)


def test_the_whole_group_deleted_by_hand_is_written_again(
    local: Local, watch: Watch, zookeeper: Backend
) -> None:
    before = pids(local)
    whole(watch)
    delete(zookeeper, ROOT)
    whole(watch, 30)
    assert pids(local) == before


def test_a_node_that_one_other_does_not_count_is_started_again(local: Local, watch: Watch) -> None:
    """Seen once: RabbitMQ 3.10 had not noticed on one node that another was back."""
    led = leader_of(whole(watch))
    blind, unseen = (name for name in MEMBERS if name != led)
    ctl = local.ctl(blind)
    if rabbitmq_version(local) >= (3, 13):
        pytest.skip("there each node is asked whether it runs; before, Mnesia's own list is taken")
    before = pids(local)
    ctl._run("eval", f"mnesia_lib:del({{current, db_nodes}}, '{local.node(unseen)}').")
    assert local.node(unseen) not in ctl.cluster_status().running
    local.kill_agent(unseen)  # which has all nodes compared
    local.start_agent(unseen)

    def told(view: GroupView) -> bool:
        return blind in view.members and view.members[blind].record.uncounted == (local.node(unseen),)

    watch.until(told, "it is told who is not counted", 90)
    watch.until(lambda view: states(view).get(unseen) is MemberStatus.SPLIT, "it is out of service", 90)
    whole(watch, 120)
    wait_for(lambda: ctl.cluster_status().running == set(map(local.node, MEMBERS)), "they agree", 90)
    after = pids(local)
    assert {name for name in MEMBERS if after[name] != before[name]} == {unseen}
