"""Tells systemd how the agent is: ``READY=1``, ``STATUS=``, ``WATCHDOG=1``, ``STOPPING=1``.

The protocol is one datagram a message to the socket that ``NOTIFY_SOCKET`` names (sd_notify(3)). The socket
never blocks: a message that systemd does not take at once is left out, since the loop sends the watchdog's
itself.
"""

import os
import re
import socket
from collections.abc import Callable, MutableMapping

from rabbitkeeper.agent.model.state import AgentState
from rabbitkeeper.agent.notify.events import Event
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.coordinator.model.text import printable

STOP_TIME = 120.0  # seconds that an orderly stop may take, which the loop does not see to its end
_SECONDS = re.compile(r"\d+\.\d+ s")


class SystemdNotify:
    """Does nothing where there is no ``NOTIFY_SOCKET``.

    Args:
        environ: the environment. What is meant for this process alone is taken out, so that no child of its,
            the broker least of all, speaks for it.
        clock: monotonic seconds.
        pid: of this process.
    """

    def __init__(
        self,
        environ: MutableMapping[str, str] | None = None,
        *,
        clock: Callable[[], float] = monotonic,
        pid: int | None = None,
    ) -> None:
        environ = os.environ if environ is None else environ
        address = environ.pop("NOTIFY_SOCKET", "")
        interval, watched = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        self._clock = clock
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        self._period: float | None = None
        if address.startswith(("@", "/")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            if interval.isdigit() and int(interval) and watched in ("", str(pid or os.getpid())):
                self._period = int(interval) / 1e6 / 2
        self._beaten_at = float("-inf")
        self._ready = False
        self._status = ""

    @property
    def listens(self) -> bool:
        """Whether systemd has asked to be told."""
        return self._socket is not None

    def beat(self) -> None:
        """The loop has come round: ``WATCHDOG=1`` at half of ``WATCHDOG_USEC``. Returns at once."""
        now = self._clock()
        if self._period is not None and now >= self._beaten_at + self._period:
            self._beaten_at = now
            self._send("WATCHDOG=1")

    def receive(self, state: AgentState, _events: tuple[Event, ...]) -> None:
        """``READY=1`` once it is registered, ``STATUS=`` when the sentence says something new."""
        if not self._ready and state.session.registered:
            self._ready = True
            self._send("READY=1")
        said = _SECONDS.sub("… s", state.sentence)
        if said != self._status:
            self._status = said
            self._send(f"STATUS={printable(state.sentence)}")

    def stopping(self) -> None:
        """``STOPPING=1``; the watchdog's time is that of an orderly stop from here on."""
        lines = ["STOPPING=1"]
        if self._period is not None:
            lines.append(f"WATCHDOG_USEC={int(STOP_TIME * 1e6)}")
        self._send("\n".join(lines))

    def _send(self, message: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError:  # its queue is full, or it is gone: nothing that anybody here could do about it
            return
