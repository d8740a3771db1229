"""The executor: carries out what the switch orders, and reports to it. The one place where a client moves.

The switch alone says which connection is current. What depends on that (publisher, declarer, subscriptions)
is put on a connection and taken off it here and nowhere else, and the user's events are told of it. Consumers
follow on a connection of their own (:mod:`consuming_connection`), which is told here where the client is.
"""

import logging
import time
from collections.abc import Callable, Iterable
from enum import Enum, auto
from random import Random

from rabbitkeeper.client.amqp.transport import Access, Connection, ConnectionLost, Transport
from rabbitkeeper.client.declare.declarations import Declarations
from rabbitkeeper.client.declare.transient_queues import TransientQueues
from rabbitkeeper.client.engine.connections import Connections, MemberConnection
from rabbitkeeper.client.engine.consuming_connection import ConsumingConnection
from rabbitkeeper.client.engine.migration import Migration
from rabbitkeeper.client.engine.other_members import OtherMembers
from rabbitkeeper.client.engine.subscriptions import Subscriptions
from rabbitkeeper.client.model.errors import NotAuthorized, RabbitKeeperError
from rabbitkeeper.client.model.events import (
    Connected,
    Disconnected,
    Event,
    LeaderChanged,
    PublishersBlocked,
    PublishersUnblocked,
    Switched,
)
from rabbitkeeper.client.model.status import LastSwitch
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.publish.publisher import Publisher
from rabbitkeeper.client.routing.placement import Target, Targets
from rabbitkeeper.client.routing.switch import Abort, Migrate, Open, Order, Phase, Promote, Switch
from rabbitkeeper.coordinator.model.reply_codes import ReplyCode

log = logging.getLogger(__name__)


class _Part(Enum):
    """Of the topology, by the connection that it is declared on."""

    SHARED = auto()
    EXCLUSIVE = auto()


class SwitchExecutor:
    """Everything is called on the I/O thread.

    Args:
        transport: where connections come from.
        access: how to get into a broker.
        random: for jitter.
        emit: takes events.
        on_promoted: called with each connection that has become the current one.
        on_change: called after whatever was carried out: deadlines and the client's state may be others now.
        on_refused: the broker does not let this client in, and never will.
    """

    def __init__(
        self,
        transport: Transport,
        access: Access,
        *,
        switch: Switch,
        publisher: Publisher[PublishFuture],
        declarations: Declarations,
        transient: TransientQueues,
        subscriptions: Subscriptions,
        random: Random,
        emit: Callable[[Event], None],
        on_promoted: Callable[[Connection], None],
        on_change: Callable[[], None],
        on_refused: Callable[[RabbitKeeperError], None],
    ) -> None:
        self._loop = transport.loop
        self._switch = switch
        self._publisher = publisher
        self._declarer = declarations.shared
        self._subscriptions = subscriptions
        self._emit = emit
        self._on_promoted = on_promoted
        self._on_change = on_change
        self._on_refused = on_refused
        self.connections = Connections(
            transport,
            access,
            publisher,
            on_ready=lambda number: self._obey(switch.ready(number, self._loop.now())),
            on_silent=self._silent,
            on_lost=self._lost,
            on_blocked=self._blocked,
        )
        self.consuming = ConsumingConnection(
            transport,
            access,
            declarations=declarations,
            subscriptions=subscriptions,
            random=random,
            on_restored=lambda: self._restored(_Part.EXCLUSIVE),
            on_silent=self.doubt,
            on_current=self.look_at_declarations,
        )
        self._transient = transient
        self.others = OtherMembers(transport, access, publisher, lambda: switch.targets)
        publisher.elsewhere.members = self.others
        self._exclusive = declarations.exclusive
        self._unrestored: set[_Part] = set()
        self._migration: Migration | None = None
        self._lost_target: Target | None = None  # where the client was, while it is nowhere
        self.last_switch: LastSwitch | None = None
        self.last_error = "no broker is known"
        """Empty while there is a connection."""

    @property
    def current(self) -> MemberConnection | None:
        """That everything goes over."""
        slot = self._switch.current
        return None if slot is None else self.connections.get(slot.number)

    def view(self, targets: Targets) -> None:
        """The group has changed."""
        known = self._switch.targets
        orders = self._switch.view(targets, self._loop.now())
        if self._switch.targets is not targets:
            return  # out of date
        leader = _leader_of(targets)
        if leader != _leader_of(known) and known.members:
            meant = known if leader is None else targets  # the lead that has ended, or has begun
            self._emit(LeaderChanged(leader, meant.epoch, meant.incarnation))
        if known.members and (targets.order, targets.members) != (known.order, known.members):
            self._publisher.trouble()
        if any(_is_down(targets, name) and not _is_down(known, name) for name in known.members):
            self._transient.node_lost()
        self._obey(orders)
        self.consuming.view(targets)

    def tick(self) -> None:
        """Time has passed."""
        self._obey(self._switch.tick(self._loop.now()))

    def renew_publishing(self) -> None:
        """The publisher wants another channel on the current connection."""
        if self._switch.current is not None:
            self.connections.renew_publishing(self._switch.current.number)

    def doubt(self) -> None:
        """What was sent over the current connection is not answered."""
        if self.current is not None:
            log.warning("%s does not answer; another member is tried", self.current.target.member)
            self._obey(self._switch.doubt(self._loop.now()))

    def look_at_declarations(self) -> None:
        """Something is to be declared, or the broker reads other connections than before: while it reads
        nothing of the one that publishes, the one for consumers declares."""
        is_blocked = self._publisher.blocked is not None and self._migration is None
        if is_blocked and self._declarer.is_busy:
            self.consuming.want()
        self._declarer.blocked(is_blocked, self.consuming.connection)

    def close(self) -> None:
        """End all connections, in an orderly way."""
        self._cancel_migration()
        self._switch.close()
        self.others.close()
        self.consuming.close()
        self.connections.close()

    def abandon(self) -> None:
        """The loop has failed: give everything up, as far as that can be done without it."""
        self._switch.close()
        self.others.abandon()
        self.consuming.abandon()
        self.connections.abandon()

    # -- orders

    def _obey(self, orders: Iterable[Order]) -> None:
        for order in orders:
            if self._switch.phase is Phase.CLOSED:
                break  # what was carried out before has ended the client: there is nothing to open any more
            match order:
                case Open():
                    log.debug(
                        "connecting to %s at %s: %s", order.target.member, order.target.address, order.why
                    )
                    self.connections.open(order.number, order.target, order.timeout)
                case Migrate():
                    self._migrate(order.number)
                case Promote():
                    self._promote(order)
                case Abort():
                    self._abort(order)
        self._on_change()

    def _migrate(self, number: int) -> None:
        log.debug("moving to %s", self.connections[number].target.member)
        migration = Migration(
            self._loop,
            self._publisher,
            number,
            on_done=lambda: self._obey(self._switch.moved(number, self._loop.now())),
        )
        self._migration = migration
        self._declarer.attach(self.connections[number].connection, migration.begin)

    def _promote(self, order: Promote) -> None:
        """Everything goes over another connection from now on."""
        promoted = self.connections[order.number]
        log.info("connected to %s at %s", order.target.member, order.target.address)
        self.last_error = ""
        self._cancel_migration()
        if not order.prepared:
            if self._switch.lost_at is not None:
                self._publisher.trouble()
                self._transient.node_lost()
            self._begin_restoring(promoted)
        self._tell_of_switch(promoted, self.connections.get(order.retire))
        self.connections.forget_renewals()
        self._publisher.blocked = None
        self.others.close()
        self._publisher.elsewhere.moved_to(promoted.target.member)
        if promoted.publishing is not None:
            self._publisher.attach(promoted.publishing, promoted.connection.frame_max)
        else:  # the broker has closed it meanwhile
            self._publisher.detach()
            self.connections.renew_publishing(order.number)
        self.consuming.follow(promoted.target, promoted.timeout)
        if order.prepared:
            self._restored(_Part.SHARED)
        self.look_at_declarations()
        if order.retire is not None:
            self.connections.retire(order.retire)
        self._on_promoted(promoted.connection)

    def _abort(self, order: Abort) -> None:
        log.info("connection to the broker dropped: %s", order.why)
        dropped = self.connections.get(order.number)
        self.connections.drop(order.number)
        if order.was_current and dropped is not None:
            self.last_error = _describe(dropped.target, order.why)
            self._leave(dropped.target, order.why)
            self.consuming.leave(dropped.target)
        else:
            self._give_migration_up(order.number)

    def _tell_of_switch(self, promoted: MemberConnection, retired: MemberConnection | None) -> None:
        """Everything goes over ``promoted`` in a moment; ``retired`` still works."""
        planned = retired is not None
        previous = self._lost_target if retired is None else retired.target
        target, epoch = promoted.target, self._switch.targets.epoch
        self._lost_target = None
        if previous is None:
            self._emit(Connected(target.member, target.address, epoch))
            return
        lost_at = self._switch.lost_at
        gap = 0.0 if planned or lost_at is None else self._loop.now() - lost_at
        self.last_switch = LastSwitch(previous.member, target.member, time.time(), planned, gap)
        self._emit(Switched(target.member, target.address, previous.member, epoch, planned, gap))

    def _begin_restoring(self, promoted: MemberConnection) -> None:
        """Have the topology declared again."""
        self._unrestored = {_Part.SHARED}
        if self._exclusive.has_entities and self.consuming.has_to_move(promoted.target):
            self._unrestored.add(_Part.EXCLUSIVE)
        self._publisher.restoring(active=True)
        self._declarer.attach(promoted.connection, lambda: self._restored(_Part.SHARED))

    def _restored(self, part: _Part) -> None:
        """A part of the topology is there, on the connection where the client is."""
        self._unrestored.discard(part)
        if not self._unrestored:
            self._publisher.restoring(active=False)
        self._subscriptions.hurry()

    # -- what connections report

    def _lost(self, number: int, lost: MemberConnection, why: ConnectionLost) -> None:
        self.last_error = _describe(lost.target, why.why)
        if why.refused and self._switch.phase is Phase.CONNECTING:
            self._on_refused(NotAuthorized(f"{self.last_error}; check the credentials and the virtual host"))
            return
        self._declarer.ended(lost.connection, why)
        if self._switch.is_current(number):
            log.warning("lost the broker %s", self.last_error)
            self._leave(lost.target, why.why)
        else:
            log.debug("connection not usable: %s", self.last_error)
            self._give_migration_up(number)
        ended = why.refused or why.code not in (0, ReplyCode.CONNECTION_FORCED)
        self._obey(self._switch.failed(number, self._loop.now(), ended=ended))

    def _silent(self, number: int) -> None:
        if self._switch.is_current(number):
            self.doubt()

    def _blocked(self, number: int, why: str | None) -> None:
        if self._switch.is_current(number):
            member = self.connections[number].target.member
            log.warning("the broker blocks publishers: %s", why) if why else log.info("publishers go on")
            self._emit(PublishersBlocked(member, why) if why else PublishersUnblocked(member))
            self._publisher.blocked = why
            self.look_at_declarations()
            self._publisher.pump()
            self._on_change()

    # -- leaving

    def _leave(self, target: Target, why: str) -> None:
        """The connection that everything went over is gone."""
        self._cancel_migration()
        self._lost_target = target
        self._emit(Disconnected(target.member, target.address, why))
        self._publisher.trouble()
        self._publisher.blocked = None
        self.others.close()
        self._publisher.detach()
        self._declarer.detach()
        self.look_at_declarations()
        self.consuming.wait()

    def _give_migration_up(self, number: int) -> None:
        """Connection ``number`` is gone: if it was moved to, the client stays on the one where it is."""
        if self._migration is None or self._migration.number != number:
            return
        self._cancel_migration()
        current = self.current
        if current is not None:
            self._publisher.thaw()
            self._declarer.attach(current.connection, lambda: self._restored(_Part.SHARED))
            self.look_at_declarations()

    def _cancel_migration(self) -> None:
        if self._migration is not None:
            self._migration.cancel()
            self._migration = None


def _is_down(targets: Targets, member: str) -> bool:
    target = targets.members.get(member)
    return target is None or targets.declares_dead(target)


def _leader_of(targets: Targets) -> str | None:
    return None if targets.leader is None else targets.leader.member


def _describe(target: Target, why: str) -> str:
    return f"{target.member} at {target.address}: {why}"
