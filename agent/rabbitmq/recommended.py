"""How RabbitMQ should be configured in a group, by version. Pure; the one place for these values.

With the driver ``process`` they are written into the broker's configuration, where the operator's own lines
go before them; with the others they are compared with what the broker runs with (``configuration_check.py``).

Which key each version's rabbitmq.conf knows was read from the schemas of 3.10.8, 4.0.5 and 4.3.6.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rabbitkeeper.agent.rabbitmq.versions import OLDEST, Version, version_of

POLL_INTERVAL = 250
"""Milliseconds between looks of the failure detector of quorum queues (aten), where RabbitMQ has 1000.

Measured in ``docs/decisions/0009-fast-nodedown.md``.
"""

DISCONNECTED = 1000
"""Milliseconds from the loss of a node until its consumers' messages go to others, where RabbitMQ has 60,000.

A node that is gone comes back with other consumers, and the one that is active alone is waited for as well.
"""

_NEWEST: Version = (99, 0)


@dataclass(frozen=True, slots=True)
class Setting:
    """One recommended setting.

    Attributes:
        key: in rabbitmq.conf.
        value: there.
        parameter: Erlang's application and parameter, as in ``rabbit.default_queue_type``.
        term: the parameter's value as Erlang prints it.
        why: half a sentence.
        since, before: the versions for which it is recommended: from the first one on, and before the second.
        key_since: the first version whose rabbitmq.conf knows the key.
    """

    key: str
    value: str
    parameter: str
    term: str
    why: str
    since: Version = OLDEST
    before: Version = _NEWEST
    key_since: Version = OLDEST

    def applies(self, version: Version) -> bool:
        return self.since <= version < self.before


_SETTINGS = (
    Setting(
        "cluster_partition_handling",
        "pause_minority",
        "rabbit.cluster_partition_handling",
        "pause_minority",
        "a side that is cut off must not go on by itself",
        before=(4, 3),  # whose schema says that it is not used any more
    ),
    Setting(
        "default_queue_type",
        "quorum",
        "rabbit.default_queue_type",
        "rabbit_quorum_queue",
        "a durable queue of another type is lost with its one node",
        since=(4, 0),  # 3.x has no such setting for a node: there a queue or its vhost must say so
        key_since=(4, 0),
    ),
    Setting(
        "raft.adaptive_failure_detector.poll_interval",
        str(POLL_INTERVAL),
        "aten.poll_interval",
        str(POLL_INTERVAL),
        "it is how soon quorum queues notice that their leader is gone",
        key_since=(4, 0),
    ),
    Setting(
        "consumer_disconnected_timeout",
        str(DISCONNECTED),
        "rabbit.consumer_disconnected_timeout",
        str(DISCONNECTED),
        "it is how soon others get what the consumers of a node that is gone held",
        since=(4, 3),  # before, they get it at once
        key_since=(4, 3),
    ),
)


def recommended(version: Version) -> tuple[Setting, ...]:
    """What is recommended for a version, 3.10 to 4.3."""
    return tuple(setting for setting in _SETTINGS if setting.applies(version))


def conf_lines(version: Version | None) -> tuple[tuple[str, str], ...]:
    """Keys and values for rabbitmq.conf.

    Args:
        version: of the server; None if it is not known: then only what each version accepts.
    """
    if version is None:
        common = (each for each in _SETTINGS if each.key_since <= OLDEST)
        return tuple((each.key, each.value) for each in common)
    return tuple((each.key, each.value) for each in recommended(version) if each.key_since <= version)


def advanced_config(version: Version | None) -> str | None:
    """What goes into advanced.config, since this version's rabbitmq.conf has no key for it; None: nothing."""
    oldest = version or OLDEST
    rest = [each for each in recommended(oldest) if each.key_since > oldest]
    if not rest:
        return None
    terms = ", ".join(
        f"{{{application}, [{{{name}, {each.term}}}]}}"
        for each in rest
        for application, name in [each.parameter.split(".")]
    )
    return f"[{terms}].\n"


def deviations(version: Version, found: Mapping[str, str]) -> tuple[str, ...]:
    """What a broker runs with instead, a sentence each.

    Args:
        version: the broker's.
        found: its parameters, as Erlang prints them.
    """
    return tuple(
        f"{each.key} is {found[each.parameter]} and should be {each.value}: {each.why}"
        for each in recommended(version)
        if each.parameter in found and found[each.parameter] != each.term
    )


def parameters() -> tuple[str, ...]:
    """All parameters that some version's recommendation is about."""
    return tuple(each.parameter for each in _SETTINGS)


def version_at(server: Path) -> Version | None:
    """The version of an installed server, by its script's real path: packages and archives have it there."""
    for part in server.resolve().parts:
        if part.startswith("rabbitmq_server-"):
            return version_of(part.removeprefix("rabbitmq_server-"))
    return None
