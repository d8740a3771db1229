"""The engine: the client's one I/O thread, and everything that lives on it.

It does what the switch orders: opens links, makes one the current, leaves the old. The publisher, the
declarer and the subscriptions are handed the current link and taken off it. Other threads hand work over
with :meth:`post`, through a deque and one wake-up a burst; they never touch a link.

An error that nobody expected ends the client with that error: everything waiting is answered, nothing hangs.
"""

import logging
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from random import Random
from typing import Any

from rabbitkeeper.client.declarer import Declarer
from rabbitkeeper.client.drain import Drain
from rabbitkeeper.client.errors import Closed, NotAuthorized, RabbitKeeperError
from rabbitkeeper.client.handover import HandOver
from rabbitkeeper.client.ledger import Entry
from rabbitkeeper.client.lines import Line, Lines
from rabbitkeeper.client.publisher import Publisher
from rabbitkeeper.client.status import Unconfirmed
from rabbitkeeper.client.subscription import Subscription
from rabbitkeeper.client.switch import Abort, Open, Order, Phase, Promote, Switch, Target, Targets
from rabbitkeeper.client.topology import Entity, Topology
from rabbitkeeper.client.wire import Access, LinkLost, Loop
from rabbitkeeper.client.work import Work

log = logging.getLogger(__name__)


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
    consumers: int
    error: str | None


class Engine:
    """The I/O thread.

    Args:
        access: how to get into a broker.
        name: of the thread.
        random: for jitter and spreading.
    """

    def __init__(self, access: Access, *, name: str, random: Random) -> None:
        self._random = random
        self._loop = Loop()
        self._work = Work(self._loop.call_soon_threadsafe, self._worked)
        self.post = self._work.post
        self._switch = Switch(self._loop.now(), random)
        self._topology = Topology()
        self._publisher = Publisher(
            self._loop.now, self._loop.call_later, lambda: self._lines.renew_publishing(self._current)
        )
        self._lines = Lines(
            self._loop,
            access,
            self._publisher,
            on_ready=lambda number: self._obey(self._switch.ready(number, self._loop.now())),
            on_lost=self._link_lost,
            on_blocked=self._blocked,
        )
        self._declarer = Declarer(
            self._topology, now=self._loop.now, call_later=self._loop.call_later, random=random
        )
        self._subscriptions: list[Subscription] = []
        self._current: int | None = None  # the link that everything goes over; lags behind the switch's
        self._timer: Any = None
        self._timer_at = float("inf")
        self._last_error = "no broker is known"
        self._ended = False
        self.live = threading.Event()  # has been live at least once, or has failed
        self.failure: RabbitKeeperError | None = None
        self.snapshot = self._snapshot()
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    # -- from any thread

    def start(self) -> None:
        self.thread.start()

    def view(self, targets: Targets) -> None:
        """The group has changed."""
        self.post(lambda: self._viewed(targets))

    def publish(self, entry: Entry) -> None:
        self.post(lambda: self._add(entry))

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

    def subscribe(self, queue: str, prefetch: int) -> Subscription:
        subscription = Subscription(
            queue,
            prefetch,
            post=self.post,
            call_later=self._loop.call_later,
            now=self._loop.now,
            random=self._random,
        )

        def start() -> None:
            if self._ended:
                subscription.end(self.failure)
                return
            self._subscriptions.append(subscription)
            line = self._lines.get(self._current)
            if line is not None:
                subscription.attach(line.link)

        self.post(start)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        def stop() -> None:
            subscription.cancel()
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

        self.post(stop)

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

    # -- the thread

    def _run(self) -> None:
        try:
            self._loop.run()
        except Exception as error:
            log.exception("the client's I/O thread failed; the client is closed")
            self.failure = RabbitKeeperError(f"the client failed: {error!r}")
            self._abandon()
        finally:
            self.live.set()

    def _worked(self) -> None:
        self._publisher.pump()
        self._schedule()

    def _viewed(self, targets: Targets) -> None:
        known = self._switch.targets
        if known.members and (targets.epoch, targets.members) != (known.epoch, known.members):
            self._publisher.trouble()
        self._obey(self._switch.view(targets, self._loop.now()))

    def _add(self, entry: Entry) -> None:
        self._publisher.add(entry)
        if self._ended:
            self._publisher.close()

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
                    self._drop(order.link)
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
        self._declarer.attach(self._lines[number].link, lambda: self._publisher.restoring(active=False))
        self._go_over(number)
        if retire is not None:
            self._lines.retire(retire)
        self.live.set()

    def _go_over(self, number: int) -> None:
        line = self._lines[number]
        self._current = number
        self._lines.forget_renewals()
        self._publisher.blocked = None
        if line.publishing is not None:
            self._publisher.attach(line.publishing)
        for subscription in self._subscriptions:
            subscription.attach(line.link)

    def _move_to(self, number: int, retire: int) -> None:
        self._go_over(number)
        self._lines.retire(retire)
        self._schedule()

    # -- what links report

    def _link_lost(self, number: int, line: Line, lost: LinkLost) -> None:
        self._last_error = f"{line.target.member} at {line.target.address}: {lost.why}"
        if lost.refused and self._switch.phase is Phase.CONNECTING:
            self._end(NotAuthorized(f"{self._last_error}; check the credentials and the virtual host"))
            return
        if number == self._current:
            log.warning("lost the broker %s", self._last_error)
            self._leave_current()
        else:
            log.debug("link not usable: %s", self._last_error)
        self._obey(self._switch.failed(number, self._loop.now()))
        self._finish_cut_move()

    def _finish_cut_move(self) -> None:
        """The old link was lost while the client was about to move to one that is open already."""
        chosen = self._switch.current
        if self._current is None and chosen is not None and chosen[0] in self._lines:
            self._switch_to(chosen[0], retire=None)

    def _drop(self, number: int) -> None:
        self._lines.drop(number)
        if number == self._current:
            self._leave_current()

    def _leave_current(self) -> None:
        self._current = None
        self._publisher.trouble()
        self._publisher.blocked = None
        self._publisher.detach()
        self._declarer.detach()
        for subscription in self._subscriptions:
            subscription.detach()

    def _blocked(self, number: int, why: str | None) -> None:
        if number == self._current:
            log.warning("the broker blocks publishers: %s", why) if why else log.info("publishers go on")
            self._publisher.blocked = why
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
            consumers=sum(subscription.active for subscription in self._subscriptions),
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
            subscription.end(self.failure)
        self._subscriptions.clear()

    def _abandon(self) -> None:
        """After the loop has failed: settle what can be settled without it."""
        self._ended = True
        self._switch.close()
        self._work.finish()
        self._settle_all()


def _copy(done: Future[None], to: Future[None]) -> None:
    error = done.exception()
    if error is None:
        to.set_result(None)
    else:
        to.set_exception(error)
