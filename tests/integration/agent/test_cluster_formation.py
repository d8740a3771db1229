"""Forming real brokers into a cluster through a real ZooKeeper."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pika
import pytest
from support.agent.rabbitmq_version import rabbitmq_version
from support.waiting import wait_for

from rabbitkeeper.agent.cluster.formation import FormationFailed, Identity, form
from rabbitkeeper.agent.cluster.formation_plan import FormationStep
from rabbitkeeper.agent.cluster.replicas import give
from rabbitkeeper.agent.model.errors import FormationRefused
from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.records import GroupConfig
from rabbitkeeper.coordinator.store.store import Store

pytestmark = [pytest.mark.rabbitmq, pytest.mark.zookeeper]


@pytest.fixture
def store(zookeeper: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    session = backend_at(zookeeper, timeout=10.0)
    session.start()
    store = Store(session, f"formation-{request.node.name[:40].rstrip('_')}")
    store.create_group(GroupConfig())
    yield store
    session.close()


@contextmanager
def channel(local: Local, name: str) -> Iterator[pika.channel.Channel]:
    credentials = pika.PlainCredentials(*local.settings(name).user)
    host, port = local.amqp(name)
    connection = pika.BlockingConnection(pika.ConnectionParameters(host, port, credentials=credentials))
    yield connection.channel()
    connection.close()


def join(store: Store, local: Local, name: str) -> FormationStep:
    identity = Identity(name, local.node(name), "rabbitkeeper", local.settings(name).user)
    return form(store, local.ctl(name), identity).step


def give_replicas(store: Store, local: Local, name: str) -> str | None:
    return give(local.ctl(name), 3, lambda: store.formation_lock(name, 30))


def replicas(local: Local, name: str, queue: str) -> frozenset[str]:
    """The nodes that have one of a queue, as a member's node says."""
    (found,) = [each for each in local.ctl(name).quorum_queues() if each.name == queue]
    return found.members


def declare(local: Local, name: str, queue: str) -> None:
    with channel(local, name) as opened:
        opened.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})


def delete(local: Local, name: str, queue: str) -> None:
    with channel(local, name) as opened:
        opened.queue_delete(queue)


def use_cookie(local: Local, name: str, other: str, cookie: str) -> None:
    """Have a node use another cookie towards one other node, as if its own were that."""
    node = local.node(other)
    local.ctl(name)._run(
        "eval", f"erlang:set_cookie('{node}', '{cookie}'), erlang:disconnect_node('{node}')."
    )


def test_a_cluster_is_formed_step_by_step(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """One story, because a broker takes seconds to boot."""
    # One of two nodes alone would pause itself; what is tested here is not that.
    alone = "cluster_partition_handling = ignore\n"
    with Local(zookeepers=0, members=2, agents=False, clustered=False, broker_config=alone) as local:
        founder, joiner = local.members

        # The founder keeps what it holds, and makes the agents' vhost.
        declare(local, founder, "kept")
        assert join(store, local, founder) is FormationStep.FOUND
        credentials = pika.PlainCredentials(*local.settings(founder).user)
        pika.BlockingConnection(
            pika.ConnectionParameters(
                *local.amqp(founder), virtual_host="rabbitkeeper", credentials=credentials
            )
        ).close()

        # A node with a queue is refused, and keeps it.
        declare(local, joiner, "precious")
        with pytest.raises(FormationRefused, match="1 queue \\('precious'\\)"):
            join(store, local, joiner)
        assert local.ctl(joiner).cluster_status().nodes == {local.node(joiner)}

        # Emptied, but with another Erlang cookie for the founder, it cannot join, says so, and is as it was.
        delete(local, joiner, "precious")
        use_cookie(local, joiner, founder, "another")
        with pytest.raises(FormationFailed, match="could join none of the recorded nodes"):
            join(store, local, joiner)
        assert local.ctl(joiner).cluster_status().running == {local.node(joiner)}
        assert store.cluster() is not None
        use_cookie(local, joiner, founder, local.settings(founder).cookie or "")

        # With the right one it joins and is recorded, and then gets a replica of the quorum queue.
        assert join(store, local, joiner) is FormationStep.JOIN
        both = {local.node(founder), local.node(joiner)}
        assert local.ctl(joiner).cluster_status().running == both
        view = store.cluster()
        assert view is not None
        assert set(view.record.nodes) == both
        with channel(local, joiner) as opened:
            opened.queue_declare("kept", passive=True)
        assert give_replicas(store, local, joiner) is None
        assert local.node(joiner) in replicas(local, founder, "kept")

        # Again: nothing to do.
        assert join(store, local, joiner) is FormationStep.NOTHING

        # The joiner loses its disk: under its old name it is refused. (The founder is stopped meanwhile, or
        # it may by chance have given the joiner its tables back before that asks what it is.)
        local.kill_broker(joiner)
        shutil.rmtree(local.settings(joiner).data)
        local.stop_broker(founder)
        local.start_broker(joiner)
        local.continue_broker(founder)
        with pytest.raises(FormationRefused, match="its own data is gone"):
            join(store, local, joiner)

        # Were it not recorded yet, it would have been cut off while joining: then it joins anew.
        view = store.cluster()
        assert view is not None
        only = {node: member for node, member in view.record.nodes.items() if node == local.node(founder)}
        store.write_cluster(view.record.model_copy(update={"nodes": only}), view.version)
        assert join(store, local, joiner) is FormationStep.JOIN
        assert local.ctl(founder).cluster_status().running == both
        # From 4.1 on RabbitMQ has the node leave and join again by itself.
        ours = "from a join that was cut off" in caplog.text
        assert ours is (rabbitmq_version(local, founder) < (4, 1))


def test_a_member_on_another_machine_takes_the_place_of_its_node_that_is_gone(store: Store) -> None:
    alone = "cluster_partition_handling = ignore\n"
    with Local(zookeepers=0, members=4, agents=False, clustered=False, broker_config=alone) as local:
        *three, new = local.members
        lost = three[-1]
        declare(local, three[0], "kept")
        for name in three:
            join(store, local, name)
        for name in three[1:]:
            give_replicas(store, local, name)
        assert replicas(local, three[0], "kept") == {local.node(name) for name in three}
        identity = Identity(lost, local.node(new), "rabbitkeeper", local.settings(new).user)

        # While the old node runs it is left alone, and the new one is a member besides.
        assert form(store, local.ctl(new), identity).step is FormationStep.JOIN
        view = store.cluster()
        assert view is not None
        assert set(view.record.nodes) == {local.node(name) for name in local.members}

        # Once it is gone the next look replaces it: no phantom is left, nor a replica on it.
        local.kill_broker(lost)
        wait_for(lambda: local.node(lost) not in local.ctl(new).cluster_status().running)
        form(store, local.ctl(new), identity)
        left = {local.node(name) for name in (*three[:-1], new)}
        view = store.cluster()
        assert view is not None
        assert set(view.record.nodes) == local.ctl(three[0]).cluster_status().nodes == left
        assert replicas(local, three[0], "kept") == {local.node(name) for name in three[:-1]}
        assert give_replicas(store, local, new) is None
        assert replicas(local, three[0], "kept") == left

        # The same with a node that was gone before the new one came.
        local.kill_broker(three[1])
        wait_for(lambda: local.node(three[1]) not in local.ctl(new).cluster_status().running)
        shutil.rmtree(local.settings(lost).data)
        local.start_broker(lost)
        again = Identity(three[1], local.node(lost), "rabbitkeeper", local.settings(lost).user)
        assert form(store, local.ctl(lost), again).step is FormationStep.JOIN
        view = store.cluster()
        assert view is not None
        left = {local.node(name) for name in (three[0], new, lost)}
        assert set(view.record.nodes) == local.ctl(new).cluster_status().nodes == left
