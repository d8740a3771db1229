"""How a role tells what it does: lines of JSON on its output, which Docker keeps and the demo reads.

Each line has ``now``, the writer's monotonic clock, so that a reader with another clock can tell when the
times in the line were; and ``run``, which is another after a restart. What else it has is the role's.
"""

import json
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

PERIOD = 0.1  # seconds between two lines at the least
QUIET = 1.0  # seconds between two lines at the most


class OutputWriter:
    """Prints lines on a thread of its own, so that the role's own work may wait for as long as it likes.

    Args:
        news: what there is to tell, and forgets it; empty: nothing has changed.
        state: what is told with every line.
    """

    def __init__(
        self, news: Callable[[], Mapping[str, Any]], state: Callable[[], Mapping[str, Any]] = dict
    ) -> None:
        self._news = news
        self._state = state
        self._run = secrets.token_hex(4)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Tell what is left."""
        self._stopping.set()
        self._thread.join()
        self._print(self._news())

    def _tell(self) -> None:
        told = 0.0
        while not self._stopping.wait(PERIOD):
            news = self._news()
            if news or time.monotonic() - told >= QUIET:
                told = time.monotonic()
                self._print(news)

    def _print(self, news: Mapping[str, Any]) -> None:
        line = {"now": round(time.monotonic(), 4), "run": self._run, **self._state(), **news}
        sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
        sys.stdout.flush()
