"""The loop of ``publish`` against simulated brokers in virtual time."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.cli.interrupts import Interrupts
from rabbitkeeper.client.cli.message_lines import Outgoing
from rabbitkeeper.client.cli.pace import CATCH_UP, Pace
from rabbitkeeper.client.cli.publication import REPORTED, Publication
from rabbitkeeper.client.cli.sources import Numbered
from rabbitkeeper.client.model.errors import Closed
from rabbitkeeper.client.publish.future import Receipt
from rabbitkeeper.coordinator.model.errors import ConfigurationError


class VirtualWaiting:
    """Lets virtual time pass; and something happen in it, at a moment."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.happens: list[tuple[Callable[[], object], Callable[[], object]]] = []

    def now(self) -> float:
        return self._simulation.time.now

    def pause(self, seconds: float) -> None:
        self._simulation.run(seconds)
        self._look()

    def until_done(self, future: "Future[Any]") -> None:
        while not future.done():
            self._simulation.run(0.001)
            self._look()

    def _look(self) -> None:
        for when, then in list(self.happens):
            if when():
                self.happens.remove((when, then))
                then()


class Shown:
    def __init__(self) -> None:
        self.done = 0
        self.lines: list[str] = []

    def show(self, done: int) -> None:
        self.done = done

    def say(self, text: str) -> None:
        self.lines.append(text)


class Scene:
    """A publication to a simulated group."""

    def __init__(self, *, rate: float | None = None, window: int = 1000, keep_going: bool = False) -> None:
        self.simulation = Simulation().started("orders")
        self.waiting = VirtualWaiting(self.simulation)
        self.interrupts = Interrupts()
        self.shown = Shown()
        self.sent: list[str] = []
        self.publication = Publication(
            self.send,
            self.waiting,
            self.interrupts,
            self.shown,
            pace=Pace(rate),
            window=window,
            keep_going=keep_going,
        )
        self.totals = self.publication.totals

    def send(self, message: Outgoing) -> "Future[Receipt]":
        client = self.simulation.client
        future = client.publish(message.exchange, message.routing_key, message.body, timeout=10.0)
        self.sent.append(future.message_id)
        return future

    def run(self, messages: "list[Numbered] | Iterator[Numbered]") -> None:
        with self.interrupts:
            self.publication.run(messages)

    def stored(self) -> list[str]:
        return self.simulation.first_stored()


def numbered(count: int, key: str = "orders") -> list[Numbered]:
    return [Numbered(f"line {one}", Outgoing("", key, b"%d" % one)) for one in range(1, count + 1)]


def test_all_are_confirmed_and_counted() -> None:
    scene = Scene()
    scene.run(numbered(2500))
    assert scene.totals.confirmed == scene.shown.done == 2500
    assert scene.totals.all_confirmed
    assert scene.stored() == scene.sent
    assert scene.totals.sentence(2.0) == "2500 confirmed, in 2.0 s (1250 a second)"
    scene.simulation.come_to_rest()


def test_all_arrive_in_order_when_the_broker_is_killed_in_the_middle() -> None:
    scene = Scene(window=200)
    cluster = scene.simulation.cluster
    scene.waiting.happens.append((lambda: len(scene.sent) >= 700, lambda: cluster.kill("a")))
    scene.run(numbered(2000))
    assert (scene.totals.confirmed, scene.totals.all_confirmed) == (2000, True)
    assert scene.totals.again > 0
    assert "of them sent more than once" in scene.totals.sentence(1.0)
    assert scene.stored() == scene.sent
    scene.simulation.come_to_rest()


def test_it_ends_at_the_first_that_is_not_confirmed_and_waits_for_what_was_sent() -> None:
    scene = Scene(window=10)
    messages = numbered(100)
    messages[20] = Numbered("line 21", Outgoing("", "nowhere", b"x"))
    scene.run(messages)
    assert dict(scene.totals.failed) == {"Unroutable": 1}
    assert scene.shown.lines[0].startswith("line 21: Unroutable: ")
    assert 20 <= scene.totals.confirmed < 40  # what was under way with it
    assert scene.totals.confirmed == len(scene.sent) - 1
    assert not scene.totals.all_confirmed
    scene.simulation.come_to_rest()


def test_with_a_window_of_one_nothing_is_sent_behind_what_fails() -> None:
    scene = Scene(window=1)
    scene.run([*numbered(3), *numbered(1, "nowhere"), *numbered(5)])
    assert (scene.totals.confirmed, len(scene.sent)) == (3, 4)
    scene.simulation.come_to_rest()


def test_it_goes_on_if_it_is_to_and_counts_what_it_does_not_tell() -> None:
    scene = Scene(keep_going=True)
    scene.run([*numbered(5), *numbered(REPORTED + 3, "nowhere"), *numbered(5)])
    assert (scene.totals.confirmed, scene.totals.failed["Unroutable"]) == (10, REPORTED + 3)
    assert len(scene.shown.lines) == REPORTED + 1
    scene.simulation.come_to_rest()


def test_a_closed_client_ends_it_even_if_it_is_to_go_on() -> None:
    scene = Scene(keep_going=True, window=1)
    calls = 0

    def closed(_: Outgoing) -> "Future[Receipt]":
        nonlocal calls
        calls += 1
        raise Closed("the client is closed")

    scene.publication._send = closed
    scene.run(numbered(50))
    assert calls == 1
    assert scene.totals.failed["Closed"] == 1


def test_ctrl_c_ends_the_reading_and_what_was_sent_is_waited_for() -> None:
    scene = Scene()
    cluster = scene.simulation.cluster

    def typed() -> Iterator[Numbered]:
        yield from numbered(100)
        cluster.hold_confirms()
        yield from numbered(50)
        signal.raise_signal(signal.SIGINT)  # as one waits for the next line
        pytest.fail("it went on")

    scene.waiting.happens.append((lambda: scene.totals.interrupted, cluster.release_confirms))
    scene.run(typed())
    assert scene.totals.interrupted
    assert scene.totals.confirmed == len(scene.sent) == 150
    assert scene.totals.all_confirmed
    assert scene.interrupts.exit_code == 130
    assert "were handed over; Ctrl-C again leaves them" in scene.shown.lines[0]
    scene.simulation.come_to_rest()


def test_ctrl_c_while_something_is_sent_comes_when_that_is_counted() -> None:
    scene = Scene()
    send = scene.publication._send

    def interrupted(message: Outgoing) -> "Future[Receipt]":
        future = send(message)
        if len(scene.sent) == 7:
            signal.raise_signal(signal.SIGTERM)
        return future

    scene.publication._send = interrupted
    scene.run(numbered(100))
    assert (scene.totals.confirmed, len(scene.sent)) == (7, 7)
    assert scene.interrupts.exit_code == 143
    scene.simulation.come_to_rest()


def test_a_second_ctrl_c_leaves_what_has_no_outcome_and_says_so() -> None:
    scene = Scene(window=100)
    cluster = scene.simulation.cluster
    cluster.hold_confirms()
    began = scene.waiting.now()
    scene.waiting.happens += [
        (lambda: scene.waiting.now() >= began + 0.5, lambda: signal.raise_signal(signal.SIGINT)),
        (lambda: scene.waiting.now() >= began + 0.7, lambda: signal.raise_signal(signal.SIGINT)),
    ]
    scene.run(numbered(200))
    assert (scene.totals.confirmed, scene.totals.unknown + scene.totals.taken_back) == (0, 100)
    assert not scene.totals.all_confirmed
    assert "they may or may not be there" in scene.totals.sentence(1.0)
    cluster.release_confirms()
    scene.simulation.run(1.0)
    scene.simulation.come_to_rest()


def test_a_mistake_in_what_is_typed_is_told_when_what_was_sent_has_its_outcome() -> None:
    scene = Scene()

    def typed() -> Iterator[Numbered]:
        yield from numbered(30)
        raise ConfigurationError("standard input, line 31: is no JSON")

    with pytest.raises(ConfigurationError, match="line 31"):
        scene.run(typed())
    assert scene.totals.confirmed == len(scene.sent) == 30
    scene.simulation.come_to_rest()


def test_the_rate_is_kept() -> None:
    scene = Scene(rate=50.0)
    began = scene.waiting.now()
    scene.run(numbered(101))
    assert scene.waiting.now() - began == pytest.approx(2.0, abs=0.1)
    scene.simulation.come_to_rest()


def test_a_pace_makes_up_for_little_of_what_was_missed() -> None:
    pace = Pace(10.0)
    assert [pace.pause(at) for at in (0.0, 0.0)] == [0.0, pytest.approx(0.1)]
    late = 100.0
    waits = [pace.pause(late) for _ in range(4)]
    assert waits[0] == 0.0
    assert waits[-1] == pytest.approx(0.3 - CATCH_UP)
    assert [Pace(None).pause(at) for at in (0.0, 0.0, 5.0)] == [0.0, 0.0, 0.0]


def test_large_bodies_wait_for_room() -> None:
    scene = Scene()
    scene.simulation.cluster.hold_confirms()
    scene.waiting.happens.append((lambda: len(scene.sent) == 4, scene.simulation.cluster.release_confirms))
    large = bytes(16 * 2**20)
    scene.run([Numbered(f"line {one}", Outgoing("", "orders", large)) for one in range(6)])
    assert scene.totals.confirmed == 6
    assert scene.waiting.happens == []  # it waited with four of them under way
    scene.simulation.come_to_rest()
