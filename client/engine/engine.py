"""The engine: the client's one I/O thread, and the way onto it for all other threads.

Other threads hand calls and messages over, through a deque and one wake-up a burst; they never touch a
connection. What happens on the thread is for its parts: the switch decides where the client is, the executor
moves it there, publisher, declarer and subscriptions do their work wherever that is. The engine has their
deadlines, one timer for all of them, and their end.

An error that nobody expected ends the client with that error: everything waiting is answered, nothing hangs.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from random import Random

from rabbitkeeper.client.amqp.call_queue import CallQueue
from rabbitkeeper.client.amqp.transport import FRAME_MAX, Access, Connection, Timer, Transport
from rabbitkeeper.client.consume.context import SubscriptionContext
from rabbitkeeper.client.consume.stream import Offset
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.declare.declarations import Declarations, end_all
from rabbitkeeper.client.declare.declarer import Declarer
from rabbitkeeper.client.declare.transient_queues import TransientQueues
from rabbitkeeper.client.engine.drain import Drain
from rabbitkeeper.client.engine.executor import SwitchExecutor
from rabbitkeeper.client.engine.getting import Getting
from rabbitkeeper.client.engine.snapshot import Snapshot, snapshot_of
from rabbitkeeper.client.engine.stopping import Stopping
from rabbitkeeper.client.engine.subscriptions import ConsumerCounts, Subscriptions
from rabbitkeeper.client.model.consumer_options import DEFAULT, ConsumerOptions
from rabbitkeeper.client.model.errors import Closed, RabbitKeeperError
from rabbitkeeper.client.model.events import ClientClosed, Event
from rabbitkeeper.client.model.requests import Request
from rabbitkeeper.client.model.status import Unconfirmed
from rabbitkeeper.client.model.topology import Entity, Topology
from rabbitkeeper.client.process import this as process
from rabbitkeeper.client.publish.entry import Outcome, Settled
from rabbitkeeper.client.publish.future import Futures, PublishFuture
from rabbitkeeper.client.publish.publisher import Publisher
from rabbitkeeper.client.routing.placement import Targets
from rabbitkeeper.client.routing.switch import Phase, Switch

log = logging.getLogger(__name__)

CLOSING = 0.05  # seconds for the closing handshakes, which drop their sockets by themselves


class Engine:
    """Put together by :func:`assembly.assemble`.

    Args:
        transport: where connections come from; with its loop and clock, which are the engine's.
        access: how to get into a broker.
        switch: decides where to be.
        name: of the thread.
        random: for jitter.
        emit: takes events.
    """

    def __init__(
        self,
        transport: Transport,
        access: Access,
        switch: Switch,
        *,
        name: str,
        random: Random,
        emit: Callable[[Event], None],
    ) -> None:
        loop = transport.loop
        self._loop = loop
        self._switch = switch
        self._emit = emit
        self._handed_over: deque[PublishFuture] = deque()
        self._calls = CallQueue(loop.call_soon_threadsafe, before=self._take_over, after=self._worked)
        self.topology = Topology()  # what is declared, to be read from any thread
        self._declaring: set[Future[int]] = set()  # what users wait for
        self._publisher: Publisher[PublishFuture] = Publisher(
            loop.now,
            loop.call_later,
            lambda: self._executor.renew_publishing(),
            lambda: self._executor.doubt(),
            lambda exchange: self._declarations.declare_exchange_again(exchange),
        )
        self._subscriptions = Subscriptions(loop.now, loop.call_later)
        self._declarations = Declarations(
            lambda selects: Declarer(
                self.topology,
                now=loop.now,
                call_later=loop.call_later,
                random=random,
                emit=emit,
                on_queue=self._subscriptions.hurry,
                selects=selects,
            ),
            lambda: self._executor.consuming.want(),
        )
        self._executor = SwitchExecutor(
            transport,
            access,
            switch=switch,
            publisher=self._publisher,
            declarations=self._declarations,
            transient=TransientQueues(self.topology, loop.call_later, self._declarations.shared.declare_anew),
            subscriptions=self._subscriptions,
            random=random,
            emit=emit,
            on_promoted=self._promoted,
            on_change=self._schedule,
            on_refused=self._end,
        )
        self._context = SubscriptionContext(
            post=self.post,
            call_later=loop.call_later,
            now=loop.now,
            emit=emit,
            resolve=self.topology.resolve,
            is_pending=self._declarations.is_pending,
            declared=self.topology.queue,
            declare_again=self._declarations.declare_again,
            on_left=self._executor.consuming.look,
            on_silent=self._executor.consuming.unanswered,
            random=random,
        )
        self.getting = Getting(loop, self._context, self._executor.consuming.want)
        self._subscriptions.followers.append(self.getting)
        self._timer: Timer | None = None
        self._timer_at = float("inf")
        self._ended = False
        self._pid = process.pid
        self._is_over = False  # the thread takes nothing any more
        self.frame_max = FRAME_MAX  # bytes; of the current connection
        self.broker_version = (0, 0)  # at its other end, as (4, 3)
        self.live = threading.Event()  # has been live at least once, or has failed
        self.failure: RabbitKeeperError | None = None
        self.snapshot = self._snapshot()
        self.thread = loop.thread(self, name)

    # -- from any thread

    def post(self, call: Callable[[], None]) -> None:
        """Have ``call`` made soon, on the I/O thread; after its end at once. Not in a forked child."""
        if process.pid == self._pid:  # else the loop is the parent's
            self._calls.post(call)
            if self._is_over:
                self._calls.finish()

    def report_to(self, futures: Futures) -> None:
        """Who is told what became of publishes; once, before the start."""
        self._futures = self._publisher.sink = futures
        futures.call_later = self._loop.call_later

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def view(self, targets: Targets) -> None:
        """The group has changed."""
        self.post(lambda: self._executor.view(targets))

    def publish(self, entries: Iterable[PublishFuture]) -> None:
        """Hand messages over; their futures end in any case."""
        self._handed_over.extend(entries)
        self._calls.wake()
        if self._is_over:
            self._refuse_handed_over()

    def withdraw(self, entry: PublishFuture) -> None:
        """A future was cancelled before its message was sent."""
        self.post(lambda: self._publisher.ledger.withdraw(entry))

    def declare(self, entity: Entity | Request, timeout: float) -> Future[int]:
        """Declare ``entity``, or do what else is asked, within ``timeout`` seconds."""
        result: Future[int] = Future()
        self._declaring.add(result)
        result.add_done_callback(self._declaring.discard)

        def start() -> None:
            if self._ended:
                result.set_exception(self.ending())
                return
            self._declarations.declare(entity, self._loop.now() + timeout, result)
            self._executor.look_at_declarations()
            self._schedule()

        self.post(start)
        return result

    def subscribe(
        self,
        queue: str,
        prefetch: int,
        dedupe: int,
        offset: Offset | None = None,
        options: ConsumerOptions = DEFAULT,
    ) -> Subscription:
        """Consume from ``queue`` from now on; see :class:`Subscription`."""
        subscription = Subscription(queue, prefetch, dedupe, self._context, offset, options)

        def start() -> None:
            if self._ended:
                subscription.end(self.failure)
                return
            self._subscriptions.add(subscription)
            self._executor.consuming.want()
            self._schedule()

        self.post(start)
        return subscription

    def finish(self, subscription: Subscription, deadline: float) -> Future[int]:
        """Stop ``subscription`` and wait for answers to what is in hand, until ``deadline`` (seconds,
        monotonic); how many are missing then."""
        result: Future[int] = Future()

        def start() -> None:
            if self._ended:
                result.set_result(subscription.in_hand)
                return
            Stopping(
                self._loop, subscription, deadline, remove=self._subscriptions.remove, result=result
            ).begin()

        self.post(start)
        return result

    def drop(self, subscription: Subscription) -> None:
        """End ``subscription``; what is unanswered goes back to its queue."""
        self.post(lambda: self._subscriptions.remove(subscription))

    @property
    def consumers(self) -> ConsumerCounts:
        """How it is with the consumers at this moment."""
        return self._subscriptions.counts

    def ending(self) -> RabbitKeeperError:
        """Why the client takes nothing any more."""
        return self.failure if self.failure is not None else Closed("the client is closed")

    def drain(self, deadline: float) -> Future[list[Unconfirmed]]:
        """Wait until everything has an outcome, or ``deadline`` (seconds, monotonic), then end everything;
        what had no outcome. Consumers go on meanwhile."""
        result: Future[list[Unconfirmed]] = Future()

        def start() -> None:
            if self._ended:
                result.set_result([])
                return
            Drain(
                self._loop, self._publisher, deadline, end=lambda: self._end(self.failure), result=result
            ).begin()

        self.post(start)
        return result

    def close(self) -> None:
        """End everything; what is unconfirmed is settled as closed. Returns at once; join the thread."""
        self.post(lambda: self._end(None))

    # -- the thread

    def run(self) -> None:
        """The life of a thread of its own: until :meth:`close`, or an error that nobody expected."""
        self.begin()
        failed: BaseException | None = None
        try:
            self._loop.run()
        except BaseException as error:
            log.exception("the client's I/O thread failed; the client is closed")
            failed = error
        self.over(failed)

    def begin(self) -> None:
        """See :class:`transport.Hosted`."""
        self._futures.io_thread = threading.get_ident()

    def over(self, error: BaseException | None) -> None:
        """See :class:`transport.Hosted`."""
        try:
            if error is not None:
                self.failure = RabbitKeeperError(f"the client failed: {error!r}")
                self._abandon()
        finally:
            self._is_over = True
            for part in (self._loop.release, self._futures.loop_is_over, self._refuse_handed_over):
                _attempt(part)
            self._calls.finish()
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

    def _promoted(self, connection: Connection) -> None:
        self.frame_max, self.broker_version = connection.frame_max, connection.version
        self.snapshot = self._snapshot()  # before those who wait for it look
        self.live.set()

    # -- time

    def _schedule(self) -> None:
        """One timer for all deadlines; also the moment to show where the client is."""
        if self._ended:
            return
        self.snapshot = self._snapshot()
        due = min(
            self._switch.wake_at(self._loop.now()),
            self._publisher.ledger.earliest_deadline,
            self._declarations.earliest_deadline,
            self._subscriptions.check_at,
        )
        if self._timer is not None and self._timer_at <= due:
            return  # it is early enough, and will look again
        if self._timer is not None:
            self._loop.cancel(self._timer)
            self._timer = None
        if due < float("inf"):
            self._timer_at = due
            self._timer = self._loop.call_later(due - self._loop.now(), self._tick)

    def _tick(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        self._publisher.expire()
        self._declarations.expire()
        self._subscriptions.check()
        self._executor.tick()

    def _snapshot(self) -> Snapshot:
        return snapshot_of(self._switch, self._executor, self._publisher.blocked)

    # -- the end

    def _end(self, failure: RabbitKeeperError | None) -> None:
        if self._ended:
            return
        self._ended = True
        self.failure = failure
        self._switch.close()  # before the rest: a move that waits for the last answers must not be made now
        self._publisher.close()
        self._declarations.close(self.ending())
        self._subscriptions.end(self.failure)
        self._executor.close()
        self._emit(ClientClosed(None if failure is None else str(failure)))
        self.snapshot = self._snapshot()
        self.live.set()
        self._loop.call_later(0.0 if failure else CLOSING, self._loop.stop)

    def _abandon(self) -> None:
        """After the loop has failed, which may have left any part in any state: settle everything, whatever
        fails meanwhile, and show it."""
        was_ended, self._ended = self._ended, True
        ending = self.ending()
        self.snapshot = replace(
            self.snapshot, phase=Phase.CLOSED, target=None, blocked=None, error=str(ending)
        )
        unsettled = [*self._publisher.ledger, *self._handed_over]
        parts: list[Callable[[], object]] = [
            self._executor.abandon,
            self._take_over,
            self._publisher.close,
            lambda: self._declarations.close(ending),
            self._calls.finish,
            lambda: self._futures.abandon(unsettled, ending),
        ]
        parts += [partial(one.end, ending) for one in self._subscriptions.abandon()]
        parts.append(lambda: end_all(list(self._declaring), ending))
        for part in parts:
            _attempt(part)
        if not was_ended:
            self._emit(ClientClosed(str(ending)))


def _attempt(part: Callable[[], object]) -> None:
    """The rest is ended in any case."""
    try:
        part()
    except BaseException:
        log.exception("a part of the client could not be ended")
