"""What has been seen of a group in the course of the demo. Pure: who looks, and how, is not known here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView


@dataclass(frozen=True, slots=True)
class MemberCondition:
    """What a member's agent says of its broker."""

    state: MemberStatus
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group at one moment."""

    leader: str | None = None
    epoch: int = 0  # of the leader
    members: Mapping[str, MemberCondition] = field(default_factory=dict)
    incarnation: int = 0  # of the group, in which the epoch counts

    @classmethod
    def of(cls, view: GroupView) -> "GroupState":
        members = {
            name: MemberCondition(member.record.state, member.record.reasons)
            for name, member in view.members.items()
        }
        if view.leader is None:
            return cls(members=members, incarnation=view.incarnation)
        return cls(view.leader.record.name, view.leader.epoch, members, view.incarnation)


@dataclass(frozen=True, slots=True)
class ObservedLeader:
    """A leader's znode, and when it was first seen (seconds, monotonic)."""

    member: str
    epoch: int
    at: float
    incarnation: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """The larger is the newer."""
        return self.incarnation, self.epoch


class GroupTimeline:
    """What was seen last, and every leader so far.

    Args:
        members: the names of all members.
    """

    def __init__(self, members: tuple[str, ...]) -> None:
        self.members = members
        self.now: GroupState | None = None
        self.leaders: list[ObservedLeader] = []

    def record(self, state: GroupState, at: float) -> None:
        """Take down a state of the moment ``at``, seconds monotonic."""
        self.now = state
        if state.leader is None:
            return
        seen = ObservedLeader(state.leader, state.epoch, at, state.incarnation)
        if not self.leaders or self.leaders[-1].order < seen.order:
            self.leaders.append(seen)

    @property
    def leader(self) -> str | None:
        """Who leads now."""
        return None if self.now is None else self.now.leader

    def elected_since(self, moment: float) -> ObservedLeader | None:
        """The first leader that was announced after ``moment``."""
        return next((seen for seen in self.leaders if seen.at > moment), None)

    def runs(self, member: str) -> bool:
        """Whether a member runs."""
        seen = None if self.now is None else self.now.members.get(member)
        return seen is not None and seen.state is MemberStatus.RUNNING

    def is_whole(self) -> bool:
        """There is a leader, and every member runs."""
        return self.leader is not None and all(map(self.runs, self.members))
