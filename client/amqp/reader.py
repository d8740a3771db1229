"""What comes from a broker, read past pika where pika lets us: from the socket to :mod:`decoding`.

pika opens the connection and goes on with its methods, heartbeats and end. Deliveries and confirms are
decoded here, and, unless there is TLS, the socket is read here too: once each time it is readable and into
one buffer, where pika reads 4,096 bytes at a time until there are no more.

That needs private parts of a connection, which are looked for each time one is opened. Where they are not as
in pika 1.3 and 1.4, or as in what comes after them, pika decodes, slower and otherwise the same.
"""

import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

from pika.adapters.select_connection import SelectConnection

from rabbitkeeper.client.amqp.decoding import Decoder
from rabbitkeeper.client.amqp.pika_logging import warn_once

log = logging.getLogger(__name__)

RECEIVE = 64 * 1024  # bytes a read; pika's 4,096 are ten messages of a usual size


def read_directly(connection: SelectConnection) -> Decoder | None:
    """Have what comes over an open connection decoded by ours.

    It takes the place of pika's ``_on_data_available`` and hands every other frame on to it.

    Returns:
        The decoder, which is to be told of consumers and publishers; None if pika goes on decoding all.
    """
    missing = _missing(connection)
    if missing is not None:
        warn_once(log, f"consuming and confirms take the slow way: this version of pika {missing}")
        return None
    decoder = Decoder(connection._on_data_available, int(connection.params.frame_max))

    def received(data: bytes | memoryview) -> None:
        buffered = connection._frame_buffer
        if buffered:  # what pika had of a frame when this took its place
            connection._frame_buffer = type(buffered)()
            data = bytes(buffered) + data
        before = connection.bytes_received
        decoder.feed(data)
        # pika's heartbeat looks at whether this grows
        connection.bytes_received = before + len(data)

    connection._on_data_available = received
    _receive_directly(connection._transport, received)
    return decoder


def _missing(connection: SelectConnection) -> str | None:
    """What keeps ours from reading; None if nothing does."""
    if not callable(getattr(connection, "_on_data_available", None)):
        return "takes no bytes"
    if not isinstance(getattr(connection, "_frame_buffer", None), bytes | bytearray):
        return "does not say what it has of a frame"
    if not isinstance(getattr(connection, "bytes_received", None), int):
        return "does not count the bytes received"
    return None


def _receive_directly(transport: Any, received: Callable[[memoryview], None]) -> None:
    """Have ``transport`` read the socket once, and much, each time it is readable, if it lets us."""
    sock, end_of_file = getattr(transport, "_sock", None), getattr(transport, "RxEndOfFile", None)
    if isinstance(sock, ssl.SSLSocket):
        _receive_much(transport)
        return
    if (
        not isinstance(sock, socket.socket)
        or end_of_file is None
        or not callable(getattr(transport, "_consume", None))
    ):
        warn_once(
            log, "the socket is read the slow way: this version of pika does not let it be read otherwise"
        )
        _receive_much(transport)
        return
    view = memoryview(bytearray(RECEIVE))

    def consume() -> None:
        count = sock.recv_into(view)
        if not count:
            raise end_of_file
        received(view[:count])

    transport._consume = consume


def _receive_much(transport: Any) -> None:
    """Have pika itself read more at once, if it lets us."""
    if hasattr(transport, "_MAX_RECV_BYTES"):
        transport._MAX_RECV_BYTES = RECEIVE
