"""In which order members may take a vacant lead. Pure."""

from typing import Protocol

from rabbitkeeper.coordinator.model.records import MemberStatus, Tags
from rabbitkeeper.coordinator.model.view import GroupView


class OwnState(Protocol):
    """What an agent knows of itself, which is newer than its record in a snapshot."""

    @property
    def name(self) -> str: ...

    @property
    def status(self) -> MemberStatus: ...

    @property
    def tags(self) -> Tags: ...


def rank(view: GroupView, me: OwnState | None = None) -> tuple[str, ...]:
    """Who may take a vacant lead, best first.

    First the one that led last, then those of the preferred site, then by priority, then by name.

    Args:
        view: a snapshot.
        me: the agent that asks.
    """
    last = None if view.last_change is None else view.last_change.to
    candidates = []
    for name, member in view.members.items():
        status, tags = member.record.state, member.record.tags
        if me is not None and name == me.name:
            status, tags = me.status, me.tags
        if status.may_lead and not tags.no_failover:
            candidates.append((name != last, *merit(tags, preferred_site(view)), name))
    return tuple(name for *_, name in sorted(candidates))


def merit(tags: Tags, site: str | None) -> tuple[bool, int]:
    """How much an operator prefers a member: the smaller the better.

    Args:
        site: the preferred one, if there is one.
    """
    return (site is not None and tags.site != site, -tags.priority)


def preferred_site(view: GroupView) -> str | None:
    """The site that the group's configuration prefers; None if it prefers none."""
    return None if view.config is None else view.config.record.preferred_site
