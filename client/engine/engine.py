"""The engine: the client's one I/O thread, and everything that lives on it.

It does what the switch orders: opens links, makes one the current, leaves the old. The publisher, the
declarer and the subscriptions are handed the current link and taken off it. Other threads hand work over
with :meth:`post`, through a deque and one wake-up a burst; they never touch a link.

An error that nobody expected ends the client with that error: everything waiting is answered, nothing hangs.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from rabbitkeeper.client.amqp.call_queue import Work
from rabbitkeeper.client.amqp.transport import FRAME_MAX, Access, Connection, ConnectionLost, Timer, Transport
from rabbitkeeper.client.consume.subscription import Subscription, Surroundings
from rabbitkeeper.client.declare.declarer import Declarer
from rabbitkeeper.client.engine.connections import Line, Lines
from rabbitkeeper.client.engine.drain import Drain
from rabbitkeeper.client.engine.migration import HandOver
from rabbitkeeper.client.engine.stopping import Stopping
from rabbitkeeper.client.model.errors import Closed, NotAuthorized, RabbitKeeperError
from rabbitkeeper.client.model.events import (
    ClientClosed,
    Connected,
    Disconnected,
    Event,
    LeaderChanged,
    PublishersBlocked,
    PublishersUnblocked,
    Switched,
)
from rabbitkeeper.client.model.status import LastSwitch, Unconfirmed
from rabbitkeeper.client.model.topology import Entity, Topology
from rabbitkeeper.client.publish.future import Futures, PublishFuture
from rabbitkeeper.client.publish.ledger import Outcome, Settled
from rabbitkeeper.client.publish.publisher import Publisher
from rabbitkeeper.client.routing.placement import Placement, Spread, Target, Targets
from rabbitkeeper.client.routing.switch import Abort, Open, Order, Phase, Promote, Switch

log = logging.getLogger(__name__)

CHECK_AFTER_SWITCH = 2.0  # seconds until what should consume is compared with what does …
CHECK = 5.0  # … and again each so many seconds


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where the client is, at one moment. Times are seconds, monotonic."""

    phase: Phase
    since: float
    target: Target | None
    epoch: int
    leader: Target | None
    unconfirmed: int
    blocked: str | None
    last_switch: LastSwitch | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Consuming:
    """How it is with the consumers, at one moment."""

    active: int  # consumers that a broker has taken on
    wanted: int  # consumers that should be
    in_hand: int  # messages delivered and not answered


class Engine:
    """The I/O thread.

    Args:
        transport: where connections come from; with its loop, which is the engine's.
        access: how to get into a broker.
        name: of the thread.
        random: for jitter and spreading.
        spread, site: where to connect to; see :mod:`placement`.
        emit: takes events.
    """

    def __init__(
        self,
        transport: Transport,
        access: Access,
        *,
        name: str,
        random: Random,
        spread: Spread,
        site: str | None,
        emit: Callable[[Event], None],
    ) -> None:
        self._emit = emit
        self._random = random
        self._loop = transport.loop
        self._handed_over: deque[PublishFuture] = deque()
        self._work = Work(self._loop.call_soon_threadsafe, before=self._take_over, after=self._worked)
        self.post = self._work.post
        now = self._loop.now()
        self._switch = Switch(now, random, Placement(spread, site, random, now))
        self._topology = Topology()
        self._publisher = Publisher(
            self._loop.now,
            self._loop.call_later,
            lambda: self._lines.renew_publishing(self._current),
        )
        self._lines = Lines(
            transport,
            access,
            self._publisher,
            on_ready=lambda number: self._obey(self._switch.ready(number, self._loop.now())),
            on_lost=self._link_lost,
            holds=self._holds,
            on_left=lambda: self._declarer.hurry(),
            on_blocked=self._blocked,
        )
        self._declarer = Declarer(
            self._topology,
            now=self._loop.now,
            call_later=self._loop.call_later,
            random=random,
            emit=emit,
            on_queue=self._hurry_consumers,
        )
        self._around = Surroundings(
            post=self.post,
            call_later=self._loop.call_later,
            now=self._loop.now,
            emit=emit,
            resolve=self._topology.resolve,
            is_pending=self._declarer.is_pending,
            random=random,
        )
        self._subscriptions: list[Subscription] = []
        self._check_at = float("inf")
        self._went_over_at = 0.0  # seconds, monotonic: since when the current link is that
        self._lost_line: Line | None = None  # the last one that everything went over, while there is none
        self._last_switch: LastSwitch | None = None
        self._current: int | None = None  # the link that everything goes over; lags behind the switch's
        self._timer: Timer | None = None
        self._timer_at = float("inf")
        self._last_error = "no broker is known"
        self._ended = False
        self._is_over = False  # the thread takes nothing any more
        self.frame_max = FRAME_MAX  # bytes; of the current link
        self.live = threading.Event()  # has been live at least once, or has failed
        self.failure: RabbitKeeperError | None = None
        self.snapshot = self._snapshot()
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)

    # -- from any thread

    def answers_to(self, futures: Futures) -> None:
        """Who is told what became of publishes; once, before the start."""
        self._futures = self._publisher.answers = futures
        futures.call_later = self._loop.call_later

    def start(self) -> None:
        self.thread.start()

    def view(self, targets: Targets) -> None:
        """The group has changed."""
        self.post(lambda: self._viewed(targets))

    def publish(self, entries: Iterable[PublishFuture]) -> None:
        """Hand messages over; their futures end in any case."""
        self._handed_over.extend(entries)
        self._work.wake()
        if self._is_over:
            self._refuse_handed_over()

    def withdraw(self, entry: PublishFuture) -> None:
        """A future was cancelled before its message was sent."""
        self.post(lambda: self._publisher.ledger.withdraw(entry))

    def declare(self, entity: Entity, timeout: float) -> Future[None]:
        """Declare ``entity`` within ``timeout`` seconds."""
        result: Future[None] = Future()

        def start() -> None:
            if self._ended:
                result.set_exception(self.ending())
                return
            inner = self._declarer.declare(entity, self._loop.now() + timeout)
            inner.add_done_callback(lambda done: _copy(done, result))
            self._schedule()

        self.post(start)
        return result

    def subscribe(self, queue: str, prefetch: int, dedupe: int) -> Subscription:
        """Consume from ``queue`` from now on; see :class:`Subscription`."""
        subscription = Subscription(queue, prefetch, dedupe, self._around)

        def start() -> None:
            if self._ended:
                subscription.end(self.failure)
                return
            self._subscriptions.append(subscription)
            self._check_soon()
            line = self._lines.get(self._current)
            if line is not None:
                subscription.attach(line.link, line.target.member, self._went_over_at)

        self.post(start)
        return subscription

    def finish(self, subscription: Subscription, deadline: float) -> int:
        """Stop ``subscription`` and wait for answers to what is in hand; how many are missing then.

        Called on another thread; waits until ``deadline`` (seconds, monotonic).
        """
        stopping = Stopping(
            self._loop, subscription, deadline, is_over=lambda: self._ended, remove=self._remove
        )
        self.post(stopping.begin)
        return stopping.wait()

    def drop(self, subscription: Subscription) -> None:
        """End ``subscription``; what is unanswered goes back to its queue."""
        self.post(lambda: self._remove(subscription))

    def _remove(self, subscription: Subscription) -> None:
        subscription.cancel()
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    @property
    def consuming(self) -> Consuming:
        """How it is with the consumers at this moment. From any thread."""
        subscriptions = list(self._subscriptions)
        return Consuming(
            active=sum(subscription.active for subscription in subscriptions),
            wanted=sum(subscription.is_wanted for subscription in subscriptions),
            in_hand=sum(subscription.in_hand for subscription in subscriptions),
        )

    def queue_name(self, queue: str) -> str:
        """The broker's name of ``queue``, as last declared."""
        return self._topology.resolve(queue)

    def ending(self) -> RabbitKeeperError:
        """Why the client takes nothing any more."""
        return self.failure if self.failure is not None else Closed("the client is closed")

    def drain(self, deadline: float) -> list[Unconfirmed]:
        """Wait until everything has an outcome, or ``deadline`` (seconds, monotonic); what has none then.

        Called on another thread. Consumers get no more messages meanwhile.
        """
        drain = Drain(
            self._loop,
            self._publisher.ledger,
            deadline,
            is_over=lambda: self._ended,
            end=lambda: self._end(self.failure),
        )
        self.post(drain.look)
        return drain.wait()

    def close(self) -> None:
        """End everything; what is unconfirmed is settled as closed. Returns at once; join the thread."""
        self.post(lambda: self._end(None))

    def _holds(self, link: Connection) -> bool:
        return any(subscription.holds(link) for subscription in self._subscriptions)

    # -- the thread

    def run(self) -> None:
        """The thread's life: until :meth:`close`, or an error that nobody expected."""
        self._futures.io_thread = threading.get_ident()
        try:
            self._loop.run()
        except BaseException as error:
            log.exception("the client's I/O thread failed; the client is closed")
            self.failure = RabbitKeeperError(f"the client failed: {error!r}")
            self._abandon()
        finally:
            self._is_over = True
            self._futures.loop_is_over()
            self._refuse_handed_over()
            self.live.set()

    def _take_over(self) -> None:
        """What other threads have handed over until now, in its order."""
        handed_over = self._handed_over
        self._publisher.add([handed_over.popleft() for _ in range(len(handed_over))])
        if self._ended:
            self._publisher.close()

    def _refuse_handed_over(self) -> None:
        """What was handed over when the thread was at its end already. Called on any thread."""
        while self._handed_over:
            with suppress(IndexError):  # another thread does the same
                self._futures.settle([Settled(self._handed_over.popleft(), Outcome.CLOSED)])

    def _worked(self) -> None:
        self._publisher.pump()
        self._schedule()

    def _viewed(self, targets: Targets) -> None:
        known = self._switch.targets
        if self._leader_of(targets) != self._leader_of(known) and known.members:
            self._emit(LeaderChanged(self._leader_of(targets), targets.epoch))
        if known.members and (targets.epoch, targets.members) != (known.epoch, known.members):
            self._publisher.trouble()
        self._obey(self._switch.view(targets, self._loop.now()))

    @staticmethod
    def _leader_of(targets: Targets) -> str | None:
        return None if targets.leader is None else targets.leader.member

    # -- obeying the switch

    def _obey(self, orders: list[Order]) -> None:
        for order in orders:
            match order:
                case Open():
                    log.debug(
                        "connecting to %s at %s: %s", order.target.member, order.target.address, order.why
                    )
                    self._lines.open(order.link, order.target)
                case Promote():
                    self._promote(order)
                case Abort():
                    log.info("link to broker dropped: %s", order.why)
                    self._drop(order)
        self._schedule()

    def _promote(self, order: Promote) -> None:
        self._last_error = ""
        log.info("connected to %s at %s", order.target.member, order.target.address)
        retire = self._current  # may be older than the one that the switch means, if a move was cut short
        if retire is None or order.urgent:
            self._switch_to(order.link, retire)
        else:
            move = HandOver(
                self._loop,
                self._lines,
                self._publisher,
                new=order.link,
                old=retire,
                is_old_current=lambda old: self._current == old,
                move=self._move_to,
            )
            self._declarer.attach(self._lines[order.link].link, move.begin)

    def _switch_to(self, number: int, retire: int | None) -> None:
        """Everything goes over link ``number`` from now on; the topology is declared on the way."""
        if self._switch.lost_at is not None:
            self._publisher.trouble()
        self._publisher.restoring(active=True)
        self._declarer.attach(self._lines[number].link, self._restored)
        self._go_over(number)
        if retire is not None:
            self._lines.retire(retire)
        self.live.set()

    def _restored(self) -> None:
        self._publisher.restoring(active=False)
        self._hurry_consumers()

    def _hurry_consumers(self, queue: str | None = None) -> None:
        """What they wait for may be there now. ``queue``: those of this one alone."""
        for subscription in self._subscriptions:
            if queue in (None, subscription.queue_name):
                subscription.hurry()

    def _go_over(self, number: int) -> None:
        line = self._lines[number]
        self._tell_of_switch(line)
        self._current = number
        self._went_over_at = self._loop.now()
        self._lines.forget_renewals()
        self._publisher.blocked = None
        self.frame_max = line.link.frame_max
        if line.publishing is not None:
            self._publisher.attach(line.publishing)
        for subscription in self._subscriptions:
            subscription.attach(line.link, line.target.member, self._went_over_at)
        self._check_soon()

    def _tell_of_switch(self, line: Line) -> None:
        """Everything goes over ``line`` in a moment."""
        old, planned = self._lines.get(self._current), True
        if old is None:
            old, planned = self._lost_line, False
        target, epoch = line.target, self._switch.targets.epoch
        self._lost_line = None
        if old is None:
            self._emit(Connected(target.member, target.address, epoch))
            return
        lost_at = self._switch.lost_at
        gap = 0.0 if planned or lost_at is None else self._loop.now() - lost_at
        self._last_switch = LastSwitch(old.target.member, target.member, time.time(), planned, gap)
        self._emit(Switched(target.member, target.address, old.target.member, epoch, planned, gap))

    def _check_soon(self) -> None:
        self._check_at = min(self._check_at, self._loop.now() + CHECK_AFTER_SWITCH)

    def _check(self) -> None:
        """Compare what should consume with what does."""
        if self._loop.now() < self._check_at:
            return
        for subscription in self._subscriptions:
            subscription.check()
        self._check_at = self._loop.now() + CHECK if self._subscriptions else float("inf")

    def _move_to(self, number: int, retire: int) -> None:
        self._go_over(number)
        self._lines.retire(retire)
        self._schedule()

    # -- what links report

    def _link_lost(self, number: int, line: Line, lost: ConnectionLost) -> None:
        self._last_error = f"{line.target.member} at {line.target.address}: {lost.why}"
        if lost.refused and self._switch.phase is Phase.CONNECTING:
            self._end(NotAuthorized(f"{self._last_error}; check the credentials and the virtual host"))
            return
        if number == self._current:
            log.warning("lost the broker %s", self._last_error)
            self._leave_current(line, lost.why)
        else:
            log.debug("link not usable: %s", self._last_error)
        self._obey(self._switch.failed(number, self._loop.now()))
        self._finish_cut_move()

    def _finish_cut_move(self) -> None:
        """The old link was lost while the client was about to move to one that is open already."""
        chosen = self._switch.current
        if self._current is None and chosen is not None and chosen[0] in self._lines:
            self._switch_to(chosen[0], retire=None)

    def _drop(self, order: Abort) -> None:
        line = self._lines.get(order.link)
        self._lines.drop(order.link)
        if order.link == self._current and line is not None:
            self._last_error = f"{line.target.member} at {line.target.address}: {order.why}"
            self._leave_current(line, order.why)

    def _leave_current(self, line: Line, why: str) -> None:
        self._current = None
        self._lost_line = line
        self._emit(Disconnected(line.target.member, line.target.address, why))
        self._publisher.trouble()
        self._publisher.blocked = None
        self._publisher.detach()
        self._declarer.detach()
        for subscription in self._subscriptions:
            subscription.detach()

    def _blocked(self, number: int, why: str | None) -> None:
        if number == self._current:
            member = self._lines[number].target.member
            log.warning("the broker blocks publishers: %s", why) if why else log.info("publishers go on")
            self._emit(PublishersBlocked(member, why) if why else PublishersUnblocked(member))
            self._publisher.blocked = why
            self._publisher.pump()
            self._schedule()

    # -- time

    def _schedule(self) -> None:
        """One timer for all deadlines; also the moment to show where the client is."""
        self.snapshot = self._snapshot()
        if self._ended:
            return
        now = self._loop.now()
        due = min(
            self._switch.wake_at(now),
            self._publisher.ledger.earliest_deadline,
            self._declarer.earliest_deadline,
            self._check_at,
        )
        if self._timer is not None and self._timer_at <= due:
            return  # it is early enough, and will look again
        if self._timer is not None:
            self._loop.cancel(self._timer)
            self._timer = None
        if due < float("inf"):
            self._timer_at = due
            self._timer = self._loop.call_later(due - now, self._tick)

    def _tick(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        self._publisher.expire()
        self._declarer.expire()
        self._check()
        self._obey(self._switch.tick(self._loop.now()))

    def _snapshot(self) -> Snapshot:
        line = self._lines.get(self._current)
        return Snapshot(
            phase=self._switch.phase,
            since=self._switch.since,
            target=None if line is None else line.target,
            epoch=self._switch.targets.epoch,
            leader=self._switch.targets.leader,
            unconfirmed=len(self._publisher.ledger),
            blocked=self._publisher.blocked,
            last_switch=self._last_switch,
            error=self._last_error or None,
        )

    # -- the end

    def _end(self, failure: RabbitKeeperError | None) -> None:
        if self._ended:
            return
        self._ended = True
        self.failure = failure
        self._switch.close()
        self._settle_all()
        self._lines.close()
        self._emit(ClientClosed(None if failure is None else str(failure)))
        self._current = None
        self.snapshot = self._snapshot()
        self.live.set()
        # long enough for the closing handshakes, which drop their sockets by themselves
        self._loop.call_later(0.0 if failure else 0.05, self._stop_when_idle)

    def _stop_when_idle(self) -> None:
        self._loop.stop()

    def _settle_all(self) -> None:
        self._publisher.close()
        self._declarer.close(self.ending())
        for subscription in self._subscriptions:
            subscription.flush()
            subscription.end(self.failure)
        self._subscriptions.clear()

    def _abandon(self) -> None:
        """After the loop has failed: settle what can be settled without it."""
        self._ended = True
        self._switch.close()
        self._take_over()
        self._work.finish()
        self._settle_all()


def _copy(done: Future[None], to: Future[None]) -> None:
    error = done.exception()
    if error is None:
        to.set_result(None)
    else:
        to.set_exception(error)
