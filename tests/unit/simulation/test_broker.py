"""The simulated brokers keep to the transport's contract, and notice clients that do not."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulation.broker.channel import SimulatedChannel
from simulation.broker.cluster import SimulatedCluster
from simulation.broker.confirms import Confirms, Style
from simulation.broker.journal import Misuse
from simulation.broker.transport import PASSWORD, SimulatedConnection, SimulatedTransport
from simulation.loop import VirtualLoop, VirtualTime

from rabbitkeeper.client.amqp.frames import Template
from rabbitkeeper.client.amqp.transport import Access, ChannelLost, ConnectionLost
from rabbitkeeper.client.model.requests import DeleteEntity, PassiveDeclare, Purge, Request, Unbind
from rabbitkeeper.client.model.topology import Binding, Entity, Queue


@dataclass(slots=True)
class Letter:
    """A message to a queue."""

    message_id: str
    template: Template
    body: bytes = b""


def letter(name: str, queue: str = "orders") -> Letter:
    return Letter(name, Template("", queue, mandatory=True, flags=0, before=b"", after=b""))


class Scene:
    """One connection, and what was reported on it."""

    def __init__(self, node: str = "a") -> None:
        self.time = VirtualTime()
        self.cluster = SimulatedCluster(self.time)
        self.transport = SimulatedTransport(self.cluster, VirtualLoop(self.time))
        self.reports: list[object] = []
        self.connection = self.connect(node)
        channel = self.channel()
        channel.declare(Queue("orders"), str, self.report)
        self.time.advance(0.1)
        self.reports.clear()

    def report(self, what: object) -> None:
        self.reports.append(what)

    def connect(self, node: str) -> SimulatedConnection:
        connection = self.transport.connect(
            f"{node}:5672",
            Access("app", PASSWORD),
            timeout=1.0,
            on_open=lambda: None,
            on_lost=self.report,
            on_blocked=self.report,
        )
        self.time.advance(0.1)
        return connection

    def channel(self, connection: SimulatedConnection | None = None) -> SimulatedChannel:
        made = (connection or self.connection).channel(lambda _: None, lambda _, lost: self.report(lost))
        self.time.advance(0.1)
        return made

    def publishing(self, connection: SimulatedConnection | None = None) -> SimulatedChannel:
        channel = self.channel(connection)
        channel.confirm(
            lambda: None,
            lambda answers: self.reports.extend(answers),
            lambda *back: self.report(back[0]),
        )
        self.time.advance(0.1)
        return channel

    def reported(self, seconds: float = 0.1) -> list[object]:
        """What is reported in so many seconds."""
        self.time.advance(seconds)
        reports, self.reports = self.reports, []
        return reports


def consume(channel: SimulatedChannel) -> None:
    channel.consume(
        "orders", 10, {}, on_ready=lambda: None, on_deliveries=lambda _: None, on_cancelled=lambda: None
    )


MISUSES: dict[str, Callable[[Scene], object]] = {
    "publish before": lambda scene: scene.channel().publish([letter("m")]),
    "publish on a channel that is not open": lambda scene: closed(scene).publish([letter("m")]),
    "confirm called twice": lambda scene: scene.publishing().confirm(print, print, print),
    "declare on": lambda scene: closed(scene).declare(Queue("q"), str, print),
    "consume called twice": lambda scene: twice(scene.channel()),
    "ack of tag 1": lambda scene: scene.channel().ack(1, multiple=False),
    "nack of tag 1": lambda scene: scene.channel().nack(1, requeue=True),
    "a channel of a connection": lambda scene: aborted(scene).channel(print, print),
}


def closed(scene: Scene) -> SimulatedChannel:
    channel = scene.publishing()
    channel.close()
    return channel


def aborted(scene: Scene) -> SimulatedConnection:
    scene.connection.abort()
    return scene.connection


def twice(channel: SimulatedChannel) -> None:
    consume(channel)
    consume(channel)


@pytest.mark.parametrize("words", MISUSES)
def test_what_no_client_may_do_is_an_error(words: str) -> None:
    scene = Scene()
    with pytest.raises(Misuse, match=words):
        MISUSES[words](scene)
    assert len(scene.cluster.journal.misuses) == 1


def test_nothing_is_heard_of_what_was_given_up() -> None:
    scene = Scene()
    channel = scene.publishing()
    channel.publish([letter("m")])
    scene.connection.abort()
    scene.cluster.kill("a")
    assert scene.reported(30.0) == []
    assert not channel.is_open
    assert scene.cluster.connections == []


def test_the_end_of_a_connection_is_told_once_and_by_itself_alone() -> None:
    scene = Scene()
    channel = scene.publishing()
    scene.cluster.kill("a")
    assert scene.reported() == [ConnectionLost("connection reset by peer")]
    assert not channel.is_open


def test_a_message_that_comes_back_does_so_before_its_ack() -> None:
    scene = Scene()
    scene.publishing().publish([letter("m", "nowhere")])
    assert scene.reported() == ["m", (1, False, True)]


def test_a_channel_that_the_broker_closes_says_why_and_no_more() -> None:
    scene = Scene()
    channel = scene.publishing()
    astray = Letter("m", Template("missing", "", mandatory=True, flags=0, before=b"", after=b""))
    channel.publish([astray, letter("n")])
    (lost,) = scene.reported()
    assert isinstance(lost, ChannelLost)
    assert lost.code == 404
    assert scene.cluster.journal.stored["orders"] == []


@pytest.mark.parametrize(
    "asked",
    [
        Queue("mine", exclusive=True),
        Binding("amq.fanout", "mine"),
        DeleteEntity(Queue("mine")),
        Purge("mine"),
        PassiveDeclare(Queue("mine")),
        Unbind(Binding("amq.fanout", "mine")),
    ],
)
def test_an_exclusive_queue_is_nobody_elses_to_do_anything_with(asked: Entity | Request) -> None:
    scene = Scene()
    scene.channel().declare(Queue("mine", exclusive=True), str, None)
    for connection, is_refused in ((scene.connection, False), (scene.connect("b"), True)):
        channel = scene.channel(connection)
        scene.reported()
        if isinstance(asked, Request):
            channel.request(asked, str, scene.report)
        else:
            channel.declare(asked, str, scene.report)
        (report,) = scene.reported()
        assert (isinstance(report, ChannelLost) and report.code == 405) == is_refused
        if isinstance(asked, DeleteEntity):
            scene.channel().declare(Queue("mine", exclusive=True), str, None)
            scene.reported()


def test_a_burst_can_be_cut_in_its_middle() -> None:
    scene = Scene()
    scene.publishing().publish([letter(f"m{number}") for number in range(100)])
    scene.time.advance(scene.cluster.latency() + 50e-6)
    scene.cluster.kill("a")
    assert 10 < len(scene.cluster.journal.arrived) < 90


# -- queues without a leader


def test_a_channel_that_knows_the_queue_waits_for_its_leader() -> None:
    scene = Scene()
    channel = scene.publishing(scene.connect("b"))
    channel.publish([letter("m")])
    assert scene.reported() == [(1, False, True)]
    scene.cluster.kill("a")
    channel.publish([letter("n")])
    assert scene.reported(0.2) == [ConnectionLost("connection reset by peer")]
    assert scene.reported(0.2) == [(2, False, True)]


def test_a_channel_that_meets_it_first_is_refused_until_the_dead_node_is_back() -> None:
    scene = Scene()
    channel = scene.publishing(scene.connect("b"))
    scene.cluster.kill("a")
    channel.publish([letter("m")])
    scene.reported()
    scene.time.advance(10.0)  # the queue has been well for long
    channel.publish([letter("n")])
    assert scene.reported() == [(2, False, False)]
    another = scene.publishing(scene.connect("b"))
    another.publish([letter("o")])
    assert scene.reported() == [(1, False, True)]
    scene.cluster.start("a")
    channel.publish([letter("p")])
    assert scene.reported() == [(3, False, True)]


def test_without_a_majority_nothing_is_taken() -> None:
    scene = Scene()
    scene.cluster.kill("b", "c")
    channel = scene.publishing()
    channel.publish([letter("m")])
    assert scene.reported(30.0) == []
    scene.cluster.start("b")
    assert scene.reported() == [(1, False, True)]


# -- confirms


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from((0.0, 0.001, 0.1))), min_size=1, max_size=30),
    st.sampled_from(list(Style)),
    st.integers(0, 100),
)
def test_each_message_is_answered_once_in_each_style(
    outcomes: list[tuple[bool, float]], style: Style, seed: int
) -> None:
    time, answered, open_ = VirtualTime(), dict[int, bool](), set[int]()

    def send(tag: int, multiple: bool, ack: bool) -> None:
        named = {known for known in open_ if known <= tag} if multiple else {tag}
        assert named <= open_
        assert tag in named
        open_.difference_update(named)
        answered.update(dict.fromkeys(named, ack))

    confirms = Confirms(time, Random(seed), lambda: 0.01, lambda: style, send)
    for tag, (ack, seconds) in enumerate(outcomes, 1):
        open_.add(tag)
        confirms.expect(tag)
        time.after(
            Random(seed + tag).choice((0.0, 0.05)),
            lambda tag=tag, ack=ack: confirms.resolve(tag, ack=ack),  # type: ignore[misc]
        )
        time.advance(seconds)
    time.advance(1.0)
    assert answered == {tag: ack for tag, (ack, _) in enumerate(outcomes, 1)}
