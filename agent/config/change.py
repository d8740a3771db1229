"""A change of the group's configuration: from what is there and what is asked for to what is written. Pure.

It is checked against itself and against what each registered member's own file says, before it is written:
an agent goes on with its old values rather than take one that contradicts them.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

from rabbitkeeper.agent.config.group import GROUP_WIDE, check_key, flat, overlay, split, stand_in
from rabbitkeeper.agent.config.strict_yaml import parse, written
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.model.records import GroupConfig, TakenConfig
from rabbitkeeper.coordinator.model.view import GroupView

ANY = "any"  # a member whose file says nothing of the group's keys


@dataclass(frozen=True, slots=True)
class Change:
    """One key's old and new value; None where it is not set."""

    key: str
    before: object
    after: object

    def __str__(self) -> str:
        return f"{self.key}: {shown(self.before)} → {shown(self.after)}"


def parsed(setting: str) -> tuple[str, object]:
    """``KEY=VALUE``, the value as YAML has it.

    Raises:
        ConfigurationError: it is not that, or the value is not a single one.
    """
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ConfigurationError(f"{setting!r} is not KEY=VALUE, as in health.hung_after=3")
    value = parse(text, f"the value of {key}")
    if isinstance(value, dict | list):
        raise ConfigurationError(f"{key} ({text!r}) must be a single value; set keys one by one")
    return key, value


def with_values(before: GroupConfig | None, wanted: Mapping[str, object]) -> GroupConfig:
    """A record with other values for some keys; None removes one.

    Raises:
        ConfigurationError: a key may not be set for the group.
    """
    settings = {} if before is None else copy.deepcopy(before.settings)
    for key, value in wanted.items():
        *sections, last = key.split(".")
        if value is not None:
            check_key(key)
        section = settings
        for name in sections:
            inner = section.get(name)
            if not isinstance(inner, dict):
                inner = section[name] = {}
            section = inner
        section.pop(last, None)
        if value is not None:
            section[last] = value
    return _record(before, settings)


def edited(before: GroupConfig | None, text: str) -> GroupConfig:
    """A record with the settings that somebody has written as YAML.

    Raises:
        ConfigurationError: it is not YAML, not a mapping, or has a new key that may not be set for the group.
    """
    content = parse(text, "this")
    if content is not None and not isinstance(content, dict):
        raise ConfigurationError("this is not a mapping of keys to values")
    settings = _set_only(content or {})
    known = set() if before is None else {key for key, _ in flat(before.settings)}
    for key, _ in flat(settings):
        if key not in known:
            check_key(key)
    return _record(before, settings)


def _record(before: GroupConfig | None, settings: Mapping[str, object]) -> GroupConfig:
    """The mode and the format's version are kept."""
    site = settings.get("preferred_site")
    if site is not None and not isinstance(site, str):
        raise ConfigurationError(f"preferred_site ({site!r}) must be a text; put it in quotes if it is one")
    fixed = {} if before is None else {"v": before.v, "mode": before.mode}
    return GroupConfig.model_validate({**_set_only(settings), **fixed})


def _set_only(settings: Mapping[str, object]) -> dict[str, object]:
    """Without keys that are null, and without sections that hold nothing."""
    kept = {}
    for key, value in settings.items():
        kept_value = _set_only(value) if isinstance(value, Mapping) else value
        if kept_value is not None and kept_value != {}:
            kept[str(key)] = kept_value
    return kept


def template(view: GroupView) -> str:
    """What the editor begins with."""
    settings = {} if view.config is None else view.config.record.settings
    lines = [
        "# The group's configuration, over each agent's file. What is left out, or null, is not set here.",
        f"# Can be set: {', '.join(GROUP_WIDE)}",
    ]
    if view.config_unreadable is not None:
        lines.append(f"# What is there is replaced: {view.config_unreadable}")
    body = written(settings) if settings else ""
    return "\n".join(lines) + "\n\n" + body


def changes_between(before: GroupConfig | None, after: GroupConfig) -> tuple[Change, ...]:
    """Key by key, what is different."""
    old = {} if before is None else dict(flat(before.settings))
    new = dict(flat(after.settings))
    return tuple(
        Change(key, old.get(key), new.get(key))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    )


def check(view: GroupView, record: GroupConfig) -> None:
    """What is wrong with the configuration, in itself or beside what a member's file says.

    Raises:
        ConfigurationError: a line for each problem.
    """
    values, _ = split(record)
    problems: dict[str, str] = {}
    members = {name: taken.own for name, taken in taken_by(view).items()}
    for name, own in [(ANY, {}), *members.items()]:
        try:
            overlay(stand_in(name, own), values, "")
        except ConfigurationError as error:
            for line in str(error).splitlines():
                problems.setdefault(line.removeprefix(": "), name)
    if problems:
        raise ConfigurationError(
            "\n".join(
                problem if name is ANY else f"{name}, with what its own file says: {problem}"
                for problem, name in problems.items()
            )
        )


def taken_by(view: GroupView) -> dict[str, TakenConfig]:
    """What each registered member says of the configuration, by name."""
    return {
        name: view.members[name].record.config or TakenConfig(version=None) for name in sorted(view.members)
    }


def shown(value: object) -> str:
    """A value, for a person."""
    return "not set" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
