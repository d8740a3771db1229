"""Credentials that change: a transport around another one, which asks for them at each connect, and again
before they expire.

The user's function is called on a thread of its own, so that one that takes long, or never returns, holds up
nothing but the connections that wait for it; and those no longer than :data:`PATIENCE`. It is called once for
all that wait, and not again before it has returned, so that there is one such thread at the most.

A broker that refuses what was good before does not end the client: a password may be changed there before it
is changed here. What it refuses from the beginning does, as it does with a password that is given once.

Those that expire, access tokens mostly, are asked for again when :data:`USED` of their time is over. What
comes then goes to all open connections (``connection.update-secret``, RabbitMQ's extension of AMQP 0-9-1), so
that none ends because a token did. A function that fails then is called again, with growing pauses; what the
broker does with a connection whose token is over is the broker's.
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
    Timer,
    Transport,
)
from rabbitkeeper.client.model.credentials import Credentials
from rabbitkeeper.client.model.retry import doubled

log = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds for the function to return, of one connection that waits for it
USED = 0.75  # of the time for which credentials are good, after which they are asked for again
RETRY, MOST_RETRY = 1.0, 30.0  # seconds to the next call when that has failed; doubled up to the second
LEAST = 1.0  # seconds between two calls, whatever the function says

Ask = Callable[[], Credentials]
"""Gives them, and raises whatever it likes."""


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
        self._open: list[_AskingConnection] = []
        self._refresh: Timer | None = None
        self._failures = 0  # in a row

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
            self._open.append(connection)
            on_open()

        def lost(why: ConnectionLost) -> None:
            connection.leave()
            on_lost(replace(why, refused=why.refused and not self.was_let_in))

        def begin(given: Credentials) -> Connection:
            return self.transport.connect(
                address,
                replace(access, username=given.username, password=given.password),
                timeout=timeout,
                on_open=let_in,
                on_lost=lost,
                on_blocked=on_blocked,
            )

        connection = _AskingConnection(begin, lost, self._waiting, self._open)
        self._waiting.append(connection)
        self.loop.call_later(PATIENCE, partial(connection.fail, f"no credentials within {PATIENCE:g} s"))
        self._ask_now()
        return connection

    def _ask_now(self) -> None:
        if not self._is_asked:
            self._is_asked = True
            self._start(self._call)

    def _call(self) -> None:
        """On another thread."""
        try:
            answered = partial(self._answered, self._ask())
        except BaseException as error:  # noqa: BLE001 - it is told, by its kind: it may hold a secret
            answered = partial(self._failed, type(error).__name__)
        self.loop.call_soon_threadsafe(answered)

    def _answered(self, given: Credentials) -> None:
        self._is_asked = False
        self._failures = 0
        if given.expires_in is not None:
            for connection in self._open:
                connection.refresh(given.password)
            self._ask_later(max(LEAST, given.expires_in * USED))
        for connection in list(self._waiting):
            connection.begin(given)

    def _failed(self, kind: str) -> None:
        self._is_asked = False
        log.warning("the function for credentials has failed: %s", kind)
        if self._refresh is not None:
            self._ask_later(doubled(RETRY, self._failures, MOST_RETRY))
            self._failures += 1
        for connection in list(self._waiting):
            connection.fail(f"the function for credentials has failed: {kind}")

    def _ask_later(self, seconds: float) -> None:
        """Call the function again then, if there is still a connection that would need what it gives."""
        if self._refresh is not None:
            self.loop.cancel(self._refresh)
        self._refresh = self.loop.call_later(seconds, self._due)

    def _due(self) -> None:
        if self._open or self._waiting:
            self._ask_now()
        else:
            self._refresh = None  # the next connect asks


class _AskingConnection:
    """See :class:`transport.Connection`: none yet, and then what the transport has made.

    Args:
        begin: makes it.
        on_lost: see :meth:`transport.Transport.connect`.
        waiting: those that wait for credentials, of which it is one until it has begun or has ended.
        opened: those that are open, of which it is one until it has ended.
    """

    def __init__(
        self,
        begin: Callable[[Credentials], Connection],
        on_lost: Callable[[ConnectionLost], None],
        waiting: "list[_AskingConnection]",
        opened: "list[_AskingConnection]",
    ) -> None:
        self._begin = begin
        self._on_lost = on_lost
        self._waiting = waiting
        self._opened = opened
        self._made: Connection | None = None
        self._secret = ""  # that the broker has, or is to have

    def begin(self, given: Credentials) -> None:
        """The credentials are there, if it still waits for them."""
        if self not in self._waiting:
            return
        self._waiting.remove(self)
        self._secret = given.password
        self._made = self._begin(given)

    def refresh(self, secret: str) -> None:
        """Another secret is good for longer; of an open one."""
        if secret != self._secret:
            self._secret = secret
            self.update_secret(secret, lambda: log.debug("a broker has taken another secret"))

    def update_secret(self, secret: str, on_done: Callable[[], None]) -> None:
        if self._made is not None:
            self._made.update_secret(secret, on_done)

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

    @property
    def version(self) -> tuple[int, int]:
        return (0, 0) if self._made is None else self._made.version

    def channel(
        self, on_open: Callable[[Channel], None], on_lost: Callable[[Channel, ChannelLost], None]
    ) -> Channel:
        assert self._made is not None  # noqa: S101 - as above
        return self._made.channel(on_open, on_lost)

    def leave(self) -> None:
        """It is no longer among those that wait, or are open."""
        for known in (self._waiting, self._opened):
            if self in known:
                known.remove(self)

    def abort(self) -> None:
        self.leave()
        if self._made is not None:
            self._made.abort()

    def close(self) -> None:
        self.leave()
        if self._made is not None:
            self._made.close()
