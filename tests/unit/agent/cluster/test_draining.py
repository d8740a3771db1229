"""Draining a broker: what is checked before, and what --force takes for done."""

import pytest

from rabbitkeeper.agent.cluster.draining import CLOSING, DrainRefused, drain
from rabbitkeeper.agent.rabbitmq.ctl import NodeNotRunning, RabbitmqCtlError, RabbitmqCtlTimeout


class Node:
    """Stands for the tools of one node; with real ones queues without a majority take RabbitMQ a minute."""

    def __init__(self, critical: str | None = None, failure: RabbitmqCtlError | None = None) -> None:
        self.critical = critical
        self.failure = failure
        self.fails = 1000  # times
        self.asked: list[str] = []
        self.now = 0.0

    def quorum_critical(self) -> str | None:
        self.asked.append("critical")
        return self.critical

    def await_quorum_plus_one(self, timeout: float) -> None:
        self.asked.append("await")

    def claim_drain(self) -> None:
        self.asked.append("claim")

    def drain(self) -> None:
        self.asked.append("drain")
        self.now += 6.0
        if self.failure is not None and self.asked.count("drain") <= self.fails:
            raise self.failure

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def drained(node: Node, *, force: bool) -> None:
    drain(node, force=force, clock=lambda: node.now, sleep=node.sleep)


def test_it_is_checked_first() -> None:
    node = Node()
    drained(node, force=False)
    assert node.asked == ["critical", "await", "claim", "drain"]


def test_a_broker_that_queues_need_is_asked_about_for_a_while_and_left_as_it_is() -> None:
    node = Node(critical="queue orders")
    with pytest.raises(DrainRefused, match="queue orders"):
        drained(node, force=False)
    assert set(node.asked) == {"critical"}
    assert node.now == 90


def test_with_force_queues_that_find_no_other_leader_do_not_hold_it_up() -> None:
    node = Node(
        critical="queue orders", failure=RabbitmqCtlTimeout("rabbitmq-upgrade drain did not end in 60 s")
    )
    drained(node, force=True)
    assert node.asked == ["claim", "drain"]


STUCK = NodeNotRunning("Error: {:channel_termination_timeout, …}")


def test_a_drain_that_breaks_off_over_a_connection_is_begun_again() -> None:
    """RabbitMQ 3.10 gave up over each connection whose channel did not end, and there were several."""
    node = Node(failure=STUCK)
    node.fails = 3
    drained(node, force=False)
    assert node.asked == ["critical", "await", "claim", *["drain"] * 4]


def test_a_drain_that_breaks_off_for_ever_is_given_up() -> None:
    node = Node(failure=STUCK)
    with pytest.raises(NodeNotRunning):
        drained(node, force=False)
    assert node.now >= CLOSING


@pytest.mark.parametrize(
    ("force", "failure"),
    [
        (False, RabbitmqCtlTimeout("did not end in 60 s")),
        (True, RabbitmqCtlError("failed with exit code 70")),
    ],
)
def test_any_other_failure_is_one(force: bool, failure: RabbitmqCtlError) -> None:
    with pytest.raises(RabbitmqCtlError) as raised:
        drained(Node(failure=failure), force=force)
    assert raised.value is failure
