"""What an agent's API says of its group, as the view that is read from ZooKeeper otherwise. Pure.

As when ZooKeeper is read, what cannot be understood never stops the rest: a member that a newer agent has
written in another way is left out, and named in ``problems``.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from rabbitkeeper.coordinator.model.errors import RecordError
from rabbitkeeper.coordinator.model.finite import check_finite
from rabbitkeeper.coordinator.model.record import Record, StoredRecord
from rabbitkeeper.coordinator.model.records import LeaderRecord, MemberRecord
from rabbitkeeper.coordinator.model.text import printable
from rabbitkeeper.coordinator.model.view import GroupView, LeaderView, MemberView

SHOWN = 200  # characters of what an agent says that are shown
PROBLEMS = 100  # of the group that are kept: each is a line of the log

RecordT = TypeVar("RecordT", bound=StoredRecord)


class _ZooKeeper(Record):
    lease_left: float = Field(default=1.0, ge=0)  # seconds


class _Answer(Record):
    """``GET /group``, and the event ``group`` of ``/events``: what clients take of it."""

    group: str
    age: float = Field(default=0.0, ge=0)  # seconds since the agent has read it
    zookeeper: _ZooKeeper = _ZooKeeper()
    leader: Any = None
    leader_unreadable: str | None = None
    epoch: int | None = Field(default=None, ge=0)
    incarnation: int = Field(default=0, ge=0)
    members: tuple[Any, ...] = ()
    problems: tuple[str, ...] = ()


Order = tuple[int, int]
"""Of leaders: incarnation and epoch."""


@dataclass(frozen=True, slots=True)
class GroupAnswer:
    """What an agent has said."""

    group: str
    current: bool  # it would have heard from ZooKeeper of anything newer
    view: GroupView

    def order(self, newest: Order = (0, 0)) -> Order:
        """By incarnation and epoch: the larger is the newer. Of a group without a leader nothing is known but
        that it is not older than its incarnation: its epoch is the ``newest`` of that."""
        incarnation, leader = self.view.incarnation, self.view.leader
        if leader is not None:
            return incarnation, leader.epoch
        return incarnation, newest[1] if incarnation == newest[0] else 0


def parse_group(data: bytes, now: float) -> GroupAnswer:
    """What ``data`` says.

    Args:
        data: JSON.
        now: seconds, monotonic.

    Raises:
        RecordError: it is none, or nothing that says how a group is.
    """
    where = "the answer"
    check_finite(where, data)
    try:
        answer = _Answer.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise RecordError(f"{where} does not say how a group is: {place[:SHOWN]}: {first['msg']}") from None
    problems = [printable(problem)[:SHOWN] for problem in answer.problems[:PROBLEMS]]
    members: dict[str, MemberView] = {}
    for content in answer.members:
        member = _record(MemberRecord, content, problems)
        if member is not None:
            members[member.name] = MemberView(member, version=0, owner=0)
    leader = None if answer.leader is None else _record(LeaderRecord, answer.leader, problems)
    if leader is not None and answer.epoch is None:
        problems.append("there is a leader without an epoch: it is left out")
    return GroupAnswer(
        group=answer.group,
        current=answer.zookeeper.lease_left > 0,
        view=GroupView(
            read_at=now - answer.age,
            incarnation=answer.incarnation,
            leader=None
            if leader is None or answer.epoch is None
            else LeaderView(leader, epoch=answer.epoch, version=0, owner=0),
            leader_unreadable=answer.leader_unreadable,
            members=MappingProxyType(members),
            problems=tuple(problems[:PROBLEMS]),
        ),
    )


def _record(kind: type[RecordT], content: object, problems: list[str]) -> RecordT | None:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = content.get("name") if isinstance(content, dict) else None
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        said = f"a {kind.__name__} ({str(name)[:SHOWN]}) is left out: {place}: {first['msg']}"
        problems.append(printable(said)[: 2 * SHOWN])
        return None
