"""The group's configuration over an agent's own: which keys it may set, and what comes of it. Pure.

The ``config`` znode holds settings in the sections of an agent's file. What it sets is put over the file, and
that over the defaults; the whole is validated like a file. Keys that this version does not know, or that are
each agent's own, are passed over, so that agents of different versions can share a group; the command
refuses to write them.
"""

import difflib
from collections.abc import Iterator, Mapping
from enum import StrEnum

from pydantic import BaseModel

from rabbitkeeper.agent.config.agent import AgentConfig
from rabbitkeeper.agent.config.file import all_keys, validated
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.model.records import GroupConfig


class Applies(StrEnum):
    """When an agent goes by a new value."""

    AT_ONCE = "at once"
    RESTARTED = "when the agent is started again"  # the broker goes on meanwhile


class Source(StrEnum):
    """Where a value comes from."""

    GROUP = "group"  # the config znode
    FILE = "file"  # the agent's own
    DEFAULT = "default"


GROUP_WIDE: Mapping[str, Applies] = {
    "preferred_site": Applies.AT_ONCE,
    "failback.after": Applies.AT_ONCE,
    "replicas.target": Applies.RESTARTED,
    "election.stagger": Applies.AT_ONCE,
    "election.settle": Applies.AT_ONCE,
    "health.interval": Applies.AT_ONCE,
    "health.hung_after": Applies.AT_ONCE,
    "health.connect_timeout": Applies.AT_ONCE,
    "health.fall": Applies.AT_ONCE,
    "health.rise": Applies.AT_ONCE,
    "health.start_grace": Applies.AT_ONCE,
    "health.majority_interval": Applies.AT_ONCE,
    "health.majority_timeout": Applies.AT_ONCE,
    "watchdog.timeout": Applies.AT_ONCE,
    "log.level": Applies.AT_ONCE,
    "zookeeper.session_timeout": Applies.RESTARTED,
}
"""The keys that the group's configuration may set. Everything else is each agent's own."""


def flat(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Each value with its key's path, as in ``("health.interval", 0.5)``."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def nested(values: Mapping[str, object]) -> dict[str, object]:
    """The opposite of :func:`flat`."""
    settings: dict[str, object] = {}
    for key, value in values.items():
        *sections, last = key.split(".")
        section = settings
        for name in sections:
            inner = section.setdefault(name, {})
            if not isinstance(inner, dict):
                raise ConfigurationError(f"{key} cannot be set: {name} holds a value of its own")
            section = inner
        section[last] = value
    return settings


def split(config: GroupConfig) -> tuple[dict[str, object], tuple[str, ...]]:
    """What a group's configuration sets, by key; and the keys in it that are passed over."""
    values = {key: value for key, value in flat(config.settings) if value is not None}
    sections = {key.rsplit(".", 1)[0] for key in GROUP_WIDE}  # one that is no section is wrong, not unknown
    known = {key: value for key, value in values.items() if key in GROUP_WIDE or key in sections}
    return known, tuple(key for key in values if key not in known)


def overlay(own: AgentConfig, values: Mapping[str, object], source: str) -> AgentConfig:
    """An agent's configuration with the group's over it, validated as a whole.

    Args:
        own: as its file has it.
        values: the group's, by key; only keys of :data:`GROUP_WIDE`.
        source: what to call the group's configuration in an error.

    Raises:
        ConfigurationError: a line for each problem: key, value, what would do.
    """
    settings: dict[str, object] = {name: getattr(own, name) for name in own.model_fields_set}
    for name, value in nested(values).items():
        there = settings.get(name)
        if isinstance(value, Mapping) and isinstance(there, BaseModel):
            value = {**{key: getattr(there, key) for key in there.model_fields_set}, **value}
        settings[name] = value
    return validated(AgentConfig, settings, source=source)


def own_values(own: AgentConfig) -> dict[str, object]:
    """What an agent's file says of the keys that the group may set."""
    return {key: value for key, (value, given) in _values(own).items() if given}


def effective_values(config: AgentConfig) -> dict[str, object]:
    """The value of every key that the group may set."""
    values = {key: value for key, (value, _) in _values(config).items()}
    values["watchdog.timeout"] = config.watchdog_timeout  # its default depends on the session's
    return values


def source_of(key: str, group: Mapping[str, object], own: Mapping[str, object]) -> Source:
    """Where a member has the value of a key from.

    Args:
        group: what the group sets, by key.
        own: what the member's file sets.
    """
    if key in group:
        return Source.GROUP
    return Source.FILE if key in own else Source.DEFAULT


def stand_in(name: str, own: Mapping[str, object]) -> AgentConfig:
    """A member as it is known from outside: by what its file says of the keys that the group may set.

    What is its own alone is made up; it does not matter to those keys.

    Args:
        name: the member's.
        own: from its record.
    """
    known = {key: value for key, value in own.items() if key in GROUP_WIDE}
    amqp = {"username": "unknown", "password": "unknown"}
    settings = nested(known)
    given = settings.get("zookeeper")
    settings["zookeeper"] = {"hosts": "unknown", **(given if isinstance(given, dict) else {})}
    settings |= {
        "group": "unknown",
        "name": name,
        "broker": {"driver": "external", "node": "unknown@unknown", "amqp": amqp},
    }
    return validated(AgentConfig, settings, source=f"the file of {name}")


def check_key(key: str) -> str:
    """Return ``key`` if the group's configuration may set it.

    Raises:
        ConfigurationError: it may not; says what was probably meant.
    """
    if key in GROUP_WIDE:
        return key
    if key in ("mode", "v"):
        raise ConfigurationError(f"{key} cannot be set: it is fixed when a group begins")
    if key in all_keys(AgentConfig):
        raise ConfigurationError(
            f"{key} is each agent's own and cannot be set for the group: set it in the agents' files; "
            f"for the group can be set: {', '.join(GROUP_WIDE)}"
        )
    last = {known.rsplit(".", 1)[-1]: known for known in GROUP_WIDE}
    close = difflib.get_close_matches(key, GROUP_WIDE, n=1, cutoff=0.6)
    meant = last.get(key) or (close[0] if close else None)
    hint = f"did you mean {meant}?" if meant else f"for the group can be set: {', '.join(GROUP_WIDE)}"
    raise ConfigurationError(f"{key} is not a known key; {hint}")


def _values(config: AgentConfig) -> dict[str, tuple[object, bool]]:
    """Of each key that the group may set: its value, and whether it was given."""
    found = {}
    for key in GROUP_WIDE:
        value: object = config
        given = True
        for name in key.split("."):
            given = given and isinstance(value, BaseModel) and name in value.model_fields_set
            value = getattr(value, name)
        found[key] = (value, given and value is not None)
    return found
