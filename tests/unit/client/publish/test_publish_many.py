"""Publishing what an iterable gives: at its pace, and with every outcome told."""

from collections.abc import Iterator

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.model.errors import InvalidArgument, PublishInterrupted, RabbitKeeperError
from rabbitkeeper.client.publish.future import Receipt

Message = tuple[str, str, bytes]


def publish_many(simulation: Simulation, messages: object) -> list[Receipt | RabbitKeeperError]:
    assert isinstance(messages, Iterator | list)
    return simulation.client.publishing.publish_many(messages, True, 30.0, lambda: None)


def test_what_a_slow_iterable_gives_is_sent_before_it_is_asked_for_more() -> None:
    simulation = Simulation().started()

    def slow() -> Iterator[Message]:
        for number in range(3):
            yield ("", "orders", b"%d" % number)
            simulation.run(0.1)
            assert len(simulation.stored()) == number + 1

    outcomes = publish_many(simulation, slow())
    assert [type(one) for one in outcomes] == [Receipt] * 3
    simulation.come_to_rest()


def test_an_iterable_that_raises_costs_no_outcome_of_what_it_gave() -> None:
    simulation = Simulation().started()

    def fails() -> Iterator[Message | str]:
        yield ("", "orders", b"first")
        yield "no message"
        yield ("", "nowhere", b"second")
        simulation.run(0.1)
        raise OSError("the file cannot be read")

    with pytest.raises(PublishInterrupted, match="the file cannot be read") as raised:
        publish_many(simulation, fails())
    first, wrong, astray = raised.value.outcomes
    assert isinstance(first, Receipt)
    assert isinstance(wrong, InvalidArgument)
    assert "no queue took the message" in str(astray)
    assert isinstance(raised.value.__cause__, OSError)
    simulation.come_to_rest()


def test_what_is_no_timeout_is_refused_before_anything_is_sent() -> None:
    simulation = Simulation().started()
    for timeout in (float("inf"), None, 1e12, "5", 0, -1.0, float("nan"), True):
        (outcome,) = simulation.client.publishing.publish_many(
            [("", "orders", b"x")],
            True,
            timeout,  # type: ignore[arg-type]
            lambda: None,
        )
        assert isinstance(outcome, InvalidArgument)
        with pytest.raises(InvalidArgument, match="timeout"):
            simulation.client.publishing.publish("", "orders", b"x", None, True, timeout)  # type: ignore[arg-type]
    simulation.run(1.0)
    assert simulation.journal.sent == []
    simulation.come_to_rest()
