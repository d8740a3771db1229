"""pika as a later one might be, and whether a client is fast by what this one has."""

from typing import Any

from pika.adapters.select_connection import SelectConnection

from rabbitkeeper.client import (
    Client,
)
from rabbitkeeper.client.amqp.pika_channel import PikaChannel
from rabbitkeeper.client.amqp.pika_connection import PikaConnection
from rabbitkeeper.client.amqp.writer import FastWriter, PlainWriter


class OtherTransport:
    """pika's, but it does not say how much waits for the socket."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        if name == "get_write_buffer_size":
            raise AttributeError(name)
        return getattr(self._transport, name)


class OtherPika(SelectConnection):  # type: ignore[misc]  # pika has no types
    """As a later pika might be: the private parts that publishing and consuming are fast by are not there."""

    def _init_connection_state(self) -> None:
        super()._init_connection_state()
        self.bytes_received = 0.0

    def _proto_connection_made(self, transport: Any) -> None:
        super()._proto_connection_made(OtherTransport(transport))


def uses_private_parts(client: Client) -> bool:
    current = client._engine._executor.current
    assert current is not None
    assert isinstance(current.publishing, PikaChannel)
    assert isinstance(current.connection, PikaConnection)
    fast = current.connection._decoder is not None
    assert type(current.publishing._writer) is (FastWriter if fast else PlainWriter)
    return fast
