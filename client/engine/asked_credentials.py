"""Credentials that change: a transport around another one, which asks for them at each connect.

The user's function is called on a thread of its own, so that one that takes long, or never returns, holds up
nothing but the connections that wait for it; and those no longer than :data:`PATIENCE`. It is called once for
all that wait, and not again before it has returned, so that there is one such thread at the most.

A broker that refuses what was good before does not end the client: a password may be changed there before it
is changed here. What it refuses from the beginning does, as it does with a password that is given once.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from rabbitkeeper.client.amqp.transport import (
    Access,
    Channel,
    ChannelLost,
    Connection,
    ConnectionLost,
    Loop,
    Transport,
)

log = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds for the function to return, of one connection that waits for it

Ask = Callable[[], tuple[str, str]]
"""Gives the user name and the password, and raises whatever it likes."""


def _in_thread(call: Callable[[], None]) -> None:
    threading.Thread(target=call, name="rabbitkeeper-credentials", daemon=True).start()


class AskingTransport:
    """See :class:`transport.Transport`.

    Args:
        transport: that connects.
        ask: the user's function, with what it gives checked.
        start: has a call made on another thread; tests have others.
    """

    def __init__(
        self, transport: Transport, ask: Ask, *, start: Callable[[Callable[[], None]], None] = _in_thread
    ) -> None:
        self.transport = transport
        self.was_let_in = False  # once, with what was given then
        self._ask = ask
        self._start = start
        self._is_asked = False  # the function has not returned
        self._waiting: list[_AskingConnection] = []

    @property
    def loop(self) -> Loop:
        return self.transport.loop

    def connect(
        self,
        address: str,
        access: Access,
        *,
        timeout: float,
        on_open: Callable[[], None],
        on_lost: Callable[[ConnectionLost], None],
        on_blocked: Callable[[str | None], None],
    ) -> "_AskingConnection":
        def let_in() -> None:
            self.was_let_in = True
            on_open()

        def lost(why: ConnectionLost) -> None:
            on_lost(replace(why, refused=why.refused and not self.was_let_in))

        def begin(username: str, password: str) -> Connection:
            return self.transport.connect(
                address,
                replace(access, username=username, password=password),
                timeout=timeout,
                on_open=let_in,
                on_lost=lost,
                on_blocked=on_blocked,
            )

        connection = _AskingConnection(begin, lost, self._waiting)
        self._waiting.append(connection)
        self.loop.call_later(PATIENCE, partial(connection.fail, f"no credentials within {PATIENCE:g} s"))
        if not self._is_asked:
            self._is_asked = True
            self._start(self._call)
        return connection

    def _call(self) -> None:
        """On another thread."""
        try:
            answered = partial(self._answered, *self._ask())
        except BaseException as error:  # noqa: BLE001 - it is told, by its kind: it may hold a secret
            answered = partial(self._failed, type(error).__name__)
        self.loop.call_soon_threadsafe(answered)

    def _answered(self, username: str, password: str) -> None:
        self._is_asked = False
        for connection in list(self._waiting):
            connection.begin(username, password)

    def _failed(self, kind: str) -> None:
        self._is_asked = False
        log.warning("the function for credentials has failed: %s", kind)
        for connection in list(self._waiting):
            connection.fail(f"the function for credentials has failed: {kind}")


class _AskingConnection:
    """See :class:`transport.Connection`: none yet, and then what the transport has made.

    Args:
        begin: makes it.
        on_lost: see :meth:`transport.Transport.connect`.
        waiting: those that wait for credentials, of which it is one until it has begun or has ended.
    """

    def __init__(
        self,
        begin: Callable[[str, str], Connection],
        on_lost: Callable[[ConnectionLost], None],
        waiting: "list[_AskingConnection]",
    ) -> None:
        self._begin = begin
        self._on_lost = on_lost
        self._waiting = waiting
        self._made: Connection | None = None

    def begin(self, username: str, password: str) -> None:
        """The credentials are there, if it still waits for them."""
        if self not in self._waiting:
            return
        self._waiting.remove(self)
        self._made = self._begin(username, password)

    def fail(self, why: str) -> None:
        """There will be none, if it still waits for them."""
        if self in self._waiting:
            self._waiting.remove(self)
            self._on_lost(ConnectionLost(why))

    @property
    def is_open(self) -> bool:
        return self._made is not None and self._made.is_open

    @property
    def frame_max(self) -> int:
        assert self._made is not None  # noqa: S101 - it is asked of an open connection
        return self._made.frame_max

    def channel(
        self, on_open: Callable[[Channel], None], on_lost: Callable[[Channel, ChannelLost], None]
    ) -> Channel:
        assert self._made is not None  # noqa: S101 - as above
        return self._made.channel(on_open, on_lost)

    def abort(self) -> None:
        self._give_up()
        if self._made is not None:
            self._made.abort()

    def close(self) -> None:
        self._give_up()
        if self._made is not None:
            self._made.close()

    def _give_up(self) -> None:
        if self in self._waiting:
            self._waiting.remove(self)
