"""What the agent's loop waits on: one bell that any thread, or a signal handler, can ring.

A ``SimpleQueue`` and not a ``threading.Event``, because a signal handler runs in the middle of the loop's
own wait: setting an event there can meet its lock held by the very same thread. ``SimpleQueue.put`` is
documented as reentrant for that reason.
"""

import queue


class Wakeup:
    """Rings are not counted: what rang between two waits ends the second one at once."""

    def __init__(self) -> None:
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._group_changed = True  # nothing has been read yet

    def ring(self) -> None:
        """Have the loop look at everything it has at hand."""
        self._bell.put(None)

    def ring_group(self) -> None:
        """The same, and read the group again: a watch fired, or the connection to ZooKeeper changed."""
        self._group_changed = True
        self._bell.put(None)

    def take_group_changed(self) -> bool:
        """Whether the group is to be read again; asked before the read, so that no change is lost."""
        changed, self._group_changed = self._group_changed, False
        return changed

    def wait(self, timeout: float) -> None:
        """Wait until somebody rings.

        Args:
            timeout: seconds at the most.
        """
        try:
            self._bell.get(timeout=max(0.0, timeout))
            while True:
                self._bell.get_nowait()
        except queue.Empty:
            return
