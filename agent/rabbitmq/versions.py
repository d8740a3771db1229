"""Which versions of RabbitMQ are supported, and which of them can be in one cluster. Pure.

Whether two nodes understand each other is decided by RabbitMQ itself, by its feature flags, when one joins
the other: some seconds later, in words of its own, and with the node's broker stopped meanwhile. What its
documents rule out is told beforehand. A series that is not known here is left to RabbitMQ.
"""

import re
from collections.abc import Mapping

Version = tuple[int, int]

OLDEST: Version = (3, 10)
NEWEST: Version = (4, 3)

# Two series without a rolling upgrade from one to the other "cannot coexist in a single cluster": the table
# and the sentence are those of https://www.rabbitmq.com/docs/upgrade (4.3).
_UPGRADES: Mapping[Version, frozenset[Version]] = {
    (3, 10): frozenset({(3, 11)}),
    (3, 11): frozenset({(3, 12)}),
    (3, 12): frozenset({(3, 13)}),
    (3, 13): frozenset({(4, 0), (4, 1), (4, 2)}),
    (4, 0): frozenset({(4, 1), (4, 2)}),
    (4, 1): frozenset({(4, 2)}),
    (4, 2): frozenset({(4, 3)}),
    (4, 3): frozenset(),
}


def version_of(text: str) -> Version | None:
    """The first two numbers of a version; None if it is none."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return None if match is None else (int(match[1]), int(match[2]))


def unsupported(text: str | None) -> str | None:
    """A sentence if a version is not one of those that this agent was made for.

    Args:
        text: the version, as in ``4.0.5``; None if it is not known.
    """
    version = None if text is None else version_of(text)
    if version is None or OLDEST <= version <= NEWEST:
        return None
    made_for = f"this agent was made for {_named(OLDEST)} to {_named(NEWEST)}"
    if version < OLDEST:
        return f"RabbitMQ {text} is not supported: {made_for}; upgrade the broker"
    return f"RabbitMQ {text} is not known yet: {made_for}; look for a newer RabbitKeeper"


def apart(version: str | None, others: Mapping[str, str]) -> str | None:
    """Why a node cannot be in one cluster with others; None if nothing that is known speaks against it.

    Args:
        version: of the node's RabbitMQ; None if it is not known.
        others: the versions of the cluster's nodes, by node name, as far as they are known.
    """
    own = None if version is None else version_of(version)
    for node, text in sorted(others.items()):
        other = version_of(text)
        if own is None or other is None or own == other:
            continue
        older, newer = min(own, other), max(own, other)
        if older in _UPGRADES and newer in _UPGRADES and newer not in _UPGRADES[older]:
            return (
                f"it has RabbitMQ {version}, {node} has {text}, and RabbitMQ cannot have these two in one "
                f"cluster; install {_named(other)} here"
            )
    return None


def _named(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
