"""What has stopped publishing or consuming for long, on real brokers: each goes on while the cause lasts."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.announcer import Announcer
from support.queues import publish, take
from support.waiting import wait_for

from rabbitkeeper.client import Queue
from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

LONG = 60.0  # seconds; to fail, not to wait for


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
