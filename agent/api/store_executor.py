"""The API's way to ZooKeeper: a few threads of its own, each answer with a deadline.

Neither the loop nor the API's event loop waits for ZooKeeper: what is asked is asked in a daemon thread with
a store of its own through the agent's session. When ZooKeeper hangs, the one who asks is told so at the
deadline, and more than :data:`MOST` who wait are turned away at once.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from rabbitkeeper.agent.api.refusal import Refusal
from rabbitkeeper.coordinator.model.errors import ConfigurationError, RabbitKeeperError
from rabbitkeeper.coordinator.operations.service import OperationRefused
from rabbitkeeper.coordinator.store.store import Store

MOST = 4  # questions under way
READ_TIMEOUT = 2.5  # seconds for one question
WRITE_TIMEOUT = 6.0  # seconds for an operation to be checked and written: up to five round trips
FRESH = 1.0  # seconds for which what was read is not read again

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class StoreExecutor:
    """Belongs to the API's event loop.

    Args:
        store: makes a store for a thread.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._under_way = 0

    async def ask(self, work: Callable[[Store], T], within: float) -> T:
        """What ``work`` returns.

        Args:
            work: runs in a thread of its own; it goes on when the deadline has passed.
            within: seconds.

        Raises:
            Refusal: 503 if too many ask or ZooKeeper does not answer, 504 at the deadline, 409 or 422 if what
                is asked for is refused.
        """
        if self._under_way >= MOST:
            raise Refusal(503, f"{MOST} requests wait for ZooKeeper already; ask again", {"Retry-After": "1"})
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._under_way += 1

        def end(result: T | None, error: Exception | None) -> None:
            self._under_way -= 1
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

    Args:
        executor: reads it.
        read: in one of the executor's threads.
        clock: monotonic seconds.
    """

    def __init__(
        self, executor: StoreExecutor, read: Callable[[Store], T], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._executor = executor
        self._read = read
        self._clock = clock
        self._last: tuple[T, float, bool] | None = None  # what, when it was asked for, still fresh

    def forget(self) -> None:
        """It has changed: what is kept is for when it cannot be read, and not fresh any more."""
        if self._last is not None:
            self._last = (self._last[0], self._last[1], False)

    async def get(self) -> Known[T]:
        """What there is, read again if it is not fresh.

        Raises:
            Refusal: it has never been read, and cannot be read now.
        """
        asked = self._clock()
        if self._last is not None and self._last[2] and asked - self._last[1] < FRESH:
            return self._known(self._last, None)
        try:
            self._last = (await self._executor.ask(self._read, READ_TIMEOUT), asked, True)
        except Refusal as refusal:
            if self._last is None:
                raise
            return self._known(self._last, refusal.reason)
        return self._known(self._last, None)

    def _known(self, last: tuple[T, float, bool], problem: str | None) -> Known[T]:
        return Known(last[0], max(0.0, self._clock() - last[1]), problem)
