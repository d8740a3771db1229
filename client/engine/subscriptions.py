"""The subscriptions of a client: all of them follow it to wherever it is connected. On the I/O thread."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from rabbitkeeper.client.amqp.transport import CallLater, Connection, ConnectionLost
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.engine.consumer_watch import ConsumerWatch
from rabbitkeeper.client.model.errors import RabbitKeeperError, TopologyError
from rabbitkeeper.coordinator.model.reply_codes import ReplyCode

CHECK_AFTER_SWITCH = 2.0  # seconds until what should consume is compared with what does …
CHECK = 5.0  # … and again each so many seconds


@dataclass(frozen=True, slots=True)
class ConsumerCounts:
    """How it is with the consumers, at one moment."""

    active: int  # consumers that a broker has taken on
    wanted: int  # consumers that should be
    in_hand: int  # messages delivered and not answered


@dataclass(frozen=True, slots=True)
class _Place:
    """Where consumers are."""

    connection: Connection
    member: str
    since: float  # seconds, monotonic


class Follower(Protocol):
    """What else goes over the consumers' connection; its methods are those of :class:`Subscriptions`."""

    @property
    def in_hand(self) -> int: ...
    def attach(self, connection: Connection) -> None: ...
    def detach(self) -> None: ...
    def ended(self, connection: Connection, lost: ConnectionLost) -> None: ...
    def hold(self, connection: Connection) -> bool: ...
    def let_go(self, connection: Connection) -> None: ...
    def look(self) -> None: ...
    def end(self, error: RabbitKeeperError | None) -> None: ...


class Subscriptions:
    """Added, removed and moved together.

    Args:
        now: seconds, monotonic.
        call_later: the loop's timer.
    """

    def __init__(self, now: Callable[[], float], call_later: CallLater) -> None:
        self._now = now
        self._watch = ConsumerWatch(now, call_later)
        self._all: list[Subscription] = []
        self._place: _Place | None = None
        self.followers: list[Follower] = []
        self.check_at = float("inf")
        """When :meth:`check` has something to do; seconds, monotonic."""

    @property
    def counts(self) -> ConsumerCounts:
        """From any thread."""
        subscriptions = list(self._all)
        return ConsumerCounts(
            active=sum(subscription.active for subscription in subscriptions),
            wanted=sum(subscription.is_wanted for subscription in subscriptions),
            in_hand=sum(one.in_hand for one in subscriptions) + sum(one.in_hand for one in self.followers),
        )

    @property
    def any_active(self) -> bool:
        """Whether a broker has taken any of them on."""
        return any(subscription.active for subscription in self._all)

    def add(self, subscription: Subscription) -> None:
        """Consume from now on."""
        self._all.append(subscription)
        self._check_soon()
        if self._place is not None:
            subscription.attach(self._place.connection, self._place.member, self._place.since)

    def remove(self, subscription: Subscription) -> None:
        """End it; what is unanswered goes back to its queue."""
        subscription.cancel()
        if subscription in self._all:
            self._all.remove(subscription)

    def attach(self, connection: Connection, member: str, since: float) -> None:
        """Consume over ``connection`` from now on, at ``member``, where the client has been since then
        (seconds, monotonic)."""
        self._place = _Place(connection, member, since)
        for subscription in list(self._all):  # one that was to stop may be removed meanwhile
            subscription.attach(connection, member, self._place.since)
        for follower in self.followers:
            follower.attach(connection)
        self._check_soon()

    def detach(self) -> None:
        """The connection that everything went over is gone."""
        self._place = None
        for subscription in list(self._all):
            subscription.detach()
        for follower in self.followers:
            follower.detach()

    def ended(self, connection: Connection, lost: ConnectionLost) -> None:
        """``connection`` was lost, perhaps over what was asked for on it."""
        for subscription in list(self._all):
            refused = lost.code == ReplyCode.NOT_IMPLEMENTED and not subscription.active
            if refused and subscription.connection is connection and subscription.options.no_ack:
                why = f"cannot consume from {subscription.queue_name!r} without acks: {lost.why}"
                subscription.end(TopologyError(why))  # a stream; it would cost each connection
        for follower in self.followers:
            follower.ended(connection, lost)

    def hurry(self, queue: str | None = None) -> None:
        """What they wait for may be there now. ``queue``: those of this one alone."""
        for subscription in list(self._all):
            if queue in (None, subscription.queue_name):
                subscription.hurry()

    def look(self) -> None:
        """A connection has ended: who waited for answers on it need not wait."""
        for subscription in list(self._all):
            subscription.look()
        for follower in self.followers:
            follower.look()

    def hold(self, connection: Connection) -> bool:
        """Whether any of them has still something to say on ``connection``, which was left."""
        holds = (subscription.feed.left.holds(connection) for subscription in self._all)
        return any(holds) or any(follower.hold(connection) for follower in self.followers)

    def let_go(self, connection: Connection) -> None:
        """``connection``, which was left, is about to be closed: what nobody has seen of it goes back so."""
        for subscription in list(self._all):
            subscription.feed.let_go(connection)
        for follower in self.followers:
            follower.let_go(connection)

    def check(self) -> None:
        """Compare what should consume with what does, when it is time to."""
        if self._now() < self.check_at:
            return
        for subscription in list(self._all):
            subscription.check()
        self._watch.check(self._all)
        self.check_at = self._now() + CHECK if self._all else float("inf")

    def end(self, error: RabbitKeeperError | None) -> None:
        """No message will come any more; the answers given so far go out."""
        for subscription in list(self._all):
            subscription.flush()
            subscription.end(error)
        self._all.clear()
        for follower in self.followers:
            follower.end(error)

    def abandon(self) -> list[Subscription | Follower]:
        """Let go of all of them, who are the caller's to end."""
        subscriptions, self._all, self._place = self._all, [], None
        return [*subscriptions, *self.followers]

    def _check_soon(self) -> None:
        self.check_at = min(self.check_at, self._now() + CHECK_AFTER_SWITCH)
