"""Credentials that the user's function gives at each connect: new ones, late ones, wrong ones, and none."""

import logging
import threading
from collections.abc import Callable

import pytest
from simulation.broker.transport import PASSWORD
from simulation.client import Simulation

from rabbitkeeper.client.amqp.transport import Access, ConnectionLost
from rabbitkeeper.client.arguments import asks_for
from rabbitkeeper.client.engine.asked_credentials import PATIENCE, AskingTransport
from rabbitkeeper.client.model.credentials import Credentials
from rabbitkeeper.client.model.errors import NotAuthorized
from rabbitkeeper.client.routing.switch import Phase
from rabbitkeeper.client.status import Leader

SECRET = "nobody may see this"


class Asked:
    """The user's function, and the threads that it is called on, which the test plays."""

    def __init__(self) -> None:
        self.password = PASSWORD
        self.error: Exception | None = None
        self.hangs = False
        self.times = 0
        self.calls: list[Callable[[], None]] = []  # that have not returned

    def __call__(self) -> Credentials:
        self.times += 1
        if self.error is not None:
            raise self.error
        return Credentials("app", self.password)

    def start(self, call: Callable[[], None]) -> None:
        if self.hangs:
            self.calls.append(call)
        else:
            call()

    def returns(self) -> None:
        self.hangs = False
        calls, self.calls = self.calls, []
        for call in calls:
            call()


@pytest.fixture
def asked() -> Asked:
    return Asked()


def begun(asked: Asked) -> Simulation:
    """A client whose credentials are asked for."""
    return Simulation(asked=lambda transport: AskingTransport(transport, asked, start=asked.start))


def test_they_are_asked_for_at_each_connect(asked: Asked) -> None:
    simulation = begun(asked).started()
    assert asked.times == 1
    simulation.client.subscribe()
    simulation.run(1.0)
    assert asked.times == 2
    simulation.cluster.kill("a")
    simulation.run(5.0)
    assert simulation.client.phase is Phase.LIVE
    assert asked.times >= 3
    assert len(simulation.published(10)) == 10
    simulation.come_to_rest()


def test_a_password_that_was_changed_is_taken_at_the_next_connect(asked: Asked) -> None:
    simulation = begun(asked).started()
    simulation.cluster.password = asked.password = "changed"
    simulation.close_connection(consuming=False)
    simulation.client.become_live()
    simulation.come_to_rest()


def test_what_the_broker_refuses_later_is_asked_for_again_and_ends_nothing(asked: Asked) -> None:
    simulation = begun(asked).started()
    simulation.cluster.password = "changed"
    simulation.close_connection(consuming=False)
    simulation.run(10.0)
    assert simulation.client.engine.failure is None
    assert simulation.client.phase is not Phase.LIVE
    assert asked.times > 3
    asked.password = "changed"
    simulation.client.become_live()
    simulation.come_to_rest()


def test_what_the_broker_refuses_from_the_beginning_ends_the_client(asked: Asked) -> None:
    asked.password = "wrong"
    simulation = begun(asked)
    simulation.until(lambda: simulation.client.engine.failure is not None)
    assert isinstance(simulation.client.engine.failure, NotAuthorized)


@pytest.mark.parametrize("error", [ValueError(SECRET), KeyError(SECRET)])
def test_a_function_that_fails_is_called_again_and_its_words_are_not_shown(
    asked: Asked, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked.error = error
    simulation = begun(asked)
    simulation.run(5.0)
    said = simulation.client.engine.snapshot.error
    assert said is not None
    assert f"the function for credentials has failed: {type(error).__name__}" in said
    assert SECRET not in said + caplog.text
    asked.error = None
    simulation.client.become_live()
    simulation.come_to_rest()


def test_a_function_that_does_not_return_holds_up_what_waits_for_it_and_nothing_else(asked: Asked) -> None:
    simulation = begun(asked).started()
    asked.hangs = True
    simulation.client.subscribe()  # which wants a connection of its own
    simulation.run(PATIENCE + 5.0)
    assert len(simulation.published(10)) == 10
    assert len(asked.calls) == 1, "one thread at the most"
    asked.returns()
    simulation.run(5.0)
    assert simulation.client.engine.consumers.active == 1
    simulation.come_to_rest()


def test_what_is_no_pair_is_refused_when_it_is_given(asked: Asked) -> None:
    simulation = Simulation(
        asked=lambda transport: AskingTransport(transport, asks_for(lambda: (SECRET,)), start=asked.start)
    )
    simulation.run(1.0)
    said = simulation.client.engine.snapshot.error
    assert said is not None
    assert said.endswith("has failed: InvalidArgument")


def test_the_function_is_called_on_a_thread_of_its_own() -> None:
    names: list[str] = []

    def ask() -> Credentials:
        names.append(threading.current_thread().name)
        return Credentials("app", PASSWORD)

    simulation = Simulation(asked=lambda transport: AskingTransport(transport, ask))
    for thread in threading.enumerate():
        if thread.name == "rabbitkeeper-credentials":
            thread.join(60.0)
    simulation.client.become_live()
    assert names == ["rabbitkeeper-credentials"]
    simulation.come_to_rest()


def test_they_are_asked_for_by_those_who_connect_with_something_else(asked: Asked) -> None:
    leader = Leader("a", "a:5672", 7, Access("", "", ask=asked))
    for asked.password in ("one", "two"):
        assert leader.parameters().credentials.password == asked.password
    assert "two" not in repr(leader)


def test_one_answer_is_for_all_that_wait_and_for_none_that_was_given_up(asked: Asked) -> None:
    simulation = begun(asked).started()
    asked.hangs = True
    transport = AskingTransport(simulation.client.transport, asked, start=asked.start)
    lost: list[ConnectionLost] = []
    opened: list[str] = []
    connections = [
        transport.connect(
            "a:5672",
            Access("", ""),
            timeout=1.0,
            on_open=lambda name=name: opened.append(name),  # type: ignore[misc]
            on_lost=lost.append,
            on_blocked=lambda _: None,
        )
        for name in ("one", "aborted", "closed", "two")
    ]
    connections[1].abort()
    connections[2].close()
    assert not any(one.is_open for one in connections)
    asked.returns()
    simulation.run(1.0)
    assert opened == ["one", "two"]
    assert lost == []
    assert [one.is_open for one in connections] == [True, False, False, True]
    for one in connections:
        one.close()
    simulation.come_to_rest()
