"""Access tokens that end: another one reaches open connections before, from a function that may fail."""

import logging
from collections.abc import Callable

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.engine.asked_credentials import USED, AskingTransport
from rabbitkeeper.client.model.credentials import Credentials
from rabbitkeeper.client.routing.switch import Phase

LIFETIME = 60.0  # seconds


class Issuer:
    """Issues tokens, each good for a while at the simulated brokers, and is the user's function."""

    def __init__(self) -> None:
        self.simulation: Simulation | None = None
        self.lifetime = LIFETIME
        self.fails = False
        self.is_refused = False  # by the brokers, what it gives
        self.repeats = False  # gives the last one again, for as long as that is good
        self.asked_at: list[float] = []
        self._last = ("", 0.0)

    def __call__(self) -> Credentials:
        assert self.simulation is not None
        now = self.simulation.cluster.time.now
        self.asked_at.append(now)
        if self.fails:
            raise OSError("the server for tokens is not there")
        token, until = self._last
        if not (self.repeats and until > now):
            token, until = self._last = (f"token {len(self.asked_at)}", now + self.lifetime)
            if not self.is_refused:
                self.simulation.cluster.tokens[token] = until
        return Credentials("app", token, until - now)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def begun(issuer: Issuer, start: Callable[[Callable[[], None]], None] = lambda call: call()) -> Simulation:
    """A client that publishes and consumes, and whose tokens come from ``issuer``."""
    simulation = Simulation(asked=lambda transport: AskingTransport(transport, issuer, start=start))
    issuer.simulation = simulation
    simulation.cluster.tokens["none is good but these"] = 0.0
    simulation.started()
    simulation.client.subscribe()
    simulation.run(1.0)
    return simulation


def test_no_connection_ends_because_a_token_does(issuer: Issuer) -> None:
    simulation = begun(issuer)
    opened = list(simulation.client.transport.connections)
    for _ in range(10):
        simulation.run(LIFETIME)
        assert len(simulation.published(10)) == 10
    assert simulation.client.transport.connections == opened
    assert simulation.client.engine.consumers.active == 1
    simulation.come_to_rest()


def test_connections_that_came_later_and_earlier_are_refreshed_together(issuer: Issuer) -> None:
    simulation = begun(issuer)
    for _ in range(8):
        simulation.run(LIFETIME * 0.4)
        simulation.close_connection(consuming=False)  # only one of the two gets another token by connecting
        simulation.client.become_live()
    simulation.run(LIFETIME * 3)
    assert simulation.cluster.journal.expired == []
    simulation.come_to_rest()


def test_failovers_do_not_stop_the_refreshing(issuer: Issuer) -> None:
    simulation = begun(issuer)
    for name in "ab":
        simulation.cluster.kill(name)
        simulation.run(LIFETIME)
        simulation.cluster.start(name)
        simulation.run(5.0)
    simulation.run(LIFETIME * 3)
    assert simulation.cluster.journal.expired == []
    simulation.come_to_rest()


def test_a_function_that_fails_is_called_again_with_growing_pauses(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    simulation = begun(issuer)
    issuer.asked_at = []
    issuer.fails = True
    simulation.run(LIFETIME * 0.9)
    times = len(issuer.asked_at)
    assert 2 <= times <= 6, "while the token is good, and no storm"
    assert simulation.cluster.journal.expired == []
    assert "the function for credentials has failed: OSError" in caplog.text
    issuer.fails = False
    simulation.run(LIFETIME * 3)
    assert simulation.client.phase is Phase.LIVE
    assert len(simulation.published(10)) == 10
    simulation.come_to_rest()


def test_when_the_function_fails_for_long_the_client_comes_back_with_the_next_token(issuer: Issuer) -> None:
    simulation = begun(issuer)
    issuer.fails = True
    simulation.run(LIFETIME * 5)
    assert simulation.client.phase is not Phase.LIVE
    assert simulation.client.engine.failure is None
    issuer.fails = False
    simulation.client.become_live()
    ended = list(simulation.cluster.journal.expired)
    assert ended
    simulation.run(LIFETIME * 3)
    assert simulation.cluster.journal.expired == ended, "it is refreshed again"
    simulation.come_to_rest()


def test_a_token_that_the_broker_refuses_costs_the_connection_and_not_the_client(issuer: Issuer) -> None:
    simulation = begun(issuer)
    issuer.is_refused = True
    simulation.run(LIFETIME)
    assert simulation.client.engine.failure is None
    issuer.is_refused = False
    simulation.client.become_live()
    assert len(simulation.published(10)) == 10
    simulation.come_to_rest()


def test_a_function_that_keeps_its_token_to_its_end_is_not_asked_without_a_pause(issuer: Issuer) -> None:
    issuer.repeats = True
    simulation = begun(issuer)
    issuer.asked_at = []
    simulation.run(LIFETIME * 10)
    assert len(issuer.asked_at) < 150
    simulation.client.become_live()
    simulation.come_to_rest()


def test_who_has_no_connection_asks_for_none(issuer: Issuer) -> None:
    simulation = begun(issuer)
    for connection in list(simulation.client.transport.open):
        connection.close()  # as when the client is closed
    simulation.client.close()
    issuer.asked_at = []
    simulation.run(LIFETIME * 3)
    assert issuer.asked_at == []


def test_the_first_refresh_comes_when_so_much_of_the_time_is_over(issuer: Issuer) -> None:
    simulation = begun(issuer)
    last, issuer.asked_at = issuer.asked_at[-1], []
    simulation.run(LIFETIME)
    assert issuer.asked_at[0] - last == pytest.approx(LIFETIME * USED, abs=0.1)


def test_a_secret_is_in_no_representation() -> None:
    assert "hidden" not in repr(Credentials("app", "hidden", 60.0))
