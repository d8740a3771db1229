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


def rank(view: GroupView, me: OwnState | None = None, *, alarmed: bool = False) -> tuple[str, ...]:
    """Who may take a vacant lead, best first.

    First the one that led last, then those of the preferred site, then by priority, then by name.

    Args:
        view: a snapshot.
        me: the agent that asks.
        alarmed: when nobody runs, take those that have an alarm. It blocks publishers on every node, so that
            nobody is better, and consumers that find their way by the leader must be able to drain what has
            raised it.
    """
    last = None if view.last_change is None else view.last_change.to
    candidates: dict[bool, list[tuple[bool, bool, int, str]]] = {True: [], False: []}
    for name, member in view.members.items():
        status, tags = member.record.state, member.record.tags
        if me is not None and name == me.name:
            status, tags = me.status, me.tags
        if (status.may_lead or status is MemberStatus.ALARMED) and not tags.no_failover:
            place = (name != last, *merit(tags, preferred_site(view)), name)
            candidates[status.may_lead].append(place)
    return tuple(name for *_, name in sorted(candidates[True] or (candidates[False] if alarmed else [])))


def merit(tags: Tags, site: str | None) -> tuple[bool, int]:
    """How much an operator prefers a member: the smaller the better.

    Args:
        site: the preferred one, if there is one.
    """
    return (site is not None and tags.site != site, -tags.priority)


def preferred_site(view: GroupView) -> str | None:
    """The site that the group's configuration prefers; None if it prefers none."""
    return None if view.config is None else view.config.record.preferred_site
