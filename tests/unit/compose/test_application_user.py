"""The application's user is made as soon as the broker's tools find their node."""

from pathlib import Path

import pytest

from rabbitkeeper.agent.rabbitmq.ctl import NodeNotRunning, RabbitmqCtlError
from rabbitkeeper.agent.rabbitmq.definitions import Definitions
from rabbitkeeper.compose.local.errors import LocalError
from rabbitkeeper.compose.local.readiness import add_user


class Node:
    """Stands for a node's tools, which a real host makes fail only while it is busy."""

    node = "rabbit1@localhost"

    def __init__(self, answers_at: float, failure: RabbitmqCtlError) -> None:
        self.answers_at = answers_at
        self.failure = failure
        self.users: list[str] = []
        self.now = 0.0

    def import_definitions(self, definitions: Definitions) -> None:
        self.now += 1.0
        if self.now < self.answers_at:
            raise self.failure
        self.users += [str(user["name"]) for user in definitions["users"]]

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def made(node: Node) -> None:
    add_user(node, ("app", "secret"), Path("/logs"), 60.0, clock=lambda: node.now, sleep=node.sleep)


def test_a_node_that_is_not_found_at_first_is_asked_again() -> None:
    node = Node(30.0, NodeNotRunning("found no running node"))
    made(node)
    assert node.users == ["app"]


def test_one_that_never_answers_is_told_with_where_its_logs_are_and_without_the_password() -> None:
    node = Node(1000.0, NodeNotRunning("found no running node"))
    with pytest.raises(LocalError, match=r"rabbit1@localhost.*found no running node.*/logs") as raised:
        made(node)
    assert "secret" not in str(raised.value)
    assert 60 <= node.now < 65


def test_a_refusal_is_no_reason_to_ask_again() -> None:
    node = Node(30.0, RabbitmqCtlError("failed with exit code 65"))
    with pytest.raises(RabbitmqCtlError, match="65"):
        made(node)
    assert node.now == 1.0
