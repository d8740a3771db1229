"""The declarer: declares what the user asks for, and everything again on each new connection.

One channel of its own, one declaration at a time: a refusal closes the channel, and so it is known whose it
is. What may pass (a queue still locked by the lost connection, an exchange that another entry declares) is
tried again with growing pauses; what will not pass ends with an error for the user, or, while restoring,
with an event. One failure never stops the rest.

Restoring is over when each entity was declared, refused, or tried often enough; those that may yet pass, such
as an exclusive queue that the connection being left still holds, are tried again while this one lasts.

A declaration that is not answered in time is tried again on another channel, after the others. When that is
while restoring, nobody waits for the rest: a cluster with a hung node may answer none of them for a minute.
"""

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from random import Random

from rabbitkeeper.client.amqp.transport import CallLater, Channel, ChannelLost, Connection
from rabbitkeeper.client.model.errors import NoLeader, NotAuthorized, RabbitKeeperError, TopologyError
from rabbitkeeper.client.model.events import DeclarationFailed, Event, QueueRenamed
from rabbitkeeper.client.model.retry import Retry
from rabbitkeeper.client.model.topology import Entity, Queue, Topology, describe

log = logging.getLogger(__name__)

RESTORE_ATTEMPTS = (
    8  # of one entity on one connection, in about three seconds; then it is reported and goes on
)
ANSWER_PATIENCE = 1.0  # seconds for the answer to a declaration; doubled for each entity that has had none …
MOST_ANSWER_PATIENCE = 16.0  # … up to this
SLOW_RETRY = 5.0  # seconds between the later attempts, half of it jitter

ACCESS_REFUSED, NOT_FOUND, RESOURCE_LOCKED = 403, 404, 405
PASSING = frozenset({NOT_FOUND, RESOURCE_LOCKED, 506, 541})
"""Reply codes that can pass by themselves; 506 and 541 are resource and internal errors."""


@dataclass(slots=True, eq=False)
class Job:
    """One entity to declare: for a user (``future``), or to restore it (None)."""

    entity: Entity
    retry: Retry
    future: Future[None] | None = None
    deadline: float = float("inf")  # seconds, monotonic
    not_before: float = 0.0  # seconds, monotonic: the next attempt
    error: str = field(default="no broker was reached")
    is_counted: bool = False  # it keeps nobody from going on any more
    silences: int = 0  # times it had no answer

    @property
    def is_over(self) -> bool:
        return self.future is not None and self.future.done()


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
        self._channel: Channel | None = None
        self._ready = False  # the channel is open
        self._channel_retry = Retry(random)
        self._no_channel_before = 0.0  # seconds, monotonic: one was refused before it was open
        self._active: Job | None = None
        self._jobs: deque[Job] = deque()
        self._restore_left = 0
        self._on_restored: Callable[[], None] | None = None

    def attach(self, connection: Connection, on_restored: Callable[[], None]) -> None:
        """Declare everything again over ``connection``; ``on_restored`` is called once, in the end."""
        self.detach()
        self._connection = connection
        self._on_restored = on_restored
        restore = [Job(entity, Retry(self._random)) for entity in self._topology if self._selects(entity)]
        self._restore_left = len(restore)
        self._jobs.extendleft(reversed(restore))
        if not restore:
            self._restored()
        self._next()

    def detach(self) -> None:
        """The connection is gone; what users asked for waits for the next one."""
        if self._active is not None:
            self._jobs.appendleft(self._active)
        self._jobs = deque(job for job in self._jobs if job.future is not None)
        for job in self._jobs:
            job.not_before = 0.0
        channel, self._connection, self._channel, self._active = self._channel, None, None, None
        self._ready, self._no_channel_before = False, 0.0
        self._restore_left, self._on_restored = 0, None
        if channel is not None:
            channel.close()

    def declare(self, entity: Entity, deadline: float) -> Future[None]:
        """Declare ``entity`` for a user; the future ends by ``deadline``, see :meth:`expire`."""
        job = Job(entity, Retry(self._random), Future(), deadline)
        self._jobs.append(job)
        self._next()
        assert job.future is not None  # noqa: S101
        return job.future

    def declare_again(self, queue: str) -> None:
        """``queue`` was deleted by itself, with its last consumer: declare it again, and its bindings."""
        if self._connection is None or self.is_pending(queue):
            return
        self._topology.forget_name(queue)
        self._jobs += [
            Job(entity, Retry(self._random), is_counted=True)  # nobody waits for it as for a restore
            for entity in self._topology.that_went_with(queue)
        ]
        self._next()

    def hurry(self) -> None:
        """A connection has ended: what it has locked is free now, or in a moment."""
        for job in self._jobs:
            job.not_before = 0.0
            job.retry.worked()
        self._next()

    def is_pending(self, queue: str) -> bool:
        """Whether ``queue`` is yet to be declared (again)."""
        jobs = [self._active, *self._jobs] if self._active else list(self._jobs)
        return any(isinstance(job.entity, Queue) and job.entity.name == queue for job in jobs)

    @property
    def has_entities(self) -> bool:
        """Whether there is something to declare again on each connection."""
        return any(self._selects(entity) for entity in self._topology)

    @property
    def earliest_deadline(self) -> float:
        jobs = [self._active, *self._jobs] if self._active else list(self._jobs)
        return min((job.deadline for job in jobs if not job.is_over), default=float("inf"))

    def expire(self) -> None:
        """End what is past its deadline."""
        now = self._now()
        for job in [self._active, *self._jobs] if self._active else list(self._jobs):
            if job.future is not None and job.deadline <= now and not job.future.done():
                waiting = "no answer from the broker" if job is self._active else job.error
                kind = TopologyError if self._connection is not None else NoLeader
                job.future.set_exception(kind(f"{describe(job.entity)} was not declared in time: {waiting}"))
        self._jobs = deque(job for job in self._jobs if not job.is_over)

    def close(self, error: RabbitKeeperError) -> None:
        """End everything that users wait for with ``error``."""
        jobs = [self._active, *self._jobs] if self._active else list(self._jobs)
        self._jobs.clear()
        for job in jobs:
            if job.future is not None and not job.future.done():
                job.future.set_exception(error)
        self.detach()

    def _next(self) -> None:
        if (
            self._connection is None
            or not self._connection.is_open
            or self._active is not None
            or not self._jobs
        ):
            return
        if self._channel is None:
            if self._now() >= self._no_channel_before:
                self._channel = self._connection.channel(self._opened, self._lost)
            return
        if self._ready:
            job = min(self._jobs, key=lambda job: job.not_before)  # the first of those that are due
            if job.not_before > self._now():
                self._call_later(job.not_before - self._now(), self._next)
                return
            self._jobs.remove(job)
            self._active = job
            self._await_answer(job, self._channel)
            try:
                known = self._known_name(job)
                if known is not None:
                    self._channel.look(known, lambda *_: self._done(job, known))
                    return
                self._channel.declare(job.entity, self._topology.resolve, lambda name: self._done(job, name))
            except Exception as error:  # noqa: BLE001 - told to whom it concerns; the others go on
                channel = self._channel
                self._lost(channel, ChannelLost(0, f"it cannot be sent: {error!r}"))
                channel.close()

    def _known_name(self, job: Job) -> str | None:
        """Of a queue that the broker has named, and that may be there yet, the name: it would not be given
        again."""
        queue = job.entity
        if not isinstance(queue, Queue) or not queue.is_server_named or queue.exclusive or job.future:
            return None
        name = self._topology.resolve(queue.name)
        return None if name == queue.name else name

    def _await_answer(self, job: Job, channel: Channel) -> None:
        def late() -> None:
            if channel is self._channel and job is self._active:
                self._unanswered(job, channel)

        self._call_later(min(MOST_ANSWER_PATIENCE, ANSWER_PATIENCE * 2**job.silences), late)

    def _unanswered(self, job: Job, channel: Channel) -> None:
        job.silences += 1
        job.error = "no answer from the broker"
        if job.future is None:
            log.warning("%s is not declared again yet: %s", describe(job.entity), job.error)
            for waiting in [job, *self._jobs]:
                if waiting.future is None:
                    self._count(waiting)
        if job is not self._active:
            return  # who waited for that has put everything on another connection
        if isinstance(job.entity, Queue) and job.entity.is_server_named:
            return  # asked again, the broker would make another
        self._channel, self._active, self._ready = None, None, False
        channel.close()
        self._again(job, 0.0 if job.silences == 1 else ANSWER_PATIENCE)
        self._next()

    def _opened(self, channel: Channel) -> None:
        if channel is self._channel:
            self._ready = True
            self._channel_retry.worked()
            self._next()

    def _done(self, job: Job, name: str | None) -> None:
        if job is not self._active:
            return
        self._active = None
        if isinstance(job.entity, Queue) and job.entity.is_server_named and name is not None:
            previous = self._topology.name(job.entity.name, name)
            if previous is not None and previous != name:
                self._emit(QueueRenamed(job.entity.name, previous, name))
        if job.future is not None:
            self._topology.record(job.entity)
            if not job.future.done():
                job.future.set_result(None)
        else:
            self._count(job)
            if isinstance(job.entity, Queue):
                self._on_queue(job.entity.name)
        self._next()

    def _lost(self, channel: Channel, lost: ChannelLost) -> None:
        if channel is not self._channel:
            return
        job, self._channel, self._active = self._active, None, None
        if job is not None:
            self._refused(job, lost)
        elif not self._ready:
            self._wait_for_channel(lost.why)
        self._ready = False
        self._next()

    def _wait_for_channel(self, why: str) -> None:
        """There was none to be had: another try after a pause, for what is left of the jobs' time."""
        for job in self._jobs:
            job.error = why
        delay = self._channel_retry.failed()
        self._no_channel_before = self._now() + delay
        self._call_later(delay, self._next)

    def _refused(self, job: Job, lost: ChannelLost) -> None:
        job.error = lost.why
        if job.future is not None:
            # a user who names something wrongly should hear of it at once
            if lost.code in PASSING and lost.code != NOT_FOUND:
                self._again(job, job.retry.failed())
            elif not job.future.done():
                kind = NotAuthorized if lost.code == ACCESS_REFUSED else TopologyError
                job.future.set_exception(kind(f"{describe(job.entity)} was refused: {lost.why}"))
            return
        if lost.code == NOT_FOUND and self._known_name(job) is not None:
            assert isinstance(job.entity, Queue)  # noqa: S101
            self._topology.forget_name(job.entity.name)
            self._again(job, 0.0)
            return
        passing = lost.code in PASSING
        delay = job.retry.failed()
        if not passing or job.retry.failures == RESTORE_ATTEMPTS:
            log.error("%s could not be declared again: %s", describe(job.entity), lost.why)
            self._emit(DeclarationFailed(describe(job.entity), lost.why, not passing))
        if passing and job.retry.failures >= RESTORE_ATTEMPTS:
            delay = SLOW_RETRY * self._random.uniform(0.5, 1.0)
        if not passing or lost.code == RESOURCE_LOCKED or job.retry.failures >= RESTORE_ATTEMPTS:
            self._count(job)
        if passing:
            self._again(job, delay)

    def _again(self, job: Job, delay: float) -> None:
        job.not_before = self._now() + delay
        self._jobs.append(job)

    def _count(self, job: Job) -> None:
        if job.is_counted:
            return
        job.is_counted = True
        self._restore_left -= 1
        if self._restore_left == 0:
            self._restored()

    def _restored(self) -> None:
        report, self._on_restored = self._on_restored, None
        if report is not None:
            report()
