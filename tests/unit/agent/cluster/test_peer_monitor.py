"""Asking our broker after the suspect nodes: one call at a time, and what comes of it."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from support.jobs import Called
from support.peer_sightings import ALL, B_GONE, CUT_OFF, member, view

from rabbitkeeper.agent.cluster.peer_monitor import TOLD, PeerMonitor
from rabbitkeeper.agent.cluster.suspects import AGAIN, FAILED, HUNG, SETTLE
from rabbitkeeper.agent.rabbitmq.ctl import NodeNotRunning
from rabbitkeeper.agent.rabbitmq.silent_nodes import DroppedNodes
from rabbitkeeper.coordinator.model.errors import RabbitKeeperError
from rabbitkeeper.coordinator.model.records import MemberStatus

B = frozenset({"rabbit@b"})
NOBODY: frozenset[str] = frozenset()


class Broker:
    """Our broker's tools, and the calls that were begun."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.calls: list[Called] = []
        self.answer: DroppedNodes | RabbitKeeperError = DroppedNodes(B, NOBODY)

    def drop_silent_nodes(self, nodes: Iterable[str], *, timeout: float) -> DroppedNodes:
        self.asked.append(tuple(nodes))
        if isinstance(self.answer, RabbitKeeperError):
            raise self.answer
        return self.answer

    def launch(self, name: str, work: Callable[[], object], wake: Callable[[], None]) -> Called:
        self.calls.append(Called(name, work, wake))
        return self.calls[-1]


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def peer_monitor(broker: Broker) -> PeerMonitor:
    return PeerMonitor(broker, wake=lambda: None, launch=broker.launch)


def test_a_silent_node_is_dropped_once(
    broker: Broker, peer_monitor: PeerMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    assert peer_monitor.turn(99.0, ALL) is None
    peer_monitor.turn(100.0, B_GONE)
    peer_monitor.turn(100.5, B_GONE)
    (call,) = broker.calls
    call.end()
    assert peer_monitor.turn(101.0, B_GONE) is None
    peer_monitor.turn(500.0, B_GONE)
    assert broker.asked == [("rabbit@b",)]
    assert "rabbit@b does not answer, and the broker has dropped it: b is gone from ZooKeeper" in caplog.text


def test_a_node_that_answers_is_left_alone_and_asked_after_later(
    broker: Broker, peer_monitor: PeerMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broker.answer = DroppedNodes(NOBODY, B)
    peer_monitor.turn(100.0, B_GONE)
    broker.calls[0].end()
    assert peer_monitor.turn(101.0, B_GONE) == 101.0 + AGAIN
    assert "left alone" in caplog.text
    peer_monitor.turn(101.0 + AGAIN, B_GONE)
    assert len(broker.calls) == 2


def test_a_node_that_was_not_connected_is_not_spoken_of(
    broker: Broker, peer_monitor: PeerMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broker.answer = DroppedNodes(NOBODY, NOBODY)
    peer_monitor.turn(100.0, B_GONE)
    broker.calls[0].end()
    assert peer_monitor.turn(101.0, B_GONE) is None
    assert caplog.text == ""


def test_a_call_that_fails_is_made_again(
    broker: Broker, peer_monitor: PeerMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    broker.answer = NodeNotRunning("rabbitmqctl eval on rabbit@a found no running node")
    peer_monitor.turn(100.0, B_GONE)
    broker.calls[0].end()
    assert peer_monitor.turn(101.0, B_GONE) == 101.0 + FAILED
    assert "found no running node" in caplog.text
    broker.answer = DroppedNodes(B, NOBODY)
    peer_monitor.turn(101.0 + FAILED, B_GONE)
    broker.calls[1].end()
    assert peer_monitor.turn(110.0, B_GONE) is None


def test_a_hung_node_that_was_dropped_is_told_so_for_a_while_longer_than_it_hangs(
    broker: Broker, peer_monitor: PeerMonitor
) -> None:
    hangs = replace(ALL, view=view(member("a"), member("b", MemberStatus.HUNG), member("c")))
    peer_monitor.turn(100.0, hangs)
    peer_monitor.turn(100.0 + HUNG, hangs)
    assert not peer_monitor.dropped
    peer_monitor.turn(104.0, ALL)  # it goes on while our broker drops it
    broker.calls[0].end()
    peer_monitor.turn(105.0, ALL)
    assert peer_monitor.dropped == B
    peer_monitor.turn(110.0, hangs)
    peer_monitor.turn(105.1 + TOLD, ALL)
    assert peer_monitor.dropped == B
    peer_monitor.turn(110.0 + TOLD, ALL)
    assert not peer_monitor.dropped


def test_a_node_that_was_dropped_because_it_is_gone_is_told_so_when_it_is_back(
    broker: Broker, peer_monitor: PeerMonitor
) -> None:
    """Its host may have stood still, and nothing there knows of it."""
    peer_monitor.turn(100.0, B_GONE)
    broker.calls[0].end()
    peer_monitor.turn(101.0, B_GONE)
    peer_monitor.turn(160.0, B_GONE)
    assert peer_monitor.dropped == B
    peer_monitor.turn(159.9 + TOLD, ALL)
    assert peer_monitor.dropped == B
    peer_monitor.turn(160.0 + TOLD, ALL)
    assert not peer_monitor.dropped


def test_a_broker_that_starts_again_has_dropped_nobody(broker: Broker, peer_monitor: PeerMonitor) -> None:
    """It meets them afresh, be it after a pause: they would be restarted for what is of the past."""
    peer_monitor.turn(100.0, B_GONE)
    broker.calls[0].end()
    peer_monitor.turn(101.0, B_GONE)
    peer_monitor.turn(102.0, replace(B_GONE, broker_up=False))
    assert peer_monitor.dropped == B, "one that hangs for a moment has"
    peer_monitor.turn(103.0, replace(B_GONE, broker_up=False, starts_again=True))
    assert not peer_monitor.dropped


def test_one_without_a_majority_drops_those_that_do_not_answer_and_tells_nothing_of_them(
    broker: Broker, peer_monitor: PeerMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    alone = replace(ALL, minority=True)
    broker.answer = DroppedNodes(frozenset({"rabbit@b", "rabbit@c"}), NOBODY)
    peer_monitor.turn(100.0, alone)
    assert peer_monitor.cut_off, "its broker may be about to pause"
    broker.calls[0].end()
    peer_monitor.turn(101.0, alone)
    assert not peer_monitor.cut_off, "ZooKeeper is there: what its broker does is known"
    assert not peer_monitor.dropped
    assert "reaches no majority of its cluster" in caplog.text


def test_one_without_a_majority_that_keeps_one_tells_whom_it_has_dropped(
    broker: Broker, peer_monitor: PeerMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    alone = replace(ALL, minority=True)
    broker.answer = DroppedNodes(B, frozenset({"rabbit@c"}))
    peer_monitor.turn(100.0, alone)
    broker.calls[0].end()
    peer_monitor.turn(101.0, alone)
    assert peer_monitor.dropped == B
    assert "reaches no majority" not in caplog.text


def test_a_silent_node_that_is_heard_of_is_left_alone_and_asked_after_again(
    broker: Broker, peer_monitor: PeerMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    broker.answer = DroppedNodes(NOBODY, NOBODY, B)
    peer_monitor.turn(100.0, B_GONE)
    broker.calls[0].end()
    assert peer_monitor.turn(101.0, B_GONE) == 101.0 + AGAIN
    assert not peer_monitor.dropped
    assert "rabbit@b does not answer the broker, but is heard of, and is left alone" in caplog.text


def test_who_is_cut_off_drops_all_others(broker: Broker, peer_monitor: PeerMonitor) -> None:
    peer_monitor.turn(100.0, CUT_OFF)
    broker.calls[0].end()
    assert broker.asked == [("rabbit@b", "rabbit@c")]


def test_a_member_that_is_back_when_the_answer_comes_is_not_spoken_of(
    broker: Broker, peer_monitor: PeerMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    peer_monitor.turn(100.0, B_GONE)
    peer_monitor.turn(100.5, ALL)
    broker.calls[0].end()
    assert peer_monitor.turn(101.0, ALL) is None
    assert caplog.text == ""


def test_a_broker_that_is_cut_off_is_let_alone_until_zookeeper_is_back(
    broker: Broker, peer_monitor: PeerMonitor, caplog: pytest.LogCaptureFixture
) -> None:
    broker.answer = DroppedNodes(frozenset({"rabbit@b", "rabbit@c"}), NOBODY)
    peer_monitor.turn(100.0, CUT_OFF)
    assert peer_monitor.cut_off, "it may be, while it is asked"
    broker.calls[0].end()
    peer_monitor.turn(101.0, CUT_OFF)
    assert not peer_monitor.dropped, "what it has dropped says nothing of the others"
    assert "the broker pauses, or with Khepri confirms nothing, until the network is back" in caplog.text
    peer_monitor.turn(150.0, replace(CUT_OFF, broker_up=False))
    assert peer_monitor.cut_off
    peer_monitor.turn(200.1, replace(ALL, connected_since=200.0))
    assert peer_monitor.cut_off, "its broker may yet need a moment"
    peer_monitor.turn(200.0 + SETTLE, replace(ALL, connected_since=200.0))
    assert not peer_monitor.cut_off


def test_who_has_a_majority_or_zookeeper_is_not_cut_off(broker: Broker, peer_monitor: PeerMonitor) -> None:
    broker.answer = DroppedNodes(B, frozenset({"rabbit@c"}))
    peer_monitor.turn(100.0, CUT_OFF)
    broker.calls[0].end()
    peer_monitor.turn(101.0, CUT_OFF)
    assert not peer_monitor.cut_off
    broker.answer = DroppedNodes(frozenset({"rabbit@b", "rabbit@c"}), NOBODY)
    peer_monitor.turn(300.0, replace(ALL, view=view(member("a")), connected_since=290.0))
    broker.calls[1].end()
    peer_monitor.turn(301.0, replace(ALL, view=view(member("a")), connected_since=290.0))
    assert not peer_monitor.cut_off
