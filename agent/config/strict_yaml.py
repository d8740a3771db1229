"""YAML as far as settings need it: mappings, lists, texts, numbers, true, false and null. Pure.

Everything else that YAML has is refused in one line that says where: anchors, aliases and tags, which can
take a part of a value away, or be large beyond memory; numbers that are read as others than they look
(``015672`` would be 7098). What YAML would take for a date, or for a number of base 60 (``1:30`` for 90), is
a text. No error shows a value: it may be a secret.
"""

import re
from collections.abc import Hashable
from typing import Any

import yaml

from rabbitkeeper.coordinator.model.errors import ConfigurationError

DEEPEST = 32  # mappings and lists in one another; settings need five
LONGEST = 1_000_000  # characters of all
_DIGITS = 100  # of one number

_PREFIX = "tag:yaml.org,2002:"
_NULL, _BOOL, _INT, _FLOAT = (_PREFIX + kind for kind in ("null", "bool", "int", "float"))
# What PyYAML takes for a number by itself, without base 60; a zero in front is found later and refused.
_RESOLVERS = (
    (_NULL, re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    (
        _BOOL,
        re.compile(r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF"),
        "yYnNtTfFoO",
    ),
    (_INT, re.compile(r"[-+]?(?:[0-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)"), "-+0123456789"),
    (
        _FLOAT,
        re.compile(
            r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
        ),
        "-+0123456789.",
    ),
)
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_QUOTED = re.compile(r"'(?!<)[^'\s]{2,}'|\"[^\"]{2,}\"")  # what an error of PyYAML shows of the text


class _Dumper(yaml.SafeDumper):
    """Writes out what is there twice: an alias could not be read again."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def written(content: object) -> str:
    """``content`` as :func:`parse` reads it."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """Only the kinds of values above; of two equal keys the second is an error, and does not silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        lines: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if isinstance(key, Hashable) and key in lines:
                raise _NotSettings(
                    key_node.start_mark, f"is not YAML: key {key!r} stands twice, first in line {lines[key]}"
                )
            if isinstance(key, Hashable):
                lines[key] = line
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {}  # its own, not those that all loaders share
for _tag, _pattern, _first in _RESOLVERS:
    _Loader.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern.pattern})\\Z"), list(_first))


class _NotSettings(yaml.MarkedYAMLError):
    def __init__(self, mark: Any, problem: str) -> None:
        super().__init__(problem=problem, problem_mark=mark)


def parse(text: str, what: str) -> object:
    """The value that ``text`` holds.

    Args:
        text: YAML.
        what: it is, for the error: a file's name.

    Raises:
        ConfigurationError: one line that says where and why; never with a value.
    """
    if len(text) > LONGEST:
        raise ConfigurationError(
            f"{what} is too long: it has {len(text)} characters, at most {LONGEST} may be"
        )
    try:
        _check(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        why = error.problem or error.context or "it cannot be read"
        if not isinstance(error, _NotSettings):
            why = "is not YAML: " + _QUOTED.sub("'…'", why)
    except yaml.reader.ReaderError as error:
        where, why = (
            "",
            f"is not YAML: it has the character #x{error.character:04x}, which YAML does not allow",
        )
    raise ConfigurationError(f"{what}{where} {why}") from None


def _check(text: str) -> None:
    """Refuse what is not used here, before anything is made of it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        mark = event.start_mark
        if getattr(event, "anchor", None) is not None:
            raise _NotSettings(
                mark,
                "has an anchor or alias (& or *), which is not used here; "
                "put a text that begins so in quotes",
            )
        if getattr(event, "tag", None) is not None:
            raise _NotSettings(
                mark, "has a tag (!), which is not used here; put a text that begins so in quotes"
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise _NotSettings(mark, f"is nested deeper than {DEEPEST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent) and event.style is None:
            if _LEADING_ZERO.fullmatch(event.value):
                raise _NotSettings(
                    mark,
                    "is a number that begins with 0, which YAML reads in base 8; write it without, "
                    "or in quotes if it is a text",
                )
            if len(event.value) > _DIGITS and re.fullmatch(r"[-+]?[0-9_]+", event.value):
                raise _NotSettings(mark, f"is a number of more than {_DIGITS} digits")
