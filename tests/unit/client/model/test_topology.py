"""What is declared can be declared: everything else is refused when it is made."""

from collections.abc import Callable
from typing import Any

import pytest

from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.model.topology import Binding, Entity, Exchange, Queue

WITH_ARGUMENTS: list[Callable[[Any], Entity]] = [
    lambda arguments: Exchange("e", arguments=arguments),
    lambda arguments: Queue("q", arguments=arguments),
    lambda arguments: Binding("e", "q", arguments=arguments),
]


@pytest.mark.parametrize("make", WITH_ARGUMENTS)
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (None, r"arguments \(of type NoneType\)"),
        ([("x-max-length", 1)], r"arguments \(of type list\)"),
        ({"x-max-length": 1.5}, r"arguments\['x-max-length'\] \(of type float\)"),
        ({"x": (1,)}, r"arguments\['x'\] \(of type tuple\)"),
        ({"x": 2**64}, r"arguments\['x'\] \(of type int\)"),
        ({"k" * 256: 1}, r"key \(of type str\) of \w+\.arguments"),
        ({3: 1}, r"key \(of type int\)"),
        ({"x": "\udfff"}, r"arguments\['x'\] \(of type str\)"),
    ],
)
def test_arguments_that_cannot_be_sent(make: Callable[[Any], Entity], arguments: Any, named: str) -> None:
    with pytest.raises(InvalidArgument, match=named):
        make(arguments)


@pytest.mark.parametrize("name", [None, 7, b"q", "x" * 256, "é" * 128, "\ud800"])
def test_names_that_cannot_be_sent(name: Any) -> None:
    for make in (
        Exchange,
        Queue,
        lambda name: Exchange("e", type=name),
        lambda name: Binding(name, "q"),
        lambda name: Binding("e", name),
        lambda name: Binding("e", "q", name),
    ):
        with pytest.raises(InvalidArgument, match=r"of at most 255 bytes"):
            make(name)


def test_arguments_changed_later_are_declared_as_they_were() -> None:
    arguments: dict[str, Any] = {"x-list": [1]}
    for make in WITH_ARGUMENTS:
        entity = make(arguments)
        arguments["x-list"].append(object())
        arguments["new"] = object()
        assert entity.arguments == {"x-list": [1]}
        arguments = {"x-list": [1]}


@pytest.mark.parametrize(
    ("queue", "declared"),
    [
        (Queue("q"), "quorum"),
        (Queue("q", arguments={"x-queue-type": "classic"}), "classic"),
        (Queue("q", type="classic"), "classic"),
        (Queue("q", durable=False), None),
        (Queue("q", exclusive=True), None),
        (Queue("q", auto_delete=True), None),
    ],
)
def test_a_queue_that_can_have_replicas_is_a_quorum_queue_unless_said_otherwise(
    queue: Queue, declared: str | None
) -> None:
    assert queue.declared_arguments.get("x-queue-type") == declared
