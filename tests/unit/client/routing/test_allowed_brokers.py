"""Where a client's password may go."""

import pytest
from support import agent_states as hand_made

from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.routing.allowed_brokers import EVERYTHING, AllowedBrokers
from rabbitkeeper.client.routing.listener import refused, targets_of
from rabbitkeeper.client.routing.placement import Targets


@pytest.mark.parametrize(
    ("allowed", "address", "may"),
    [
        (["rabbit1"], "rabbit1:5672", True),
        (["Rabbit1."], "RABBIT1:5672", True),
        (["rabbit1"], "rabbit1.evil.example:5672", False),
        (["rabbit1"], "rabbit2:5672", False),
        (["*.mq.example"], "a.mq.example:5672", True),
        (["*.mq.example"], "a.b.mq.example.:5672", True),
        (["*.mq.example"], "mq.example:5672", False),
        (["*.mq.example"], "evilmq.example:5672", False),
        (["*.mq.example"], "a.mq.example.evil.example:5672", False),
        (["10.0.0.0/8"], "10.1.2.3:5672", True),
        (["10.0.0.0/8"], "11.1.2.3:5672", False),
        (["10.0.0.0/8"], "[::ffff:10.1.2.3]:5672", True),
        (["10.0.0.1"], "10.0.0.1:5672", True),
        (["10.0.0.1"], "10.0.0.10:5672", False),
        (["0.0.0.0/0", "::/0"], "rabbit1:5672", False),  # what a name resolves to is another's word
        (["fd00::/8"], "[fd00::1]:5671", True),
        (["[fd00::1]"], "[fd00::1]:5671", True),
        (["fe80::/10"], "[fe80::1%eth0]:5671", True),
        (["rabbit1", "10.0.0.0/8"], "10.0.0.9:5672", True),
        ([], "rabbit1:5672", False),
        (None, "anywhere:5672", True),
    ],
)
def test_only_what_is_named_is_allowed(allowed: list[str] | None, address: str, *, may: bool) -> None:
    assert AllowedBrokers(allowed).allows(address) is may


@pytest.mark.parametrize(
    "odd", ["", " rabbit1", "rabbit1:5672", "10.0.0.1/8", "*", "a.*.b", "http://rabbit1", "räbbit", 7, None]
)
def test_what_is_no_host_is_refused(odd: object) -> None:
    with pytest.raises(InvalidArgument, match="allowed_brokers has "):
        AllowedBrokers([odd])  # type: ignore[list-item]


def test_one_text_is_not_a_list_of_letters() -> None:
    with pytest.raises(InvalidArgument, match="use a list"):
        AllowedBrokers("rabbit1")


def test_who_announces_another_address_is_no_target() -> None:
    allowed = AllowedBrokers(["node1", "node3"])
    view = hand_made.view(hand_made.leader("node2"))
    targets = targets_of(view, Targets(), allowed=allowed)
    assert set(targets.members) == {"node1", "node3"}
    assert targets.leader is None
    assert refused(view, allowed, secure=False) == [
        "node2 announces the broker node2:5672, which allowed_brokers does not allow: it is left out"
    ]
    assert refused(view, EVERYTHING, secure=False) == []
