"""The connection that consumers have for themselves, with the exclusive queues. On the I/O thread.

RabbitMQ reads nothing more of a connection that publishes while there is an alarm, acks neither. So what
consumes has another connection, opened when it is first needed. Exclusive queues are declared on it, for only
the connection that declared one may consume from it.

It follows the client: it goes to the member where the switch says that everything is, and decides nothing
about members itself. A connection there is opened first; then everything goes over to it, and the old one is
*retired*: closed as soon as no consumer has anything more to say on it. It is drained, not cut off, since
what it had delivered would count as delivered once more towards a delivery limit; :data:`DRAIN_PATIENCE` is
for users who never answer. While :data:`MOST_RETIRED` wait for that, it moves no more, from what works. One
that is lost is opened again at the same member, with growing pauses.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from rabbitkeeper.client.amqp.transport import Access, Connection, ConnectionLost, Timer, Transport
from rabbitkeeper.client.declare.declarations import Declarations
from rabbitkeeper.client.engine.connections import abandon
from rabbitkeeper.client.engine.subscriptions import Subscriptions
from rabbitkeeper.client.model.retry import Retry, doubled
from rabbitkeeper.client.routing.failures import MOST_PATIENCE
from rabbitkeeper.client.routing.placement import Target, Targets

log = logging.getLogger(__name__)

DRAIN_PATIENCE = 600.0  # seconds for which what a connection has delivered can be answered when it is left …
RETIRE_PATIENCE = 5.0  # … and when exclusive queues wait for its end
SETTLED = 1.0  # seconds after which the loss of a connection counts as the first failure again
SILENCES = 2  # attempts in a row without an answer, after which the member is doubted
MOST_RETIRED = 3  # connections that were left and wait for answers; the next move waits for one of them


@dataclass(slots=True, eq=False)
class _Opened:
    """A connection, open or being opened, and where to."""

    target: Target
    connection: Connection
    since: float  # seconds, monotonic


class ConsumingConnection:
    """See the module.

    Args:
        transport: where connections come from.
        access: how to get into a broker.
        declarations: of them those of exclusive queues go over it with the consumers.
        subscriptions: the consumers.
        random: for jitter.
        on_restored: called when what is to be declared again is, or when that has to wait.
        on_silent: called when attempt after attempt has no answer.
        on_current: called when there is another one, or none any more.
    """

    def __init__(
        self,
        transport: Transport,
        access: Access,
        *,
        declarations: Declarations,
        subscriptions: Subscriptions,
        random: Random,
        on_restored: Callable[[], None],
        on_silent: Callable[[], None],
        on_current: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._loop = transport.loop
        self._access = replace(access, name=f"{access.name} (consuming)")
        self._declarations = declarations
        self._declarer = declarations.exclusive
        self._subscriptions = subscriptions
        self._on_restored = on_restored
        self._on_silent = on_silent
        self._on_current = on_current
        self._timeout = 1.0  # seconds for a first attempt
        self._retry = Retry(random)
        self._silent = 0  # attempts in a row that had no answer
        self._target: Target | None = None  # where the client is …
        self._since = self._loop.now()  # … or since when what is there may have to be declared again
        self._current: _Opened | None = None
        self._next: _Opened | None = None
        self._retired: list[_Opened] = []
        self._pause: Timer | None = None
        self._is_over = False
        self.is_wanted = False

    def has_to_move(self, target: Target) -> bool:
        """Whether there is to be another connection, to ``target``, before everything goes over it."""
        return not self._is_at(target) and not self._stays

    def _is_at(self, target: Target) -> bool:
        return self._current is not None and self._current.target.address == target.address

    @property
    def _stays(self) -> bool:
        """Whether so many moves have not ended yet that there is no other, from what works."""
        return self._current is not None and len(self._retired) >= MOST_RETIRED

    @property
    def connection(self) -> Connection | None:
        """The one that is there."""
        return None if self._current is None else self._current.connection

    def want(self) -> None:
        """Something is to go over it, now or later."""
        if not self.is_wanted:
            self.is_wanted = True
            self._tend()

    # -- following the client

    def follow(self, target: Target, timeout: float) -> None:
        """The client is at ``target`` now, which it had ``timeout`` seconds to reach."""
        self._timeout = timeout
        if self._target is None or self._target.address != target.address:
            self._retry.worked()
            self._silent, self._since = 0, self._loop.now()
            self._stop_waiting()
        self._target = target
        self._tend()

    def wait(self) -> None:
        """The client is nowhere at the moment. What works goes on; what is lost waits for :meth:`follow`."""
        self._target = None

    def leave(self, target: Target) -> None:
        """The client has been told that the broker of ``target`` takes nothing."""
        self._target = None
        self._drop(lambda one: one.target.address == target.address)

    def view(self, targets: Targets) -> None:
        """The group has changed: nothing is waited for of a broker that is declared dead."""
        self._drop(lambda one: targets.declares_dead(one.target))

    def unanswered(self, connection: Connection) -> None:
        """A consumer has no answer on ``connection``, on channel after channel. If there is no other consumer
        on it, it may be the member that does not answer; else it is the queue."""
        current, target = self._current, self._target
        if current is None or current.connection is not connection or target is None:
            return
        if self._is_at(target) and not self._subscriptions.any_active:
            self._on_silent()

    def look(self) -> None:
        """Somebody has nothing more to say on a connection that was left: close what was waiting for that."""
        for one in list(self._retired):
            if not self._subscriptions.hold(one.connection):
                self._part(one)

    # -- the end

    def close(self) -> None:
        """Close all of them in an orderly way."""
        for one in self._take_all():
            one.connection.close()

    def abandon(self) -> None:
        """Give all of them up after the loop has failed, which may have left them in any state."""
        for one in self._take_all():
            abandon(one.connection, one.target)

    def _take_all(self) -> list[_Opened]:
        self._is_over = True
        self._stop_waiting()
        known = [one for one in (self._next, self._current, *self._retired) if one is not None]
        self._next = self._current = None
        self._retired.clear()
        return known

    # -- one connection after the other

    def _tend(self) -> None:
        """Open what is missing; what nobody wants any more is dropped."""
        target = self._target
        if target is None or not self.is_wanted or self._is_over:
            return
        if self._next is not None:
            if self._next.target.address == target.address and not self._is_at(target):
                return
            superseded, self._next = self._next, None
            superseded.connection.abort()
        if self.has_to_move(target) and self._pause is None:
            self._open(target)

    def _open(self, target: Target) -> None:
        timeout = self._patience
        connection = self._transport.connect(
            target.address,
            self._access,
            timeout=timeout,
            on_open=lambda: self._opened(opened),
            on_lost=lambda lost: self._lost(opened, lost),
            on_blocked=lambda _why: None,  # it does not publish
        )
        opened = self._next = _Opened(target, connection, self._loop.now())

    @property
    def _patience(self) -> float:
        """Seconds for the next attempt."""
        return self._timeout * doubled(1.0, self._silent, MOST_PATIENCE)

    def _opened(self, opened: _Opened) -> None:
        before, self._current, self._next = self._current, opened, None
        opened.since = self._loop.now()
        self._silent = 0
        self._declarer.attach(opened.connection, self._on_restored)
        self._subscriptions.attach(opened.connection, opened.target.member, self._since)
        self._on_current()
        if before is not None:
            self._retire(before)

    def _retire(self, one: _Opened) -> None:
        self._retired.append(one)
        self.look()
        if one in self._retired:
            patience = RETIRE_PATIENCE if self._declarer.has_entities else DRAIN_PATIENCE
            self._loop.call_later(patience, lambda: self._part(one))

    def _part(self, one: _Opened) -> None:
        if one in self._retired:
            self._retired.remove(one)
            self._subscriptions.let_go(one.connection)
            one.connection.close()
            self._left()

    def _lost(self, one: _Opened, lost: ConnectionLost) -> None:
        if one in self._retired:
            self._retired.remove(one)
            self._left()
            return
        self._declarations.ended(one.connection, lost)
        self._subscriptions.ended(one.connection, lost)
        now = self._loop.now()
        log.info("the connection of consumers to %s: %s", one.target.member, lost.why)
        if one is self._current:
            self._current, self._since = None, now
            if now - one.since >= SETTLED:
                self._retry.worked()
            self._detach()
        elif one is self._next:
            self._next = None
            self._silent += now - one.since >= self._patience
            self._on_restored()  # publishing is not to wait for it
            if self._silent >= SILENCES:
                self._on_silent()
        self._wait(self._retry.failed())

    def _detach(self) -> None:
        self._declarer.detach()
        self._subscriptions.detach()
        self._on_current()

    def _left(self) -> None:
        """A connection that had been left is closed: what it has locked is free, what is unanswered on it is
        back in its queue, and the client may be elsewhere by now."""
        self._declarer.hurry()
        self._subscriptions.look()
        self._tend()

    def _wait(self, seconds: float) -> None:
        def due() -> None:
            self._pause = None
            self._tend()

        if self._pause is None and not self._is_over:
            self._pause = self._loop.call_later(seconds, due)

    def _stop_waiting(self) -> None:
        if self._pause is not None:
            self._loop.cancel(self._pause)
            self._pause = None

    def _drop(self, is_dead: Callable[[_Opened], bool]) -> None:
        """Give those up that nobody is to wait for."""
        for one in [one for one in self._retired if is_dead(one)]:
            self._retired.remove(one)
            one.connection.abort()
            self._left()
        if self._next is not None and is_dead(self._next):
            self._next.connection.abort()
            self._next = None
            self._wait(self._retry.failed())
        if self._current is not None and is_dead(self._current):
            self._current.connection.abort()
            self._current = None
            self._detach()
            self._wait(self._retry.failed())
