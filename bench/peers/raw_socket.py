"""A bare socket: no client, only the frames. What no client can be faster than, near enough."""

import socket
from collections.abc import Iterator
from struct import Struct

from common import ACK_EVERY, PREFETCH, Result, Stopwatch, Where
from pika import frame, spec

_FRAME = Struct(">BHI")  # type, channel, size
_TAG = Struct(">Q")
_DELIVER = b"\x00\x3c\x00\x3c"


class RawSocket:
    """A connection with channel 1 open; pika encodes what is sent while it is being set up."""

    def __init__(self, where: Where) -> None:
        self._socket = socket.create_connection((where.host, where.port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self._frames = self._read()
        self.send(b"AMQP\x00\x00\x09\x01")
        self.expect(spec.Connection.Start)
        secret = f"\0{where.username}\0{where.password}".encode()
        self.method(spec.Connection.StartOk({}, "PLAIN", secret, "en_US"), 0)
        self.expect(spec.Connection.Tune)
        self.method(spec.Connection.TuneOk(2047, 131072, 0), 0)
        self.method(spec.Connection.Open("/"), 0)
        self.expect(spec.Connection.OpenOk)
        self.method(spec.Channel.Open())
        self.expect(spec.Channel.OpenOk)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def method(self, method: object, channel: int = 1) -> None:
        self.send(frame.Method(channel, method).marshal())

    def expect(self, method: type) -> None:
        """Wait for ``method``."""
        wanted = method.INDEX.to_bytes(4, "big")  # type: ignore[attr-defined]
        for kind, payload in self._frames:
            if kind == 1 and payload[:4] == wanted:
                return

    def receive(self) -> bytes:
        """What has come, at least one octet."""
        data = self._socket.recv(262144)
        if not data:
            raise SystemExit("the broker closed the connection")
        return data

    def take_rest(self) -> bytes:
        """What came behind the last frame that was expected."""
        rest, self._rest = self._rest, b""
        return rest

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> Iterator[tuple[int, bytes]]:
        while True:
            while len(self._rest) < 8 or len(self._rest) < 8 + _FRAME.unpack_from(self._rest)[2]:
                self._rest += self.receive()
            kind, _, size = _FRAME.unpack_from(self._rest)
            payload, self._rest = self._rest[7 : 7 + size], self._rest[8 + size :]
            yield kind, payload


def consume(where: Where, queue: str, count: int) -> Result:
    """See :mod:`peers`."""
    raw = RawSocket(where)
    raw.method(spec.Basic.Qos(0, PREFETCH))
    raw.expect(spec.Basic.QosOk)
    raw.method(spec.Basic.Consume(queue=queue))
    raw.expect(spec.Basic.ConsumeOk)
    watch = Stopwatch()
    got, data = 0, raw.take_rest()
    read = _FRAME.unpack_from
    while got < count:
        if not data or got == 0:
            data += raw.receive()
        position, end = 0, len(data)
        while end - position >= 8:
            kind, _, size = read(data, position)
            after = position + size + 8
            if after > end:
                break
            if kind == 1 and data[position + 7 : position + 11] == _DELIVER:
                if not got:
                    watch = Stopwatch()
                got += 1
                if got % ACK_EVERY == 0:
                    raw.method(spec.Basic.Ack(got, multiple=True))
            position = after
        data = data[position:]
        if got < count:
            data += raw.receive()
    result = watch.result(count - 1)
    raw.close()
    return result
