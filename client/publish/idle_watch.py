"""The idle watch: calls who waits until nothing of a ledger is in flight, or until all of it has ended."""

from collections.abc import Callable
from typing import Generic

from rabbitkeeper.client.publish.entry import E
from rabbitkeeper.client.publish.ledger import Ledger


class IdleWatch(Generic[E]):
    """One of each kind may wait. On the I/O thread.

    Attributes:
        is_watched: somebody waits; then :meth:`tell` is to be called after each change.
    """

    def __init__(self, ledger: Ledger[E]) -> None:
        self.is_watched = False
        self._ledger = ledger
        self._on_idle: Callable[[], None] | None = None
        self._on_empty: Callable[[], None] | None = None

    def when_idle(self, call: Callable[[], None] | None) -> None:
        """Call ``call`` once, as soon as nothing is in flight, perhaps at once; None: call nobody."""
        self._on_idle = call
        self._watch()

    def when_empty(self, call: Callable[[], None] | None) -> None:
        """As :meth:`when_idle`, as soon as everything has its outcome."""
        self._on_empty = call
        self._watch()

    def tell(self) -> None:
        """Something may have ended."""
        if self._on_idle is not None and not self._ledger.in_flight:
            call, self._on_idle = self._on_idle, None
            call()
        if self._on_empty is not None and not len(self._ledger):
            call, self._on_empty = self._on_empty, None
            call()
        self.is_watched = self._on_idle is not None or self._on_empty is not None

    def _watch(self) -> None:
        self.is_watched = self._on_idle is not None or self._on_empty is not None
        if self.is_watched:
            self.tell()
