"""A broker of a few lines on a real socket: it says exactly the bytes that a test has it say.

What a real broker never says (:mod:`decoding` refuses it) has to come from somewhere, and pika's own loop,
transport and heartbeat are to be in between. It answers the methods that a connection is set up with and lets
everything else be.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from pika import frame
from pika.spec import Basic, Channel, Confirm, Connection

_ANSWERS: dict[type, Callable[[Any], object]] = {
    Connection.Open: lambda _: Connection.OpenOk(),
    Connection.Close: lambda _: Connection.CloseOk(),
    Channel.Open: lambda _: Channel.OpenOk(),
    Channel.Close: lambda _: Channel.CloseOk(),
    Confirm.Select: lambda _: Confirm.SelectOk(),
    Basic.Qos: lambda _: Basic.QosOk(),
    Basic.Consume: lambda method: Basic.ConsumeOk(method.consumer_tag),
}
_PROPERTIES = {
    "capabilities": {"publisher_confirms": True, "basic.nack": True, "consumer_cancel_notify": True}
}


class ScriptedBroker:
    """Serves one connection.

    Args:
        on_method: called with each method that comes and its channel, after it was answered; returns what is
            to be sent then.
        until: it hangs up after a method of this class.
        frame_max: bytes, that it announces.
        says_goodbye: it answers when the client closes the connection.
    """

    def __init__(
        self,
        on_method: Callable[[Any, int], bytes],
        *,
        until: type | None = None,
        frame_max: int = 131_072,
        says_goodbye: bool = True,
    ) -> None:
        tune: object = Connection.Tune(2047, frame_max, 0)
        self._answers: dict[type, Callable[[Any], object]] = {**_ANSWERS, Connection.StartOk: lambda _: tune}
        if not says_goodbye:
            del self._answers[Connection.Close]
        self._on_method = on_method
        self._until = until
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self._client: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, name="scripted broker", daemon=True)

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def wait_for_end(self, timeout: float) -> bool:
        """Until the client's socket is closed, for so many seconds; whether it is."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits for a client in vain
        self._listener.close()
        if self._client is not None:
            with suppress(OSError):  # it has hung up
                self._client.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)

    def _serve(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        self._client = client
        with client:
            client.settimeout(10)
            try:
                client.recv(8)
                start = Connection.Start(0, 9, _PROPERTIES, "PLAIN", "en_US")
                client.sendall(frame.Method(0, start).marshal())
                self._answer(client)
            except OSError:
                return

    def _answer(self, client: socket.socket) -> None:
        waiting = b""
        while data := client.recv(65536):
            waiting += data
            while len(waiting) >= 7:
                kind, channel, size = struct.unpack_from(">BHI", waiting)
                if len(waiting) < size + 8:
                    break
                if kind == frame.spec.FRAME_METHOD:
                    method = frame.decode_frame(waiting[: size + 8])[1].method
                    answer = self._answers.get(type(method), lambda _: None)(method)
                    reply = b"" if answer is None else frame.Method(channel, answer).marshal()
                    client.sendall(reply + self._on_method(method, channel))
                    if type(method) is self._until:
                        return
                waiting = waiting[size + 8 :]
