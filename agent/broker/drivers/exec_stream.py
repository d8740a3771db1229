"""What goes to and comes from a command that Docker runs: one connection, two streams, read by a deadline.

Docker answers the start of an ``exec`` by making its connection a plain one. The SDK's own ways to read it
know no deadline, and begin to read below a buffer that may hold the first bytes already: on a busy host
output would be missing now and then. So the buffer and the socket are taken from where the HTTP library keeps
them, which is its own affair and may change: where they are not found, the connection is read by its number,
with the SDK's weakness. A command that says nothing in its first milliseconds loses nothing by that.
"""

import os
import socket
import time
from io import BufferedReader
from typing import Protocol

_HEADER = 8  # bytes before each part: the stream's number, three zeros, four bytes of length
_STDERR = 2  # the stream's number
_CHUNK = 65536  # bytes


class Numbered(Protocol):
    """An HTTP library's response, by its connection's number."""

    def fileno(self) -> int: ...


class Response(Protocol):
    """What is needed of the response to the start of a command."""

    @property
    def raw(self) -> Numbered: ...

    def close(self) -> None: ...


def connection_below(response: Response) -> tuple[BufferedReader, socket.socket]:
    """The connection of a response: what reads it, with what has been read ahead, and its socket."""
    buffered = getattr(getattr(response.raw, "_fp", None), "fp", None)
    held = getattr(getattr(buffered, "raw", None), "_sock", None)
    if isinstance(buffered, BufferedReader) and isinstance(held, socket.socket):
        return buffered, held
    own = socket.socket(fileno=os.dup(response.raw.fileno()))
    return own.makefile("rb"), own


def exchange(response: Response, stdin: bytes, deadline: float) -> tuple[bytes, bytes]:
    """Write ``stdin`` and read both streams to their end.

    Args:
        response: to the start of the command, not closed yet; it is not closed here.
        stdin: what the command reads.
        deadline: monotonic seconds.

    Returns:
        Standard output and standard error.

    Raises:
        TimeoutError: the deadline has passed.
        OSError: the connection broke.
    """
    buffered, connection = connection_below(response)
    connection.settimeout(_left(deadline))
    connection.sendall(stdin)
    streams: tuple[list[bytes], list[bytes]] = ([], [])
    while header := _exactly(buffered, connection, _HEADER, deadline):
        part = _exactly(buffered, connection, int.from_bytes(header[4:], "big"), deadline)
        streams[header[0] == _STDERR].append(part)
    return b"".join(streams[0]), b"".join(streams[1])


def _exactly(buffered: BufferedReader, connection: socket.socket, size: int, deadline: float) -> bytes:
    """Read ``size`` bytes; fewer when the stream has ended."""
    parts: list[bytes] = []
    while size > 0:
        connection.settimeout(_left(deadline))
        part = buffered.read1(min(size, _CHUNK))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _left(deadline: float) -> float:
    return max(0.05, deadline - time.monotonic())
