"""Looking at a broker through something that may be slow to answer, without anybody waiting for it.

Docker and systemd are asked over a socket or by a command; either can hang. So a thread of its own asks, and
:meth:`Watcher.seen` tells at once what was seen last.
"""

import logging
import threading
import time
from collections.abc import Callable

from rabbitkeeper.agent.broker.drivers.base import BrokerProcess
from rabbitkeeper.coordinator.model.errors import RabbitKeeperError

LOG = logging.getLogger("rabbitkeeper.agent")

IDLE = 30.0  # seconds without a question after which the thread ends
_UNKNOWN = BrokerProcess(running=None)


class Watcher:
    """Looks every ``interval`` seconds for as long as somebody wants to know.

    Args:
        name: of the thread.
        look: see how the broker is; may take seconds, must end by itself. A ``RabbitKeeperError`` says why it
            cannot be told: it is logged when it is news.
        interval: seconds.
    """

    def __init__(self, name: str, look: Callable[[], BrokerProcess], interval: float) -> None:
        self._name = name
        self._look = look
        self._interval = interval
        self._looking = threading.Lock()  # one look at a time, so that an older one never comes last
        self._state = threading.Lock()  # guards what is below
        self._seen = _UNKNOWN
        self._problem: str | None = None
        self._wanted_at = 0.0
        self._thread: threading.Thread | None = None

    def seen(self) -> BrokerProcess:
        """What was seen last, of now or a moment ago; nothing is known at first. Waits for nothing."""
        with self._state:
            self._wanted_at = time.monotonic()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._go_on, name=f"rabbitkeeper-{self._name}", daemon=True
                )
                self._thread.start()
            return self._seen

    def look(self) -> BrokerProcess:
        """Look now, as after a change of one's own.

        Returns:
            What is seen, or that it cannot be told. Takes as long as a look does.
        """
        with self._looking:
            try:
                seen, problem = self._look(), None
            except RabbitKeeperError as error:
                seen, problem = _UNKNOWN, str(error)
            with self._state:
                known, self._problem, self._seen = self._problem, problem, seen
        if problem is not None and problem != known:
            LOG.warning("it cannot be told whether the broker runs: %s", problem)
        elif problem is None and known is not None:
            LOG.info("it can be told again whether the broker runs")
        return seen

    def _go_on(self) -> None:
        while True:
            self.look()
            time.sleep(self._interval)
            with self._state:
                if time.monotonic() > self._wanted_at + IDLE:
                    self._thread, self._seen = None, _UNKNOWN
                    return
