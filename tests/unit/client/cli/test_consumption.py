"""The loop of ``consume`` against simulated brokers in virtual time."""

import signal
from collections.abc import Callable
from queue import Empty

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.cli.consumption import Consumed, consume
from rabbitkeeper.client.cli.interrupts import Interrupts
from rabbitkeeper.client.cli.pace import Pace
from rabbitkeeper.client.cli.progress import NoProgress
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.subscription import Subscription

STEP = 0.001  # seconds


class Taker:
    """Takes from a subscription; virtual time passes while it waits."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.subscription: Subscription = simulation.client.subscribe()

    def get(self, timeout: float | None = None) -> Message | None:
        deadline = self.now() + (60.0 if timeout is None else timeout)
        while True:
            try:
                return self.subscription.get(0)
            except Empty:
                if self.now() >= deadline:
                    assert timeout is not None, "it would wait for ever"
                    raise
            self.pause(STEP)

    def now(self) -> float:
        return self.simulation.time.now

    def pause(self, seconds: float) -> None:
        self.simulation.run(seconds)

    def until_done(self, future: object) -> None:
        raise NotImplementedError


def run(
    taker: Taker,
    write: Callable[[Message], object],
    *,
    count: int | None = None,
    idle: float | None = None,
    rate: float | None = None,
) -> Consumed:
    total = Consumed()
    with Interrupts() as interrupts:
        consume(total, taker, write, taker, interrupts, NoProgress(), pace=Pace(rate), count=count, idle=idle)
    taker.simulation.run(1.0)
    return total


def test_it_ends_with_the_count_and_the_rest_stays() -> None:
    simulation = Simulation().started()
    simulation.published(10)
    written: list[bytes] = []
    total = run(Taker(simulation), lambda message: written.append(message.body), count=4)
    assert written == [b"message 1", b"message 2", b"message 3", b"message 4"]
    assert (total.messages, total.idle, total.interrupted) == (4, False, False)
    assert len(simulation.journal.acked) == 4
    assert total.sentence(2.0) == "4 consumed, in 2.0 s (2 a second)"
    simulation.come_to_rest()


def test_it_ends_when_none_comes_for_so_long() -> None:
    simulation = Simulation().started()
    simulation.published(3)
    taker = Taker(simulation)
    began = taker.now()
    total = run(taker, lambda _: None, idle=5.0)
    assert (total.messages, total.idle) == (3, True)
    assert 5.0 <= taker.now() - began < 7.5


def test_it_goes_on_over_a_failover_and_counts_what_comes_again() -> None:
    simulation = Simulation().started()
    ids = simulation.published(50)
    taker, seen = Taker(simulation), set[str | None]()

    def write(message: Message) -> None:
        seen.add(message.message_id)
        if len(seen) == 20:
            simulation.cluster.kill("a")

    total = run(taker, write, idle=10.0)
    assert seen == set(ids)
    assert total.redelivered >= 1
    assert "delivered before" in total.sentence(1.0)
    assert simulation.cluster.kept == set()


def test_an_interrupt_ends_it_and_what_is_written_is_acked() -> None:
    simulation = Simulation().started()
    simulation.published(10)

    def write(message: Message) -> None:
        if message.body == b"message 3":
            signal.raise_signal(signal.SIGINT)  # it is noted, and ends the next waiting

    total = run(Taker(simulation), write)
    assert (total.messages, total.interrupted) == (3, True)
    assert len(simulation.journal.acked) == 3


def test_what_cannot_be_written_is_not_acked() -> None:
    simulation = Simulation().started()
    simulation.published(2)

    def write(message: Message) -> None:
        if message.body == b"message 2":
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk"):
        run(Taker(simulation), write)
    simulation.run(1.0)
    assert len(simulation.journal.acked) == 1
    assert len(simulation.cluster.kept) == 1


def test_the_rate_is_kept() -> None:
    simulation = Simulation().started()
    simulation.published(21)
    taker = Taker(simulation)
    taker.pause(0.1)
    began = taker.now()
    run(taker, lambda _: None, count=21, rate=10.0)
    assert taker.now() - began - 1.0 == pytest.approx(2.0, abs=0.2)
