"""Restoring: how many entities are yet to be declared again on a connection, and who waits for that."""

from collections.abc import Callable, Iterable

from rabbitkeeper.client.declare.jobs import Job


class Restoring:
    """Over when each entity was declared, refused, or waited for long enough."""

    def __init__(self) -> None:
        self._left = 0
        self._on_done: Callable[[], None] | None = None

    def begin(self, entities: int, on_done: Callable[[], None]) -> None:
        """So many are to be declared again; ``on_done`` is called once, at once if there are none."""
        self._left, self._on_done = entities, on_done
        if not entities:
            self._done()

    def forget(self) -> None:
        """Nobody waits any more."""
        self._left, self._on_done = 0, None

    def count(self, job: Job) -> None:
        """``job`` is waited for no more."""
        if job.is_counted:
            return
        job.is_counted = True
        self._left -= 1
        if self._left == 0:
            self._done()

    def let_go(self, jobs: Iterable[Job]) -> None:
        """None of ``jobs`` is waited for any more."""
        for job in jobs:
            if job.future is None:
                self.count(job)

    def _done(self) -> None:
        report, self._on_done = self._on_done, None
        if report is not None:
            report()
