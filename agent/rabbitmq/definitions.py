"""RabbitMQ's definitions (users, vhosts, permissions, queues): the few that are made or understood here.

The format is that of ``rabbitmqctl export_definitions``. Pure: nothing is read from or sent to a broker.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence

Entry = Mapping[str, object]  # one user, vhost, queue and so on
Definitions = Mapping[str, Sequence[Entry]]  # by kind: users, vhosts, queues and so on

_SALT_LENGTH = 4  # bytes; RabbitMQ's format has no choice

# What every node has of itself.
_OWN_GLOBAL_PARAMETERS = frozenset({"internal_cluster_id", "cluster_name", "cluster_tags"})
_OWN_EXCHANGES = "amq."  # a prefix that nobody else may use; RabbitMQ 4.3 exports amq.rabbitmq.log


def user(name: str, password: str, *, salt: bytes, tags: Sequence[str] = ()) -> Entry:
    """A user with a password of any characters, hashed the way RabbitMQ does by default.

    Args:
        name: the user's name.
        password: in the clear; does not leave this function.
        salt: four random bytes.
        tags: such as ``administrator``.

    Source: rabbitmq.com/docs/passwords, "Computing Password Hash".
    """
    if len(salt) != _SALT_LENGTH:
        raise ValueError(f"salt has {len(salt)} bytes; RabbitMQ needs {_SALT_LENGTH}")
    digest = hashlib.sha256(salt + password.encode()).digest()
    return {
        "name": name,
        "password_hash": base64.b64encode(salt + digest).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": list(tags),
    }


def full_access(name: str, vhost: str) -> Entry:
    """Permission for a user to do everything in a vhost."""
    return {"user": name, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}


def holdings(definitions: Definitions, own_vhost: str) -> tuple[str, ...]:
    """What a node would lose if it joined a cluster; empty for a pristine node.

    The agents' own vhost does not count: what is in it they make again. Users and their permissions do not
    count either, since every node has some from its first boot; see :func:`other_users`. Queues that
    are not durable are not in the definitions, and do not outlive a restart anyway.

    Args:
        definitions: the node's.
        own_vhost: the agents' own.
    """
    found = [
        f"vhost {vhost['name']!r}"
        for vhost in definitions.get("vhosts", ())
        if vhost["name"] not in ("/", own_vhost)
    ]
    for kind, one in (
        ("queues", "queue"),
        ("exchanges", "exchange"),
        ("bindings", "binding"),
        ("policies", "policy"),
        ("parameters", "parameter"),
    ):
        mine = [
            each
            for each in definitions.get(kind, ())
            if each.get("vhost") != own_vhost
            and not (kind == "exchanges" and str(each["name"]).startswith(_OWN_EXCHANGES))
        ]
        if mine:
            name = mine[0].get("name") or mine[0].get("source") or "(default)"
            count = f"{len(mine)} {kind}" if len(mine) > 1 else f"1 {one}"
            found.append(f"{count} ({name!r}{', …' if len(mine) > 1 else ''})")
    found += [
        f"global parameter {each['name']!r}"
        for each in definitions.get("global_parameters", ())
        if each["name"] not in _OWN_GLOBAL_PARAMETERS
    ]
    return tuple(found)


def has_queue(definitions: Definitions, vhost: str, name: str) -> bool:
    """Whether a durable queue is there."""
    queues = definitions.get("queues", ())
    return any((each.get("vhost"), each.get("name")) == (vhost, name) for each in queues)


def other_users(definitions: Definitions, own: str) -> tuple[str, ...]:
    """The users beside ``own``, who are lost when the node joins a cluster that does not know them."""
    return tuple(sorted(str(each["name"]) for each in definitions.get("users", ()) if each["name"] != own))


def has_access(definitions: Definitions, name: str, vhost: str) -> bool:
    """Whether the vhost exists and the user may do everything in it."""
    exists = any(each["name"] == vhost for each in definitions.get("vhosts", ()))
    wanted = full_access(name, vhost)
    return exists and any(
        all(each.get(key) == value for key, value in wanted.items())
        for each in definitions.get("permissions", ())
    )


def has_user(definitions: Definitions, name: str) -> bool:
    return any(each["name"] == name for each in definitions.get("users", ()))
