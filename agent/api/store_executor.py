"""The API's way to ZooKeeper: a few threads of its own, each answer with a deadline.

Neither the loop nor the API's event loop waits for ZooKeeper: what is asked is asked in a daemon thread with
a store of its own through the agent's session. When ZooKeeper hangs, the one who asks is told so at the
deadline, and more than a few who wait are turned away at once. Reads, writes and dry runs of strangers have
places of their own, so that no number of readers keeps an operator out; and of all who want to read the same,
one reads.
"""

import asyncio
import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rabbitkeeper.agent.api.refusal import Refusal
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.coordinator.model.errors import ConfigurationError, RabbitKeeperError
from rabbitkeeper.coordinator.operations.service import OperationRefused
from rabbitkeeper.coordinator.store.store import Store

READS = 4  # under way
WRITES = 4  # under way
DRY_RUNS = 2  # under way, of those who have shown no token
READ_TIMEOUT = 2.5  # seconds for one question
WRITE_TIMEOUT = 6.0  # seconds for an operation to be checked and written: up to five round trips
FRESH = 1.0  # seconds for which what was read, or could not be read, is not read again
MISSED = 0.2  # seconds after which something that was not found may be there: what was read is read again


class _Purpose(enum.Enum):
    """What a question is for; each has its own bounded places."""

    READ = enum.auto()
    WRITE = enum.auto()
    DRY_RUN = enum.auto()


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class StoreExecutor:
    """Belongs to the API's event loop.

    Args:
        store: makes a store for a thread.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._under_way = dict.fromkeys(_Purpose, 0)

    async def read(self, work: Callable[[Store], T]) -> T:
        """What ``work`` returns, which only reads. Raises as :meth:`write`."""
        return await self._ask(work, READ_TIMEOUT, _Purpose.READ)

    async def dry_run(self, work: Callable[[Store], T]) -> T:
        """What ``work`` returns, which only reads, for somebody unknown: apart from readers and operators.

        Raises as :meth:`write`.
        """
        return await self._ask(work, WRITE_TIMEOUT, _Purpose.DRY_RUN)

    async def write(self, work: Callable[[Store], T]) -> T:
        """What ``work`` returns.

        Args:
            work: runs in a thread of its own; it goes on when the deadline has passed.

        Raises:
            Refusal: 503 if too many ask or ZooKeeper does not answer, 504 at the deadline, 409 or 422 if what
                is asked for is refused.
        """
        return await self._ask(work, WRITE_TIMEOUT, _Purpose.WRITE)

    async def _ask(self, work: Callable[[Store], T], within: float, purpose: "_Purpose") -> T:
        most = {_Purpose.READ: READS, _Purpose.WRITE: WRITES, _Purpose.DRY_RUN: DRY_RUNS}[purpose]
        if self._under_way[purpose] >= most:
            raise Refusal(503, f"{most} requests wait for ZooKeeper already; ask again", {"Retry-After": "1"})
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._under_way[purpose] += 1

        def end(result: T | None, error: Exception | None) -> None:
            self._under_way[purpose] -= 1
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # T where there is no error

        def run() -> None:
            result, error = None, None
            try:
                result = work(self._store())
            except Exception as raised:  # noqa: BLE001 - carried over to the one who asks
                error = raised
            try:
                loop.call_soon_threadsafe(end, result, error)
            except RuntimeError:
                return  # the API has ended meanwhile

        threading.Thread(target=run, name="rabbitkeeper-api-zookeeper", daemon=True).start()
        try:
            async with asyncio.timeout(within):
                return await future
        except TimeoutError:
            raise Refusal(504, f"ZooKeeper has not answered within {within:g} s") from None
        except OperationRefused as error:
            raise Refusal(409, str(error)) from None
        except ConfigurationError as error:
            raise Refusal(422, str(error)) from None
        except RabbitKeeperError as error:
            raise Refusal(503, str(error)) from None


@dataclass(frozen=True, slots=True)
class Known(Generic[T_co]):
    """Something that was read, and how old that is.

    Attributes:
        value: what it was.
        age: seconds.
        problem: why it could not be read just now; None if it could.
    """

    value: T_co
    age: float
    problem: str | None


class Cache(Generic[T]):
    """What was read last, for when it cannot be read. Belongs to the API's event loop.

    Whoever asks while it is being read waits for that one read. A read that has failed is not repeated for a
    moment either.

    Args:
        executor: reads it.
        read: in one of the executor's threads.
        clock: monotonic seconds.
    """

    def __init__(
        self, executor: StoreExecutor, read: Callable[[Store], T], clock: Callable[[], float] = monotonic
    ) -> None:
        self._executor = executor
        self._read = read
        self._clock = clock
        self._value: tuple[T, float] | None = None  # what, and when it was asked for
        self._failed: Refusal | None = None  # the last read, if it has failed
        self._tried_at = float(
            "-inf"
        )  # when the last read began, or failed; one before a change does not count
        self._reading: asyncio.Task[None] | None = None

    def forget(self) -> None:
        """It has changed: what is kept is for when it cannot be read, and not fresh any more."""
        self._tried_at = float("-inf")
        self._reading = None  # it may have read what was there before

    async def get(self, fresh: float | None = None) -> Known[T]:
        """What there is, read again if it is not fresh.

        Args:
            fresh: seconds for which it counts as fresh; None: :data:`FRESH`.

        Raises:
            Refusal: it has never been read, and cannot be read now.
        """
        if self._clock() - self._tried_at >= (FRESH if fresh is None else fresh):
            if self._reading is None:
                self._reading = asyncio.create_task(self._read_again())
            await asyncio.shield(self._reading)
        if self._value is None:
            assert self._failed is not None  # noqa: S101 - one of the two came of the first read
            raise self._failed
        return Known(
            self._value[0],
            max(0.0, self._clock() - self._value[1]),
            None if self._failed is None else self._failed.reason,
        )

    async def _read_again(self) -> None:
        began, me = self._clock(), asyncio.current_task()
        tried_at = began
        try:
            value = await self._executor.read(self._read)
        except Refusal as refusal:
            self._failed, tried_at = refusal, self._clock()
        else:
            if (
                self._value is None or self._value[1] <= began
            ):  # one that began after a change may have been faster
                self._value, self._failed = (value, began), None
        finally:
            if self._reading is me:
                self._reading, self._tried_at = None, tried_at
