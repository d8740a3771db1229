"""A client that is told of a group: what it is told, and in which terms. Several can listen to one watch."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.routing.allowed_brokers import EVERYTHING, AllowedBrokers
from rabbitkeeper.client.routing.placement import Target, Targets
from rabbitkeeper.coordinator.model.records import LeaderRecord, MemberRecord, MemberStatus
from rabbitkeeper.coordinator.model.text import printable
from rabbitkeeper.coordinator.model.view import GroupView

log = logging.getLogger(__name__)

_NO_TLS = "its brokers announce no address with TLS (amqps): set broker.advertise.amqps"
_ONLY_TLS = "its brokers announce no address without TLS (amqp): give tls"


@dataclass(slots=True, eq=False)
class Listener:
    """One client.

    Args:
        publish: takes each new picture of the group; may be called on any thread.
        emit: takes events.
        secure: whether it connects to brokers with TLS.
        allowed: to which brokers; others are no targets.

    Attributes:
        mismatch: why no member that is there can be used; None if one can, or none is there.
    """

    publish: Callable[[Targets], None]
    emit: Callable[[Event], None]
    secure: bool = False
    allowed: AllowedBrokers = EVERYTHING
    mismatch: str | None = None
    _refused: frozenset[str] = frozenset()  # that the log has said
    _last: Targets = field(default_factory=Targets)

    def tell(self, view: GroupView) -> None:
        """The group is so now."""
        turned_away = refused(view, self.allowed, secure=self.secure)
        for sentence in turned_away:
            if sentence not in self._refused:
                log.warning("%s", printable(sentence))
        self._refused = frozenset(turned_away)
        targets = targets_of(view, self._last, secure=self.secure, allowed=self.allowed)
        self.mismatch = None
        if view.members and not targets.members:
            self.mismatch = turned_away[0] if turned_away else _NO_TLS if self.secure else _ONLY_TLS
        if targets != self._last:
            self._last = targets
            self.publish(targets)


def refused(view: GroupView, allowed: AllowedBrokers, *, secure: bool) -> list[str]:
    """Who announces an address that the client may not connect to, a sentence each."""
    records: list[MemberRecord | LeaderRecord] = [member.record for member in view.members.values()]
    if view.leader is not None:
        records.append(view.leader.record)
    announced = {(record.name, _address(record, secure=secure)) for record in records}
    return sorted(
        f"{name} announces the broker {address}, which allowed_brokers does not allow: it is left out"
        for name, address in announced
        if address is not None and not allowed.allows(address)
    )


def targets_of(
    view: GroupView, last: Targets, *, secure: bool = False, allowed: AllowedBrokers = EVERYTHING
) -> Targets:
    """The switch's picture of a group.

    Args:
        view: as read from ZooKeeper.
        last: the picture before: the epoch of the last leader seen is kept for a view without one.
        secure: take the addresses that speak TLS. Members without one are no targets.
        allowed: members at other addresses are no targets either.
    """

    def target_of(record: MemberRecord | LeaderRecord) -> str | None:
        address = _address(record, secure=secure)
        return address if address is not None and allowed.allows(address) else None

    members = {
        name: Target(
            member=name,
            instance=member.record.instance,
            address=address,
            status=member.record.state,
            site=member.record.tags.site,
        )
        for name, member in view.members.items()
        if (address := target_of(member.record)) is not None
    }
    loads = {
        name: member.record.load["connections"]
        for name, member in view.members.items()
        if name in members and "connections" in member.record.load
    }
    leader = None
    epoch = last.epoch if view.era == last.era else 0
    if view.leader is not None:
        epoch = view.leader.epoch
        record = view.leader.record
        if (address := target_of(record)) is not None:
            known = members.get(record.name)
            if known is not None and known.instance == record.instance:
                leader = known
            else:
                leader = Target(record.name, record.instance, address, MemberStatus.RUNNING)
    return Targets(epoch, leader, members, loads, view.era)


def _address(record: MemberRecord | LeaderRecord, *, secure: bool) -> str | None:
    return record.amqps if secure else record.amqp
