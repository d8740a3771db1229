"""The connections that publish, open or being opened, each with its target and its publish channel.

One is *ready* when its publish channel is in confirm mode. Which of them everything goes over is not known
here. Consumers have a connection of their own: :mod:`consuming_connection`.
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
    Timer,
    Transport,
)
from rabbitkeeper.client.model.retry import doubled
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.publish.publisher import Publisher
from rabbitkeeper.client.routing.placement import Target
from rabbitkeeper.coordinator.model.reply_codes import ReplyCode

log = logging.getLogger(__name__)

RENEW_PATIENCE = 1.0  # seconds for another publish channel on a connection; then its member is doubted …
GIVE_UP = 4.0  # … and after so many seconds the connection is dropped
RENEW_RETRY = 0.02  # seconds from a publish channel that was closed at once to the next; doubled each time …
MOST_RENEW_RETRY = 1.0  # … up to this
FINAL_CODES = frozenset(
    {
        ReplyCode.ACCESS_REFUSED,
        ReplyCode.NOT_FOUND,
        ReplyCode.PRECONDITION_FAILED,
        ReplyCode.FRAME_ERROR,
        ReplyCode.SYNTAX_ERROR,
        ReplyCode.COMMAND_INVALID,
        ReplyCode.NOT_ALLOWED,
        ReplyCode.NOT_IMPLEMENTED,
    }
)
"""Reply codes after which publishing the same message again would not help."""


@dataclass(slots=True, eq=False)
class MemberConnection:
    """A connection with its target and its publish channel."""

    connection: Connection
    target: Target
    publishing: Channel | None = None
    timeout: float = 1.0  # seconds that it had to connect
    is_blocked: bool = False  # the broker reads nothing of it, so it answers nothing


class Connections:
    """All connections of a client, by the numbers that the switch gave them. On the I/O thread.

    Args:
        transport: where they come from.
        access: how to get into a broker.
        publisher: takes the answers on publish channels.
        on_ready: with the number of one that takes publishes.
        on_silent: with the number of one that works and does not answer.
        on_lost: with the one that was lost, which is no longer here, and its number.
        on_blocked: with the number, and why the broker blocks publishers (None: it does so no longer).
    """

    def __init__(
        self,
        transport: Transport,
        access: Access,
        publisher: Publisher[PublishFuture],
        *,
        on_ready: Callable[[int], None],
        on_silent: Callable[[int], None],
        on_lost: Callable[[int, MemberConnection, ConnectionLost], None],
        on_blocked: Callable[[int, str | None], None],
    ) -> None:
        self._transport = transport
        self._access = access
        self._publisher = publisher
        self._on_ready = on_ready
        self._on_silent = on_silent
        self._on_lost = on_lost
        self._on_blocked = on_blocked
        self._known: dict[int, MemberConnection] = {}
        self._renewal = 0
        self._renewals_failed = 0  # in a row

    def __getitem__(self, number: int) -> MemberConnection:
        return self._known[number]

    def get(self, number: int | None) -> MemberConnection | None:
        return None if number is None else self._known.get(number)

    def open(self, number: int, target: Target, timeout: float) -> None:
        """Connect, open a publish channel, with ``timeout`` seconds for each answer. The connection is here
        from now on."""
        self._known[number] = MemberConnection(
            self._transport.connect(
                target.address,
                self._access,
                timeout=timeout,
                on_open=lambda: self._open_first_channel(number, timeout),
                on_lost=lambda lost: self._lost(number, lost),
                on_blocked=lambda why: self._note_block(number, why),
            ),
            target,
            timeout=timeout,
        )

    def renew_publishing(self, number: int) -> None:
        """Open another publish channel on a connection, and have the publisher use it, if the connection is
        still the one in use then (see :meth:`forget_renewals`). When it does not come in time, ``on_silent``
        is called, and in the end the connection is given up."""
        known = self._known.get(number)
        if known is None or not known.connection.is_open:
            return
        self._renewal += 1
        renewal, loop = self._renewal, self._transport.loop
        waited = 0.0
        timer: Timer = None

        def ready() -> None:
            loop.cancel(timer)
            self._renewals_failed = 0
            if renewal == self._renewal and known.publishing is not None:
                self._publisher.opened(known.publishing)

        def failed(_why: str) -> None:
            loop.cancel(timer)
            if renewal == self._renewal:
                pause = doubled(RENEW_RETRY, self._renewals_failed, MOST_RENEW_RETRY)
                self._renewals_failed += 1
                loop.call_later(pause, lambda: self._renew_again(number, renewal))
                self._publisher.make_room()

        def silent() -> None:
            nonlocal waited, timer
            if renewal != self._renewal or self._known.get(number) is not known:
                return
            waited += 0.0 if known.is_blocked else RENEW_PATIENCE
            if waited >= GIVE_UP:
                self._give_up(number, f"no publish channel in {waited:g} s")
                return
            timer = loop.call_later(RENEW_PATIENCE, silent)
            if waited:
                self._on_silent(number)

        timer = loop.call_later(RENEW_PATIENCE, silent)
        self._open_publishing(number, ready, failed)

    def forget_renewals(self) -> None:
        """Another connection is used from now on."""
        self._renewal += 1
        self._renewals_failed = 0

    def retire(self, number: int) -> None:
        """Close a connection that is not needed any more."""
        known = self._known.pop(number, None)
        if known is not None:
            known.connection.close()

    def drop(self, number: int) -> None:
        """Give a connection up without a closing handshake."""
        known = self._known.pop(number, None)
        if known is not None:
            known.connection.abort()

    def close(self) -> None:
        """Close all of them in an orderly way."""
        self.forget_renewals()
        for known in self._known.values():
            known.connection.close()
        self._known.clear()

    def abandon(self) -> None:
        """Give all of them up after the loop has failed, which may have left them in any state."""
        for known in self._known.values():
            abandon(known.connection, known.target)
        self._known.clear()

    def _renew_again(self, number: int, renewal: int) -> None:
        if renewal == self._renewal:
            self.renew_publishing(number)

    def _note_block(self, number: int, why: str | None) -> None:
        known = self._known.get(number)
        if known is not None:
            known.is_blocked = why is not None
            self._on_blocked(number, why)

    def _give_up(self, number: int, why: str) -> None:
        """Of no use any more."""
        self._known[number].connection.abort()
        self._lost(number, ConnectionLost(why))

    def _open_first_channel(self, number: int, timeout: float) -> None:
        known = self._known[number]
        loop, has_answered = self._transport.loop, False
        timer: Timer = None

        def ready() -> None:
            loop.cancel(timer)
            self._on_ready(number)

        def failed(why: str) -> None:
            loop.cancel(timer)
            if self._known.get(number) is known:
                self._give_up(number, f"no publish channel: {why}")

        def late() -> None:
            nonlocal timer
            # the loop may be behind: it looks at its sockets first
            timer = loop.call_later(0.0, silent)

        def silent() -> None:
            nonlocal timer, has_answered
            if known.publishing is not None and not has_answered:
                has_answered = True
                timer = loop.call_later(timeout, late)
            else:
                failed(f"no answer in {timeout:g} s")

        timer = loop.call_later(timeout, late)
        self._open_publishing(number, ready, failed)

    def _open_publishing(
        self, number: int, on_ready: Callable[[], None], on_failed: Callable[[str], None]
    ) -> None:
        """``on_failed``: called with the reason when the broker closes the channel before it is ready."""
        known = self._known[number]
        is_ready = False

        def ready() -> None:
            nonlocal is_ready
            is_ready = True
            on_ready()

        def opened(channel: Channel) -> None:
            known.publishing = channel
            confirm(channel, self._publisher, ready)

        def lost(channel: Channel, lost: ChannelLost) -> None:
            log.warning("the broker closed the publish channel: %s", lost.why)
            if known.publishing is channel:
                known.publishing = None
            if is_ready:
                self._publisher.channel_lost(channel, lost.why, final=lost.code in FINAL_CODES)
            else:
                on_failed(lost.why)

        known.connection.channel(opened, lost)

    def _lost(self, number: int, lost: ConnectionLost) -> None:
        known = self._known.pop(number, None)
        if known is not None:
            self._on_lost(number, known, lost)


def confirm(channel: Channel, publisher: Publisher[PublishFuture], on_ready: Callable[[], None]) -> None:
    """Have a channel confirm what is published on it, and the publisher told of what comes of that."""
    channel.confirm(
        on_ready,
        lambda answers: publisher.answered(channel, answers),
        lambda *came_back: publisher.returned(channel, *came_back),
    )


def abandon(connection: Connection, target: Target) -> None:
    """Give a connection up after the loop has failed, which may have left it in any state."""
    try:
        connection.abort()
    except Exception as error:  # noqa: BLE001 - others are to be given up too
        log.warning("the connection to %s could not be dropped: %r", target.member, error)
