"""A client helps itself when a member is sick for good, and what keeps it from that is found."""

from collections.abc import Callable
from typing import Any

import pytest
from support.client.sick_member import play_sick
from support.effort import examples
from support.planting import Plant, instead, nothing

from rabbitkeeper.client.declare.declarations import Declarations
from rabbitkeeper.client.declare.declarer import Declarer
from rabbitkeeper.client.engine.connections import Connections
from rabbitkeeper.client.engine.consuming_connection import ConsumingConnection
from rabbitkeeper.client.routing.failures import Failures
from rabbitkeeper.client.routing.switch import Switch

ENOUGH = 80  # histories in which each fault is found, most of them in the first few


@pytest.mark.parametrize("seed", range(examples(60)))
def test_a_client_does_without_a_sick_member(seed: int) -> None:
    play_sick(seed)


def follow_once(right: Callable[..., None], consuming: ConsumingConnection, *given: Any) -> None:
    if consuming._target is None and consuming._current is None:
        right(consuming, *given)


def retry_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("rabbitkeeper.client.routing.switch.MOST_MOVE_RETRY", 0.2)


def wait_for_channels(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("rabbitkeeper.client.engine.connections.RENEW_PATIENCE", 1e6)


FAULTS: dict[str, Plant] = {
    "a member that does not answer is not doubted": instead(Switch, "doubt", lambda *_: []),
    "a channel that is not opened is waited for": wait_for_channels,
    "a member that has gone is not left": instead(Switch, "_is_bad", lambda *_: False),
    "attempts to connect never get more time": instead(Failures, "patience", lambda *_: 1.0),
    "a leader that cannot be reached is asked all the time": retry_at_once,
    "declarations are waited for": instead(Declarer, "_await_answer", nothing),
    "exclusive queues are declared where publishing is": instead(
        Declarations, "_is_exclusive", lambda *_: False
    ),
    "the consumers' connection does not follow": instead(ConsumingConnection, "follow", follow_once),
    "the consumers' connection is not opened again": instead(ConsumingConnection, "_wait", nothing),
    "a connection that consumers have left is not closed": instead(ConsumingConnection, "_retire", nothing),
    "a connection that consumers have left is kept for ever": instead(ConsumingConnection, "_part", nothing),
    "a connection that publishing has left is not closed": instead(Connections, "retire", nothing),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[fault](monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        play_many()


def play_many() -> None:
    for seed in range(ENOUGH):
        play_sick(seed)
