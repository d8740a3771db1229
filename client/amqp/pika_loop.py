"""The I/O thread's loop: pika's own, as :class:`transport.Loop`."""

import time
from collections.abc import Callable
from contextlib import suppress

from pika.adapters.select_connection import IOLoop

from rabbitkeeper.client.amqp.transport import Timer


class PikaLoop:
    """See :class:`transport.Loop`."""

    def __init__(self) -> None:
        self.ioloop = IOLoop()
        self._is_over = False

    @staticmethod
    def now() -> float:
        return time.monotonic()

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        with suppress(AttributeError, OSError):  # pika's, for a loop that has released its pipe just now
            self.ioloop.add_callback_threadsafe(callback)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        if self._is_over:
            return None
        return self.ioloop.call_later(max(0.0, delay), callback)

    def cancel(self, timer: Timer) -> None:
        if not self._is_over:
            self.ioloop.remove_timeout(timer)

    def run(self) -> None:
        try:
            self.ioloop.start()
        finally:
            self._is_over = True
            self.ioloop.close()

    def stop(self) -> None:
        self.ioloop.stop()
