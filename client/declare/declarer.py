"""The declarer: declares what the user asks for, and everything again on each new connection.

One channel of its own. What a user asks for is declared by itself: a refusal closes the channel, and so it
is known whose it is. What is restored is sent in batches, of which the last one alone is answered; when
one is refused, its batch is sent again, one by one. What may pass (a queue still locked by the lost
connection, an exchange that another entry declares, a queue whose node restarts) is tried again with
growing pauses; what will not pass ends with an error for the user, or, while restoring, with an event. One
failure never stops the rest.

Some refusals end the connection (an exchange type that the broker does not know, 503; an internal error,
541). What was being declared then is told as refused, and left out from then on, until the user declares
it again: no connection is lost over it twice.

Restoring is over when each entity was declared, refused, or tried often enough; those that may yet pass,
such as an exclusive queue that the connection being left still holds, are tried again while this one lasts.

A declaration that is not answered in time is tried again on another channel, after the others (of a queue
that the broker names, the others go on on another channel). When that is while restoring, nobody waits for
the rest: a cluster with a hung node may answer none of them for a minute.
"""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from itertools import chain
from random import Random

from rabbitkeeper.client.amqp.transport import CallLater, Channel, ChannelLost, Connection, ConnectionLost
from rabbitkeeper.client.declare import refusals
from rabbitkeeper.client.declare.channel import DeclaringChannel
from rabbitkeeper.client.declare.jobs import AskedJobs, Job, Jobs, key_of_asked
from rabbitkeeper.client.declare.refusals import PASSING, RESTORE_ATTEMPTS, patience
from rabbitkeeper.client.declare.restoring import Restoring
from rabbitkeeper.client.model.errors import NotAuthorized, RabbitKeeperError, TopologyError
from rabbitkeeper.client.model.events import DeclarationFailed, Event, QueueRenamed
from rabbitkeeper.client.model.requests import DeleteEntity, Request, Unbind, describe_request
from rabbitkeeper.client.model.retry import Retry
from rabbitkeeper.client.model.topology import Entity, Queue, Topology, key_of
from rabbitkeeper.coordinator.model.reply_codes import ReplyCode

log = logging.getLogger(__name__)


class Declarer:
    """Everything is called on the I/O thread; times are seconds, monotonic.

    Args:
        on_queue: called with the name of each queue that was declared again.
        selects: which of the entities are its own.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        now: Callable[[], float],
        call_later: CallLater,
        random: Random,
        emit: Callable[[Event], None],
        on_queue: Callable[[str], None],
        selects: Callable[[Entity], bool] = lambda _: True,
    ) -> None:
        self._topology = topology
        self._on_queue = on_queue
        self._selects = selects
        self._emit = emit
        self._now = now
        self._call_later = call_later
        self._random = random
        self._connection: Connection | None = None
        self._is_blocked = False
        self._instead: Connection | None = None  # what declares while it is blocked
        self._channel = DeclaringChannel(
            now, call_later, random, on_ready=self._next, on_lost=self._lost, on_none=self._no_channel
        )
        self._active: list[Job] = []  # sent together; the last one is answered
        self._aside: dict[
            Channel, list[Job]
        ] = {}  # sent on channels that were left, and not to be asked again
        self._jobs = Jobs()
        self._asked = AskedJobs()
        self._ended: dict[tuple[object, ...], int] = {}  # connections over an entity, by its key
        self._left_out: set[tuple[object, ...]] = set()  # keys of entities that are not declared again
        self._restoring = Restoring()

    def attach(self, connection: Connection, on_restored: Callable[[], None]) -> None:
        """Declare everything again over ``connection``; ``on_restored`` is called once, in the end."""
        self.detach()
        self._connection, self._is_blocked = connection, False
        restore = [
            Job(entity, Retry(self._random), is_single=key_of(entity) in self._ended)
            for entity in self._topology
            if self._selects(entity) and key_of(entity) not in self._left_out
        ]
        self._jobs.add_first(restore)
        self._restoring.begin(len(restore), on_restored)
        self._next()

    def ended(self, connection: Connection, lost: ConnectionLost) -> None:
        """``connection`` was lost, or is not ours; perhaps over what was being declared."""
        if connection is not self._channel.connection or lost.code not in refusals.ENDS_CONNECTION:
            return
        for job in self._active:
            self._ended[job.key] = self._ended.get(job.key, 0) + 1
        if len(self._active) != 1:
            return  # they are sent one by one over the next one
        (job,) = self._active
        if lost.code in PASSING and self._ended[job.key] == 1:
            return
        self._left_out.add(job.key)
        why = f"it was refused, and the connection ended: {lost.why}"
        if job.future is None:
            log.error("%s could not be declared again: %s", describe_request(job.entity), why)
            self._emit(DeclarationFailed(describe_request(job.entity), why, True))
        else:
            job.fail(TopologyError(f"{describe_request(job.entity)}: {why}"))

    def detach(self) -> None:
        """The connection is gone; what users asked for waits for the next one."""
        aside, self._aside = self._aside, {}
        self._jobs.add_first(chain(self._active, *aside.values()))
        self._jobs.keep(lambda job: job.future is not None and not job.is_over)
        self._jobs.hurry()
        self._connection, self._active = None, []
        self._channel.forget()
        self._restoring.forget()
        for channel in aside:
            channel.close()

    def blocked(self, is_blocked: bool, instead: Connection | None) -> None:
        """Whether the broker reads nothing of the connection that is attached. While it does not, another
        declares, if there is one: ``instead``."""
        self._is_blocked, self._instead = is_blocked, instead
        used = self._channel.connection
        if used is not None and used is not self._connection and not used.is_open:
            self._jobs.add_first([job for job in self._active if not job.is_over])
            self._active = []
            self._channel.forget()
        self._next()

    def declare(self, entity: Entity | Request, deadline: float, result: Future[int]) -> None:
        """Declare ``entity`` for a user, or do what else is asked; ``result`` ends by ``deadline``, see
        :meth:`expire`, with the messages of a queue that the request is about, or 0."""
        job = Job(entity, Retry(self._random), result, deadline)
        self._ended.pop(key_of_asked(entity), None)
        self._left_out.discard(key_of_asked(entity))
        self._asked.add(job)
        self._jobs.add(job)
        self._next()

    def declare_again(self, queue: str) -> None:
        """``queue`` was deleted by itself, with its last consumer: declare it again, and its bindings."""
        if self._connection is None or self.is_pending(queue):
            return
        self._topology.forget_name(queue)
        self._add_again(self._topology.that_went_with(queue))
        self._next()

    def declare_exchange_again(self, exchange: str) -> bool:
        """``exchange`` is not there: if it goes by itself, with its last binding, declare it again, and its
        bindings. Whether it does."""
        gone = self._topology.that_went_with_exchange(exchange)
        self.declare_anew(gone)
        return bool(gone)

    def declare_anew(self, entities: Iterable[Entity]) -> None:
        """Declare again what may be gone, but for what is going to be declared anyway."""
        if self._connection is not None:
            self._add_again(filter(self._selects, self._not_pending(entities)))
            self._next()

    def _add_again(self, entities: Iterable[Entity]) -> None:
        """Nobody waits for them as for a restore."""
        for entity in entities:
            if key_of(entity) not in self._left_out:
                self._jobs.add(Job(entity, Retry(self._random), is_counted=True))

    def hurry(self) -> None:
        """A connection has ended: what it has locked is free now."""
        self._jobs.hurry()
        self._next()

    def is_pending(self, queue: str) -> bool:
        """Whether ``queue`` is yet to be declared (again)."""
        return any(isinstance(job.entity, Queue) and job.entity.name == queue for job in self._pending)

    @property
    def _pending(self) -> list[Job]:
        return [*chain(self._active, *self._aside.values(), self._jobs)]

    def _not_pending(self, entities: Iterable[Entity]) -> list[Entity]:
        """Those that are not going to be declared. (What was sent already may have come before they went.)"""
        pending = {job.key for job in self._jobs}
        return [entity for entity in entities if key_of(entity) not in pending]

    @property
    def is_busy(self) -> bool:
        """Whether there is something to declare, or to do for a user."""
        return bool(self._active or self._jobs)

    @property
    def has_entities(self) -> bool:
        """Whether there is something to declare again on each connection."""
        return any(self._selects(entity) for entity in self._topology)

    @property
    def earliest_deadline(self) -> float:
        return self._asked.earliest

    def expire(self) -> None:
        """End what is past its deadline."""
        late = self._asked.take_late(self._now())
        for job in late:
            if job in self._active:
                job.error = "no answer from the broker"
            job.fail_late(is_connected=self._connection is not None)
        if late:
            self._jobs.keep(lambda job: not job.is_over)
            for channel in [channel for channel, batch in self._aside.items() if batch[-1].is_over]:
                del self._aside[channel]
                channel.close()

    def close(self, error: RabbitKeeperError) -> None:
        """End everything that users wait for with ``error``."""
        self._jobs.keep(lambda _: False)
        for job in self._asked.take_all():
            job.fail(error)
        self.detach()

    def _next(self) -> None:
        connection = self._instead if self._is_blocked else self._connection
        if not self._active and self._channel.connection is not connection:
            self._channel.forget()
        if connection is None or not connection.is_open or self._active or not self._jobs:
            return
        channel = self._channel.get(connection)
        if channel is None:
            return
        batch = self._jobs.take(self._now())
        if not batch:
            self._call_later(self._jobs.next_at - self._now(), self._next)
            return
        self._active = batch
        self._await_answer(batch, channel)
        try:
            self._send(batch, channel)
        except Exception as error:  # noqa: BLE001 - told to whom it concerns; the others go on
            self._lost(channel, ChannelLost(0, f"it cannot be sent: {error!r}"))
            channel.close()

    def _send(self, batch: list[Job], channel: Channel) -> None:
        known = batch[-1].known_name(self._topology.resolve)
        if known is not None:
            channel.look(known, lambda *_: self._done(batch, known))
            return
        resolve = self._topology.resolve
        for number, job in enumerate(batch, 1):
            if isinstance(job.entity, Request):
                channel.request(job.entity, resolve, lambda count: self._answered(batch, count))
            elif number < len(batch):
                channel.declare(job.entity, resolve, None)
            else:
                channel.declare(job.entity, resolve, lambda name: self._done(batch, name))

    def _await_answer(self, batch: list[Job], channel: Channel) -> None:
        def late() -> None:
            if self._channel.is_present(channel) and batch is self._active:
                self._unanswered(batch, channel)

        self._call_later(patience(max(batch[-1].silences, len(batch) > 1)), late)

    def _unanswered(self, batch: list[Job], channel: Channel) -> None:
        job = batch[-1]
        for one in batch:
            one.error = "no answer from the broker"
        job.silences += 1
        if job.future is None:
            log.warning("%s is not declared again yet: %s", describe_request(job.entity), job.error)
            self._restoring.let_go(self._pending)
        if batch is not self._active:
            return  # who waited for that has put everything on another connection
        self._channel.leave()
        self._active = []
        if isinstance(job.entity, Queue) and job.entity.is_server_named:
            self._aside[channel] = batch  # asked again, the broker would make another
            self._next()
            return
        channel.close()
        if len(batch) > 1:
            self._one_by_one(batch)
        else:
            self._again(job, 0.0 if job.silences == 1 else refusals.ANSWER_PATIENCE)
        self._next()

    def _one_by_one(self, batch: list[Job]) -> None:
        """Nobody knows which of them it was."""
        for job in batch:
            job.is_single = True
        self._jobs.add_first(batch)

    def _answered(self, batch: list[Job], count: int) -> None:
        """What a user has asked for is done."""
        if batch is not self._active:
            return
        self._active = []
        (job,) = batch
        match job.entity:
            case DeleteEntity(entity):
                self._forget(entity)
            case Unbind(binding):
                self._forget(binding)
        job.succeed(count)
        self._next()

    def _forget(self, entity: Entity) -> None:
        """It is not declared again, not even if that is under way."""
        self._topology.forget(entity)
        dropped = [job for job in self._jobs if job.future is None and not self._topology.has(job.key)]
        self._jobs.keep(lambda job: job not in dropped)
        for job in dropped:
            self._restoring.count(job)

    def _done(self, batch: list[Job], name: str | None) -> None:
        aside = [channel for channel, waiting in self._aside.items() if waiting is batch]
        if not aside and batch is not self._active:
            return
        for channel in aside:
            del self._aside[channel]
            channel.close()
        self._active = self._active if aside else []
        entity = batch[-1].entity
        if isinstance(entity, Queue) and entity.is_server_named and name is not None:
            previous = self._topology.name(entity.name, name)
            if previous is not None and previous != name:
                self._emit(QueueRenamed(entity.name, previous, name))
        for job in batch:
            self._ended.pop(job.key, None)
            if job.future is not None:
                assert not isinstance(job.entity, Request)  # noqa: S101
                self._topology.record(job.entity)
                job.succeed()
            else:
                self._restoring.count(job)
                if isinstance(job.entity, Queue):
                    self._on_queue(job.entity.name)
        self._next()

    def _lost(self, channel: Channel, lost: ChannelLost) -> None:
        if channel in self._aside:
            batch = self._aside.pop(channel)
        elif self._channel.is_present(channel):
            self._channel.leave()
            batch, self._active = self._active, []
        else:
            return
        if len(batch) > 1:
            self._one_by_one(batch)
        elif batch:
            self._refused(batch[0], lost)
        self._next()

    def _no_channel(self, why: str, is_long: bool) -> None:
        """There was none to be had: another try after a pause, for what is left of the jobs' time."""
        for job in self._jobs:
            job.error = why
        if is_long:
            self._restoring.let_go(self._pending)

    def _refused(self, job: Job, lost: ChannelLost) -> None:
        job.error = lost.why
        if job.future is not None:
            if refusals.passes_for_user(lost.code, lost.why):
                self._again(job, job.retry.failed())
            else:
                kind = NotAuthorized if lost.code == ReplyCode.ACCESS_REFUSED else TopologyError
                job.fail(kind(f"{describe_request(job.entity)} was refused: {lost.why}"))
            return
        if lost.code == ReplyCode.NOT_FOUND and job.known_name(self._topology.resolve):
            assert isinstance(job.entity, Queue)  # noqa: S101
            self._topology.forget_name(job.entity.name)
            self._again(job, 0.0)
            return
        if lost.code == ReplyCode.NOT_FOUND:
            self._add_again(self._not_pending(self._topology.that_is_missing(job.entity)))
        passing = lost.code in PASSING
        delay = job.retry.failed()
        if not passing or job.retry.failures == RESTORE_ATTEMPTS:
            log.error("%s could not be declared again: %s", describe_request(job.entity), lost.why)
            self._emit(DeclarationFailed(describe_request(job.entity), lost.why, not passing))
        if passing and job.retry.failures >= RESTORE_ATTEMPTS:
            delay = refusals.SLOW_RETRY * self._random.uniform(0.5, 1.0)
        if not passing or lost.code == ReplyCode.RESOURCE_LOCKED or job.retry.failures >= RESTORE_ATTEMPTS:
            self._restoring.count(job)
        if passing:
            self._again(job, delay)

    def _again(self, job: Job, delay: float) -> None:
        job.not_before = self._now() + delay
        self._jobs.add(job)
