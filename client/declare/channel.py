"""The channel of a declarer: opened when it is needed, and again with growing pauses when there is none."""

from collections.abc import Callable
from random import Random

from rabbitkeeper.client.amqp.transport import CallLater, Channel, ChannelLost, Connection
from rabbitkeeper.client.declare.refusals import RESTORE_ATTEMPTS, patience
from rabbitkeeper.client.model.retry import Retry


class DeclaringChannel:
    """One at a time. On the I/O thread; times are seconds, monotonic.

    Args:
        random: for jitter.
        on_ready: there is one, or it is time to ask for one again.
        on_lost: called with one that the broker has closed, though perhaps it is this one no more.
        on_none: none was to be had: why, and whether that is so for too long to be waited for.
    """

    def __init__(
        self,
        now: Callable[[], float],
        call_later: CallLater,
        random: Random,
        *,
        on_ready: Callable[[], None],
        on_lost: Callable[[Channel, ChannelLost], None],
        on_none: Callable[[str, bool], None],
    ) -> None:
        self.connection: Connection | None = None  # of the present one
        self._now = now
        self._call_later = call_later
        self._on_ready = on_ready
        self._on_lost = on_lost
        self._on_none = on_none
        self._channel: Channel | None = None
        self._is_ready = False
        self._retry = Retry(random)
        self._not_before = 0.0  # one was refused before it was open

    def get(self, connection: Connection) -> Channel | None:
        """The one on ``connection``; if it is not there, it is asked for."""
        if self.connection is not connection:
            self.forget()
            self.connection = connection
        if self._channel is None and connection.is_open and self._now() >= self._not_before:
            self._channel = connection.channel(self._opened, self._lost)
            self._await_opening(self._channel)
        return self._channel if self._is_ready else None

    def leave(self) -> Channel | None:
        """Have another from now on; the one so far is the caller's."""
        channel, self._channel, self._is_ready = self._channel, None, False
        return channel

    def forget(self) -> None:
        """Its connection is not used any more."""
        channel, self.connection, self._not_before = self.leave(), None, 0.0
        self._retry.worked()
        if channel is not None:
            channel.close()

    def is_present(self, channel: Channel) -> bool:
        return channel is self._channel

    def _opened(self, channel: Channel) -> None:
        if channel is self._channel:
            self._is_ready = True
            self._retry.worked()
            self._on_ready()

    def _lost(self, channel: Channel, lost: ChannelLost) -> None:
        if channel is self._channel and not self._is_ready:
            self._channel = None
            self._wait(lost.why, is_long=False)
            return
        self._on_lost(channel, lost)

    def _await_opening(self, channel: Channel) -> None:
        def late() -> None:
            if channel is self._channel and not self._is_ready:
                self._channel = None
                channel.close()
                self._wait(f"the broker opens no channel in {seconds:g} s", is_long=True)

        seconds = patience(self._retry.failures)
        self._call_later(seconds, late)

    def _wait(self, why: str, *, is_long: bool) -> None:
        delay = self._retry.failed()
        self._not_before = self._now() + delay
        self._call_later(delay, self._on_ready)
        self._on_none(why, is_long or self._retry.failures >= RESTORE_ATTEMPTS)
