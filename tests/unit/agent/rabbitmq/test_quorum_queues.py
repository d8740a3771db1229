"""What the tools print of quorum queues, and what is made of it."""

import re
from typing import Any

import pytest

from rabbitkeeper.agent.rabbitmq.quorum_queues import QuorumQueue, exactly, parse

NODES = ["rabbit@a", "rabbit@b"]
POLICIES = [{"name": "five", "definition": '{"target-group-size":5}'}, {"name": "other", "definition": "{"}]


def entry(arguments: object = (), policy: str | None = "", kind: str = "quorum") -> dict[str, Any]:
    return {"name": "q", "type": kind, "arguments": arguments, "policy": policy, "members": NODES}


@pytest.mark.parametrize(
    ("arguments", "policy", "target"),
    [
        ([["x-queue-type", "longstr", "quorum"]], "", None),
        ([["x-quorum-initial-group-size", "long", 1]], "", 1),
        ({"x-quorum-initial-group-size": 1}, None, 1),
        ([["x-quorum-initial-group-size", "long", 1]], "five", 5),
        ([["x-quorum-target-group-size", "long", 7], ["x-quorum-initial-group-size", "long", 1]], "five", 7),
        ([], "other", None),
        ([], "gone", None),
        ([["x-quorum-initial-group-size", "longstr", "many"]], "", None),
        (None, "", None),
    ],
)
def test_how_many_replicas_a_queue_is_to_have(arguments: object, policy: str | None, target: int) -> None:
    assert parse("/", [entry(arguments, policy)], POLICIES) == (
        QuorumQueue("/", "q", frozenset(NODES), target),
    )


def test_others_are_no_quorum_queues() -> None:
    assert parse("/", [entry(kind="classic"), entry(kind="stream")], []) == ()


def test_names_are_taken_as_they_are() -> None:
    names = ["a.b", "c|d", "e(f)*", "Öl", "a b", "x\\d"]
    for name in names:
        assert re.fullmatch(exactly(names), name)
    for other in ("axb", "a.bc", "c", "d", "Xa.b"):
        assert not re.fullmatch(exactly(names), other)
