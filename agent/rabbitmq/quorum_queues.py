"""Quorum queues as ``rabbitmqctl list_queues`` prints them, and how some are named to ``grow``. Pure."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

COLUMNS = ("name", "type", "arguments", "policy", "members")
_TYPES = ("quorum", "rabbit_quorum_queue")
_TARGETS = ("x-quorum-target-group-size", "x-quorum-initial-group-size")
_POLICY_TARGET = "target-group-size"


@dataclass(frozen=True, slots=True)
class QuorumQueue:
    """One queue.

    Attributes:
        vhost, name: which one.
        members: the Erlang nodes with a replica.
        target: how many replicas it is to have, by its own arguments or its policy; None: they do not say.
    """

    vhost: str
    name: str
    members: frozenset[str]
    target: int | None = None


def parse(
    vhost: str, entries: Sequence[Mapping[str, Any]], policies: Sequence[Mapping[str, Any]]
) -> tuple[QuorumQueue, ...]:
    """The quorum queues among what was printed for a vhost.

    RabbitMQ itself goes by a queue's target size before a policy's, and by the initial size when it is
    declared (*Quorum Queues*, "Continuous Membership Reconciliation", from 3.13 on).

    Args:
        vhost: its name.
        entries: an object for each queue, with :data:`COLUMNS`.
        policies: an object for each policy of the vhost, as ``list_policies`` prints it.
    """
    sizes = {policy["name"]: _definition(policy).get(_POLICY_TARGET) for policy in policies}
    return tuple(
        QuorumQueue(vhost, entry["name"], frozenset(entry["members"] or ()), _target(entry, sizes))
        for entry in entries
        if entry.get("type") in _TYPES
    )


def exactly(names: Iterable[str]) -> str:
    """A regular expression of Erlang's for these names and no other."""
    return "^(" + "|".join(re.sub(r"([^0-9A-Za-z_\x80-\U0010ffff])", r"\\\1", name) for name in names) + ")$"


def _target(entry: Mapping[str, Any], policies: Mapping[str, object]) -> int | None:
    arguments = _pairs(entry.get("arguments"))
    by_policy = policies.get(str(entry.get("policy") or ""))
    asked = (arguments.get(_TARGETS[0]), by_policy, arguments.get(_TARGETS[1]))
    return next((size for size in asked if isinstance(size, int) and size > 0), None)


def _definition(policy: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a policy; printed as JSON within JSON."""
    definition = policy.get("definition")
    if isinstance(definition, str):
        with suppress(ValueError):
            definition = json.loads(definition)
    return _pairs(definition)


def _pairs(printed: object) -> dict[str, Any]:
    """Names and values, be they printed as an object, or as a list of name, type and value."""
    if isinstance(printed, Mapping):
        return {str(name): value for name, value in printed.items()}
    if not isinstance(printed, list):
        return {}
    return {str(each[0]): each[-1] for each in printed if isinstance(each, list) and len(each) > 1}
