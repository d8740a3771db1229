"""Lines: the links that are open or being opened, each with its target and its publish channel.

A line is *ready* when its publish channel is in confirm mode. One that is not needed any more is retired: it
is closed when the consumers have answered what they have of it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from rabbitkeeper.client.amqp.transport import (
    Access,
    Channel,
    ChannelLost,
    Connection,
    ConnectionLost,
    Transport,
)
from rabbitkeeper.client.publish.publisher import Publisher
from rabbitkeeper.client.routing.placement import Target

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 1.0  # seconds; a hung broker's kernel still accepts TCP connections
RETIRE_PATIENCE = 5.0  # seconds for which consumers can ack over the old link
RETIRE_POLL = 0.05  # seconds
FINAL_CODES = frozenset({403, 404, 406, 501, 502, 503, 530, 540})
"""Reply codes after which publishing the same message again would not help."""


@dataclass(slots=True)
class Line:
    """A link with its target and its publish channel."""

    link: Connection
    target: Target
    publishing: Channel | None = None


class Lines:
    """All lines of a client, by the numbers that the switch gave their links. On the I/O thread.

    Args:
        on_ready: with the number of a line that takes publishes.
        on_lost: with the line, which is no longer here, and its number.
        holds: whether a link is still needed by who consumed over it.
        on_left: a line that was not needed any more has been closed.
        on_blocked: with the number, and why the broker blocks publishers (None: it does so no longer).
    """

    def __init__(
        self,
        transport: Transport,
        access: Access,
        publisher: Publisher,
        *,
        on_ready: Callable[[int], None],
        on_lost: Callable[[int, Line, ConnectionLost], None],
        holds: Callable[[Connection], bool],
        on_left: Callable[[], None],
        on_blocked: Callable[[int, str | None], None],
    ) -> None:
        self._transport = transport
        self._loop = transport.loop
        self._access = access
        self._publisher = publisher
        self._on_ready = on_ready
        self._on_lost = on_lost
        self._holds = holds
        self._on_left = on_left
        self._on_blocked = on_blocked
        self._lines: dict[int, Line] = {}
        self._renewal = 0

    def __contains__(self, number: int) -> bool:
        return number in self._lines

    def __getitem__(self, number: int) -> Line:
        return self._lines[number]

    def get(self, number: int | None) -> Line | None:
        return None if number is None else self._lines.get(number)

    def open(self, number: int, target: Target) -> None:
        """Connect, then open a publish channel; the line is here from now on."""
        self._lines[number] = Line(
            self._transport.connect(
                target.address,
                self._access,
                timeout=CONNECT_TIMEOUT,
                on_open=lambda: self._open_publishing(number, lambda: self._on_ready(number)),
                on_lost=lambda lost: self._lost(number, lost),
                on_blocked=lambda why: self._on_blocked(number, why),
            ),
            target,
        )

    def renew_publishing(self, number: int | None) -> None:
        """Open another publish channel on a line, and have the publisher use it, if the line is still the
        one in use then (see :meth:`forget_renewals`)."""
        line = self.get(number)
        if number is None or line is None or not line.link.is_open:
            return
        self._renewal += 1
        renewal = self._renewal

        def ready() -> None:
            if renewal == self._renewal and line.publishing is not None:
                self._publisher.attach(line.publishing)

        self._open_publishing(number, ready)

    def forget_renewals(self) -> None:
        """Another line is used from now on."""
        self._renewal += 1

    def retire(self, number: int) -> None:
        """Close a line that is not needed any more, when the consumers have answered what they have of it."""
        line = self._lines.get(number)
        if line is None:
            return
        give_up_at = self._loop.now() + RETIRE_PATIENCE

        def look() -> None:
            if self._lines.get(number) is not line:
                return
            if self._holds(line.link) and line.link.is_open and self._loop.now() < give_up_at:
                self._loop.call_later(RETIRE_POLL, look)
                return
            del self._lines[number]
            line.link.close()
            self._on_left()

        look()

    def drop(self, number: int) -> None:
        """Give a line up without a closing handshake."""
        line = self._lines.pop(number, None)
        if line is not None:
            line.link.abort()

    def close(self) -> None:
        """Close all of them in an orderly way."""
        self.forget_renewals()
        for line in self._lines.values():
            line.link.close()
        self._lines.clear()

    def _open_publishing(self, number: int, on_ready: Callable[[], None]) -> None:
        line = self._lines[number]

        def opened(channel: Channel) -> None:
            line.publishing = channel
            channel.confirm(
                on_ready,
                lambda tag, multiple, ack: self._publisher.answered(channel, tag, multiple=multiple, ack=ack),
                lambda *came_back: self._publisher.returned(channel, *came_back),
            )

        def lost(channel: Channel, lost: ChannelLost) -> None:
            log.warning("the broker closed the publish channel: %s", lost.why)
            if line.publishing is channel:
                line.publishing = None
            self._publisher.channel_lost(channel, lost.why, final=lost.code in FINAL_CODES)

        line.link.channel(opened, lost)

    def _lost(self, number: int, lost: ConnectionLost) -> None:
        line = self._lines.pop(number, None)
        if line is not None:
            self._on_lost(number, line, lost)
