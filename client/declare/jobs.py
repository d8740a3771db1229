"""What is to be declared, in order: what is due, and what waits for its time.

Each step costs the same, however much there is.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count

from rabbitkeeper.client.model.errors import NoLeader, RabbitKeeperError, TopologyError
from rabbitkeeper.client.model.requests import Request, describe_request
from rabbitkeeper.client.model.retry import Retry
from rabbitkeeper.client.model.topology import Entity, Queue, key_of

FEW = 64  # jobs that users wait for, before those that are over are looked for
BATCH = 32  # declarations that are sent together, and of which the last is answered


@dataclass(slots=True, eq=False)
class Job:
    """One entity to declare, or what else is asked: for a user (``future``), or to restore it (None)."""

    entity: Entity | Request
    retry: Retry
    future: Future[int] | None = None
    deadline: float = float("inf")  # seconds, monotonic
    not_before: float = 0.0  # seconds, monotonic: the next attempt
    error: str = field(default="no broker was reached")
    is_counted: bool = False  # it keeps nobody from going on any more
    is_single: bool = False  # it, or one that was sent with it, was refused: it is sent alone
    silences: int = 0  # times it had no answer

    @property
    def key(self) -> tuple[object, ...]:
        return key_of_asked(self.entity)

    def known_name(self, resolve: Callable[[str], str]) -> str | None:
        """Of a queue that is restored, that the broker has named, and that may be there yet, the name: it
        would not be given again."""
        queue = self.entity
        if not isinstance(queue, Queue) or not queue.is_server_named or queue.exclusive or self.future:
            return None
        name = resolve(queue.name)
        return None if name == queue.name else name

    def succeed(self, messages: int = 0) -> None:
        """Tell the user, if there is one who waits; ``messages``: of a queue that the request was about."""
        if self.future is not None and not self.future.done():
            self.future.set_result(messages)

    def fail(self, error: RabbitKeeperError) -> None:
        """Tell the user, if there is one who waits."""
        if self.future is not None and not self.future.done():
            self.future.set_exception(error)

    def fail_late(self, *, is_connected: bool) -> None:
        """Tell the user that the deadline has passed."""
        kind = TopologyError if is_connected else NoLeader
        self.fail(kind(f"{describe_request(self.entity)} was not declared in time: {self.error}"))

    @property
    def is_over(self) -> bool:
        return self.future is not None and self.future.done()

    @property
    def is_alone(self) -> bool:
        """Whether its own answer is needed."""
        needs_name = isinstance(self.entity, Queue) and self.entity.is_server_named
        return self.is_single or self.future is not None or self.silences > 0 or needs_name


def key_of_asked(asked: Entity | Request) -> tuple[object, ...]:
    """What makes it the same as another."""
    return ("request", repr(asked)) if isinstance(asked, Request) else key_of(asked)


class Jobs:
    """See the module. Times are seconds, monotonic."""

    def __init__(self) -> None:
        self._due: deque[Job] = deque()
        self._waiting: list[tuple[float, int, Job]] = []
        self._numbers = count()

    def __iter__(self) -> Iterator[Job]:
        yield from self._due
        yield from (job for _, _, job in sorted(self._waiting, key=lambda one: one[:2]))

    def __bool__(self) -> bool:
        return bool(self._due or self._waiting)

    def add(self, job: Job) -> None:
        """Behind all that is due now, at its time."""
        heappush(self._waiting, (job.not_before, next(self._numbers), job))

    def add_first(self, jobs: Iterable[Job]) -> None:
        """Before all others, in their order."""
        self._due.extendleft(reversed(list(jobs)))

    def take(self, now: float) -> list[Job]:
        """The next one that is due, and those behind it that can be sent with it; empty if none is due."""
        while self._waiting and self._waiting[0][0] <= now:
            self._due.append(heappop(self._waiting)[2])
        if not self._due:
            return []
        batch = [self._due.popleft()]
        if not batch[0].is_alone:
            while self._due and len(batch) < BATCH and not self._due[0].is_alone:
                batch.append(self._due.popleft())
        return batch

    @property
    def next_at(self) -> float:
        """When the next one is due that is not yet; infinity if there is none."""
        return self._waiting[0][0] if self._waiting else float("inf")

    def hurry(self) -> None:
        """All of them are due, and none has failed yet."""
        for job in self:
            job.not_before = 0.0
            job.retry.worked()
        self._due.extend(job for _, _, job in sorted(self._waiting, key=lambda one: one[:2]))
        self._waiting.clear()

    def keep(self, is_kept: Callable[[Job], bool]) -> None:
        """Drop all others."""
        self._due = deque(filter(is_kept, self._due))
        self._waiting = [one for one in self._waiting if is_kept(one[2])]
        heapify(self._waiting)


class AskedJobs:
    """What users wait for, the earliest deadline first. Times are seconds, monotonic."""

    def __init__(self) -> None:
        self._open: list[tuple[float, int, Job]] = []
        self._numbers = count()
        self._most = FEW  # of them; then those that are over are dropped

    def add(self, job: Job) -> None:
        if len(self._open) >= self._most:
            self._open = [one for one in self._open if not one[2].is_over]
            heapify(self._open)
            self._most = max(FEW, 2 * len(self._open))
        heappush(self._open, (job.deadline, next(self._numbers), job))

    @property
    def earliest(self) -> float:
        """The first deadline of one that is not over; infinity if there is none."""
        while self._open and self._open[0][2].is_over:
            heappop(self._open)
        return self._open[0][0] if self._open else float("inf")

    def take_late(self, now: float) -> list[Job]:
        """Those whose deadline has passed, and no more."""
        late: list[Job] = []
        while self.earliest <= now:
            late.append(heappop(self._open)[2])
        return late

    def take_all(self) -> list[Job]:
        """All of them, in the order of asking."""
        asked, self._open = sorted(self._open, key=lambda one: one[1]), []
        return [job for _, _, job in asked]
