"""What has stopped publishing or consuming for long, on real brokers: each goes on while the cause lasts."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.announcer import Announcer
from support.queues import publish, take, take_all
from support.waiting import wait_for

from rabbitkeeper.client import Client, Nacked, PublishUnknown, Queue, Unroutable
from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

LONG = 60.0  # seconds; to fail, not to wait for
MANY = 1_000


@contextmanager
def standing_still(announcer: Announcer, name: str) -> Iterator[None]:
    """The broker of ``name`` answers nothing; in the end it is started again."""
    announcer.local.stop_broker(name)
    try:
        yield
    finally:
        started_again(announcer, name)


def started_again(announcer: Announcer, name: str) -> None:
    announcer.local.kill_broker(name)
    announcer.local.start_broker(name)
    announcer.status(name, MemberStatus.RUNNING)
    announcer.lead("node1")


def drop(announcer: Announcer, name: str, by: str) -> None:
    """The others count a node out that does not answer, as their agents have them do."""
    announcer.local.ctl(by).drop_silent_nodes([announcer.local.node(name)], timeout=1.0)


def follow(announcer: Announcer, client: Client, name: str) -> None:
    announcer.lead(name)
    wait_for(lambda: client.status().member == name, "the client has followed")


def test_publishing_goes_on_while_the_leaders_host_stands_still(announcer: Announcer) -> None:
    with announcer.client() as client:
        client.declare(Queue("here"), Queue("there"))  # their leaders are on node1
        publish(client, "here", 3)
        with standing_still(announcer, "node1"):
            waiting = client.publish_nowait("", "here", b"waits", timeout=LONG)
            wait_for(lambda: client.status().unconfirmed > 0, "it is on its way")
            announcer.gone("node1")
            wait_for(lambda: client.status().member in ("node2", "node3"), "the client has left")
            for by in ("node2", "node3"):
                drop(announcer, "node1", by)
            announcer.lead("node2")
            assert waiting.result(LONG).attempts >= 2
            client.publish("", "there", b"goes on", timeout=LONG)
        assert sorted(set(take(client.consume("here"), 4))) == [b"0", b"1", b"2", b"waits"]


def test_a_client_that_spreads_leaves_a_member_that_has_gone(announcer: Announcer) -> None:
    with announcer.client() as owner:
        owner.declare(Queue("spread"))
    with announcer.client(spread="members") as client:
        publish(client, "spread", 3)
        member = client.status().member
        assert member is not None
        with standing_still(announcer, member):
            announcer.gone(member)
            wait_for(lambda: client.status().member not in (member, None), "the client has left")
            for by in announcer.members:
                if by != member:
                    drop(announcer, member, by)
            client.publish("", "spread", b"goes on", timeout=LONG)


def test_an_unroutable_message_freezes_nobody_while_everything_is_declared_again(
    announcer: Announcer,
) -> None:
    queues = [Queue(f"again-{number}", type="classic") for number in range(MANY)]
    with announcer.client() as client:
        follow(announcer, client, "node2")  # their only copies are there, and stay when node1 is killed
        client.declare(*queues, timeout=2 * LONG)
        follow(announcer, client, "node1")
        announcer.local.kill_broker("node1")
        try:
            nowhere = client.publish_nowait("", "nowhere", b"x", timeout=LONG)
            announcer.status("node1", MemberStatus.STOPPED)
            announcer.lead("node2")
            later = client.publish_nowait("", queues[-1].name, b"y", timeout=LONG)
            error = nowhere.exception(LONG)  # unknown, if it was sent to node1 before
            assert isinstance(error, Unroutable | PublishUnknown)
            assert later.result(LONG)
            wait_for(lambda: client.status().member == "node2", "the client is with the new leader")
            client.publish("", queues[0].name, b"z", timeout=LONG)
            client.delete(*queues, timeout=2 * LONG)
        finally:
            announcer.local.start_broker("node1")
            announcer.status("node1", MemberStatus.RUNNING)
            announcer.lead("node1")


def test_a_program_that_has_published_drains_its_queue_and_declares_during_an_alarm(
    announcer: Announcer,
) -> None:
    ctl = announcer.local.ctl("node1")
    with announcer.client() as client:
        client.declare(Queue("drained"))
        publish(client, "drained", 100)
        ctl._run("set_vm_memory_high_watermark", "0.0001")
        try:
            waiting = client.publish_nowait("", "drained", b"tells us", timeout=LONG)
            wait_for(lambda: client.status().blocked is not None, "the client knows that it is blocked")
            assert take(client.consume("drained"), 100) == [b"%d" % number for number in range(100)]
            client.declare(Queue("declared-meanwhile"), timeout=LONG)
            assert client.check(Queue("declared-meanwhile"), timeout=LONG) == 0
            assert client.status().blocked is not None
            assert not waiting.done()
            left = client.close(0.1)
            assert [one.body for one in left] == [b"tells us"]
        finally:
            ctl._run("set_vm_memory_high_watermark", "absolute", "512MB")


def test_a_full_queue_holds_nobody_up_over_a_move_and_a_broken_connection(announcer: Announcer) -> None:
    full = Queue(
        "full-at-last", type="classic", arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    with announcer.client() as client:
        client.declare(full, Queue("beside"))
        client.publish("", full.name, b"fills it", timeout=LONG)
        try:
            follow(announcer, client, "node2")
            refused = [client.publish_nowait("", full.name, b"too much", timeout=LONG) for _ in range(20)]
            client.publish("", "beside", b"0", timeout=LONG)
            # In the wake of a move it is tried for many seconds.
            assert not any(future.done() for future in refused), "it waited for those that are refused"
            announcer.close_connections("node2")
            for number in range(1, 40):
                client.publish("", "beside", b"%d" % number, timeout=LONG)
            for future in refused:
                # Unknown, if the connection was closed before the answer.
                assert isinstance(future.exception(LONG), Nacked | PublishUnknown)
            wait_for(lambda: client.status().member == "node2", "the client is with the leader")
        finally:
            announcer.lead("node1")
        take_all(client.consume("beside"), {b"%d" % number for number in range(40)})
