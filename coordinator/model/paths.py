"""Where things are in the backend: the nodes of one group. ``docs/protocol.md`` describes each."""

import re
from dataclasses import dataclass

from rabbitkeeper.coordinator.model.errors import InvalidName

ROOT = "/rabbitkeeper"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def check_name(kind: str, name: object) -> str:
    """Return ``name`` if it can name a group or a member.

    Args:
        kind: what is named, for the error: ``"group"`` or ``"member"``.
        name: the candidate.

    Raises:
        InvalidName: it is not 1–63 of ``A-Z a-z 0-9 . _ -``, starting and ending with a letter or digit
            (so that it is a node, a host label and a metric label alike).
    """
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise InvalidName(
        f"{kind} name {name!r} is not valid: use 1 to 63 letters, digits, '.', '_' or '-', "
        "starting and ending with a letter or digit"
    )


@dataclass(frozen=True, slots=True)
class GroupPaths:
    """The paths of one group's nodes.

    Args:
        group: the group's name; checked.
    """

    group: str

    def __post_init__(self) -> None:
        check_name("group", self.group)

    @property
    def root(self) -> str:
        return f"{ROOT}/{self.group}"

    @property
    def config(self) -> str:
        return f"{self.root}/config"

    @property
    def members(self) -> str:
        return f"{self.root}/members"

    def member(self, name: str) -> str:
        return f"{self.members}/{check_name('member', name)}"

    @property
    def incarnation(self) -> str:
        """Which life of the group this is: raised when the backend has forgotten what it had known."""
        return f"{self.root}/incarnation"

    @property
    def leader(self) -> str:
        return f"{self.root}/leader"

    @property
    def cluster(self) -> str:
        return f"{self.root}/cluster"

    @property
    def formation(self) -> str:
        """The lock under which a cluster is founded or joined (ephemeral)."""
        return f"{self.root}/formation"

    @property
    def disruption(self) -> str:
        """The lock of whoever takes a broker down: kills, restarts or drains it (ephemeral)."""
        return f"{self.root}/disruption"

    @property
    def pause(self) -> str:
        return f"{self.root}/pause"

    @property
    def switchover(self) -> str:
        return f"{self.root}/switchover"

    @property
    def maintenance(self) -> str:
        return f"{self.root}/maintenance"

    @property
    def operations(self) -> str:
        return f"{self.root}/operations"

    @property
    def history(self) -> str:
        return f"{self.root}/history"
