"""Connections to members where the client is not, over which single messages are tried (:mod:`elsewhere`).

Each is opened when it is asked for and closed when nothing has gone over it for a while. It declares nothing
and has no part in where the client is.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from rabbitkeeper.client.amqp.transport import (
    FRAME_MAX,
    Access,
    Channel,
    Connection,
    Loop,
    Timer,
    Transport,
)
from rabbitkeeper.client.engine.connections import abandon, confirm
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.publish.publisher import Publisher
from rabbitkeeper.client.routing.placement import Target, Targets

log = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds for a channel, and then for an answer; after as many unused a connection is closed


@dataclass(slots=True, eq=False)
class _OtherMember:
    """One member that is asked."""

    target: Target
    connection: Connection
    channel: Channel | None = None
    is_opening: bool = True
    timer: Timer = None


class OtherMembers:
    """Everything is called on the I/O thread.

    Args:
        transport: where connections come from.
        access: how to get into a broker.
        publisher: whose messages are tried.
        targets: tells the group as it is.
    """

    def __init__(
        self,
        transport: Transport,
        access: Access,
        publisher: Publisher[PublishFuture],
        targets: Callable[[], Targets],
    ) -> None:
        self._transport = transport
        self._loop: Loop = transport.loop
        self._access = replace(access, name=f"{access.name} (asking)")
        self._publisher = publisher
        self._targets = targets
        self._known: dict[str, _OtherMember] = {}

    def is_there(self, member: str) -> bool:
        """See :class:`elsewhere.OtherMembers`."""
        target = self._targets().members.get(member)
        return target is not None and not self._targets().declares_dead(target)

    def ask(self, member: str) -> None:
        """See :class:`elsewhere.OtherMembers`."""
        asked = self._known.get(member)
        if asked is None:
            self._connect(member)
        elif not asked.is_opening and (asked.channel is None or not asked.channel.is_open):
            self._open_channel(member, asked)

    def close(self) -> None:
        """Nobody is to be asked any more; what was on its way is the ledger's."""
        for asked in self._take_all():
            asked.connection.close()

    def abandon(self) -> None:
        """Give all of them up after the loop has failed, which may have left them in any state."""
        for asked in self._take_all():
            abandon(asked.connection, asked.target)

    def _take_all(self) -> list[_OtherMember]:
        known = list(self._known.values())
        self._known.clear()
        for asked in known:
            self._stop(asked)
        return known

    def _connect(self, member: str) -> None:
        target = self._targets().members.get(member)
        if target is None:  # it has gone meanwhile
            self._loop.call_later(0.0, lambda: self._publisher.elsewhere.give_up(member))
            return
        log.debug("asking %s at %s, too", member, target.address)
        asked = self._known[member] = _OtherMember(
            target,
            self._transport.connect(
                target.address,
                self._access,
                timeout=PATIENCE,
                on_open=lambda: self._open_channel(member, asked),
                on_lost=lambda lost: self._give_up(member, asked, lost.why),
                on_blocked=lambda _: None,
            ),
        )
        self._wait(member, asked)

    def _open_channel(self, member: str, asked: _OtherMember) -> None:
        """``asked`` is connected."""
        if asked.connection.frame_max < FRAME_MAX:  # a message that does not fit would end the connection
            self._give_up(member, asked, f"it takes frames of {asked.connection.frame_max} bytes alone")
            return
        asked.is_opening = True
        self._wait(member, asked)

        def opened(channel: Channel) -> None:
            asked.channel = channel
            confirm(channel, self._publisher, ready)

        def ready() -> None:
            asked.is_opening = False
            self._wait(member, asked)
            if asked.channel is not None:
                self._publisher.elsewhere.opened(asked.channel, member)

        asked.connection.channel(opened, lambda _, lost: self._give_up(member, asked, lost.why))

    def _wait(self, member: str, asked: _OtherMember) -> None:
        """Look in a while what has become of it."""
        self._stop(asked)
        asked.timer = self._loop.call_later(PATIENCE, lambda: self._look(member, asked))

    def _stop(self, asked: _OtherMember) -> None:
        """Nobody looks any more."""
        if asked.timer is not None:
            self._loop.cancel(asked.timer)
            asked.timer = None

    def _look(self, member: str, asked: _OtherMember) -> None:
        if asked.is_opening or (asked.channel is not None and asked.channel.is_open):
            self._give_up(member, asked, f"no answer in {PATIENCE:g} s")
        else:
            del self._known[member]
            asked.connection.close()

    def _give_up(self, member: str, asked: _OtherMember, why: str) -> None:
        if self._known.get(member) is not asked:
            return
        log.debug("%s at %s could not be asked: %s", member, asked.target.address, why)
        del self._known[member]
        self._stop(asked)
        asked.connection.abort()
        self._publisher.elsewhere.give_up(member)
