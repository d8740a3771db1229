"""A client that is told of a group: what it is told, and in which terms. Several can listen to one watch."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.routing.placement import Target, Targets
from rabbitkeeper.coordinator.model.records import LeaderRecord, MemberRecord, MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView


@dataclass(slots=True, eq=False)
class Listener:
    """One client.

    Args:
        publish: takes each new picture of the group; may be called on any thread.
        emit: takes events.
        secure: whether it connects to brokers with TLS.
    """

    publish: Callable[[Targets], None]
    emit: Callable[[Event], None]
    secure: bool = False
    mismatch: bool = False  # there are members, and none speaks what this client does
    _last: Targets = field(default_factory=Targets)

    def tell(self, view: GroupView) -> None:
        """The group is so now."""
        targets = targets_of(view, self._last.epoch, secure=self.secure)
        self.mismatch = bool(view.members) and not targets.members
        if targets != self._last:
            self._last = targets
            self.publish(targets)


def targets_of(view: GroupView, last_epoch: int, *, secure: bool = False) -> Targets:
    """The switch's picture of a group.

    Args:
        view: as read from ZooKeeper.
        last_epoch: of the last leader seen, for a view without one.
        secure: take the addresses that speak TLS. Members without one are no targets.
    """
    members = {
        name: Target(
            member=name,
            instance=member.record.instance,
            address=address,
            status=member.record.state,
            site=member.record.tags.site,
        )
        for name, member in view.members.items()
        if (address := _address(member.record, secure=secure)) is not None
    }
    loads = {
        name: member.record.load["connections"]
        for name, member in view.members.items()
        if name in members and "connections" in member.record.load
    }
    leader = None
    epoch = last_epoch
    if view.leader is not None:
        epoch = view.leader.epoch
        record = view.leader.record
        if (address := _address(record, secure=secure)) is not None:
            known = members.get(record.name)
            if known is not None and known.instance == record.instance:
                leader = known
            else:
                leader = Target(record.name, record.instance, address, MemberStatus.RUNNING)
    return Targets(epoch, leader, members, loads)


def _address(record: MemberRecord | LeaderRecord, *, secure: bool) -> str | None:
    return record.amqps if secure else record.amqp
