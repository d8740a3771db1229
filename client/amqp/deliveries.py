"""Deliveries out of pika: decoded by :mod:`decoding`, past pika's own decoding, where pika lets us.

That needs two private parts of a connection, which are looked for each time one is opened. Where they are not
as in pika 1.3 and 1.4, pika decodes, slower and otherwise the same.
"""

from pika.adapters.select_connection import SelectConnection
from pika.spec import Basic, BasicProperties

from rabbitkeeper.client.amqp.decoding import Decoder, Delivery, encode_envelope

RECEIVE = 65536  # octets a read; pika's 4,096 are ten messages of a usual size


def decode_deliveries(connection: SelectConnection) -> Decoder | None:
    """Have a connection's deliveries decoded by ours.

    It takes the place of pika's ``_on_data_available`` and hands every other frame on to it. Where that, or
    what it keeps, is not as in pika 1.3 and 1.4, pika goes on decoding everything.
    """
    decode = getattr(connection, "_on_data_available", None)
    if (
        not callable(decode)
        or not isinstance(getattr(connection, "_frame_buffer", None), bytes)
        or not isinstance(getattr(connection, "bytes_received", None), int)
    ):
        return None
    decoder = Decoder(decode)

    def received(data: bytes) -> None:
        if connection._frame_buffer:  # what pika had of a frame when this took its place
            data, connection._frame_buffer = connection._frame_buffer + data, b""
        before = connection.bytes_received
        decoder.feed(data)
        # pika's heartbeat looks at whether this grows
        connection.bytes_received = before + len(data)

    connection._on_data_available = received
    transport = getattr(connection, "_transport", None)
    if transport is not None and hasattr(transport, "_MAX_RECV_BYTES"):
        transport._MAX_RECV_BYTES = RECEIVE
    return decoder


def delivery_of(method: Basic.Deliver, properties: BasicProperties, body: bytes) -> Delivery:
    """What pika has decoded, as :mod:`decoding` would have it.

    The properties stay as they are: what could not be encoded again would end the connection, and each later
    one that the message is delivered over.
    """
    envelope = encode_envelope(method.exchange, method.routing_key)
    return method.delivery_tag, bool(method.redelivered), envelope, properties, body
