"""What a node holds, and users made without showing a password."""

import base64
import hashlib
from collections.abc import Sequence

import pytest

from rabbitkeeper.agent.rabbitmq import definitions
from rabbitkeeper.agent.rabbitmq.definitions import Definitions, Entry

EMPTY: Definitions = {
    "vhosts": [{"name": "/"}],
    "users": [{"name": "keeper"}],
    "permissions": [{"user": "keeper", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
    "queues": [],
    "exchanges": [{"name": "amq.rabbitmq.log", "vhost": "/", "type": "topic"}],  # in 4.3
    "bindings": [],
    "policies": [],
    "parameters": [],
    "global_parameters": [
        {"name": "internal_cluster_id", "value": "x"},
        {"name": "cluster_name", "value": "y"},
        {"name": "cluster_tags", "value": []},  # in 4.x
    ],
}


def test_a_node_after_its_first_boot_holds_nothing() -> None:
    assert definitions.holdings(EMPTY, "rabbitkeeper") == ()


def test_the_agents_own_vhost_does_not_count() -> None:
    own: dict[str, Sequence[Entry]] = {**EMPTY, "vhosts": [{"name": "/"}, {"name": "rabbitkeeper"}]}
    own["queues"] = [{"name": "canary", "vhost": "rabbitkeeper"}]
    assert definitions.holdings(own, "rabbitkeeper") == ()
    assert definitions.holdings(own, "another") == ("vhost 'rabbitkeeper'", "1 queue ('canary')")


@pytest.mark.parametrize(
    ("kind", "entry", "said"),
    [
        ("vhosts", {"name": "shop"}, "vhost 'shop'"),
        ("queues", {"name": "orders", "vhost": "/"}, "1 queue ('orders')"),
        ("exchanges", {"name": "orders", "vhost": "/"}, "1 exchange ('orders')"),
        ("bindings", {"source": "orders", "vhost": "/"}, "1 binding ('orders')"),
        ("policies", {"name": "ha", "vhost": "/"}, "1 policy ('ha')"),
        ("parameters", {"name": "shovel", "vhost": "/"}, "1 parameter ('shovel')"),
        ("global_parameters", {"name": "other", "value": 1}, "global parameter 'other'"),
    ],
)
def test_each_kind_of_thing_counts(kind: str, entry: dict[str, object], said: str) -> None:
    assert definitions.holdings({**EMPTY, kind: [*EMPTY[kind], entry]}, "rabbitkeeper") == (said,)


def test_many_are_counted_and_one_is_named() -> None:
    queues = [{"name": name, "vhost": "/"} for name in ("a", "b", "c")]
    assert definitions.holdings({**EMPTY, "queues": queues}, "rabbitkeeper") == ("3 queues ('a', …)",)


def test_other_users_are_named() -> None:
    users = [{"name": "keeper"}, {"name": "zoe"}, {"name": "app"}]
    assert definitions.other_users({"users": users}, "keeper") == ("app", "zoe")


def test_access_needs_vhost_and_full_permission() -> None:
    assert definitions.has_access(EMPTY, "keeper", "/")
    assert not definitions.has_access(EMPTY, "keeper", "rabbitkeeper")
    read_only: Definitions = {**EMPTY, "permissions": [{**EMPTY["permissions"][0], "write": ""}]}
    assert not definitions.has_access(read_only, "keeper", "/")
    granted: Definitions = {**EMPTY, "permissions": [definitions.full_access("keeper", "gone")]}
    assert not definitions.has_access(granted, "keeper", "gone")


def test_a_password_is_hashed_as_rabbitmq_documents_it() -> None:
    # The worked example of rabbitmq.com/docs/passwords: password "test12", salt 908DC60A.
    user = definitions.user("app", "test12", salt=bytes.fromhex("908DC60A"))
    assert user["password_hash"] == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
    salted = base64.b64decode(user["password_hash"])
    assert salted[4:] == hashlib.sha256(salted[:4] + b"test12").digest()
    assert "test12" not in str(user)


def test_a_salt_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        definitions.user("app", "x", salt=b"abc")
