"""Who may call a client: not a forked child, not its own thread where it would wait for itself."""

import os
from collections.abc import Callable

import pytest
from simulation.client import Simulation

from rabbitkeeper.client.guard import Guard
from rabbitkeeper.client.model.errors import Closed, RabbitKeeperError, WrongThread


def test_an_open_client_can_be_called() -> None:
    guard = Guard(Simulation().client.engine)
    guard.check_usable()
    guard.check_usable_in_callback()
    assert not guard.is_foreign


def test_a_forked_child_is_refused_in_every_call() -> None:
    guard = Guard(Simulation().client.engine)
    child = os.fork()
    if child == 0:
        refused = 0
        for check in (guard.check_usable, guard.check_usable_in_callback, guard.check_process):
            try:
                check()
            except WrongThread:
                refused += 1
        os._exit(0 if refused == 3 and guard.is_foreign else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_what_waits_is_refused_on_the_clients_own_thread_and_nothing_else_is() -> None:
    simulation = Simulation()
    guard = Guard(simulation.client.engine)
    outcomes: list[str] = []

    def note(check: Callable[[], None]) -> None:
        try:
            check()
            outcomes.append("passed")
        except WrongThread as error:
            outcomes.append(str(error))

    simulation.client.engine.post(lambda: note(guard.check_usable))
    simulation.client.engine.post(lambda: note(guard.check_usable_in_callback))
    simulation.client.engine.close()
    simulation.client.engine.start()
    simulation.client.engine.thread.join(10.0)
    assert "would wait for itself" in outcomes[0]
    assert outcomes[1:] == ["passed"]


def test_a_closed_or_failed_client_says_so() -> None:
    simulation = Simulation()
    guard = Guard(simulation.client.engine)
    assert guard.begin_closing()
    assert not guard.begin_closing()
    with pytest.raises(Closed):
        guard.check_usable()
    simulation.client.engine.failure = RabbitKeeperError("why it failed")
    with pytest.raises(RabbitKeeperError, match="why it failed"):
        guard.check_usable_in_callback()
