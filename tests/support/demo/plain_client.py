"""A client that knows nothing of RabbitKeeper: plain pika on one address, as an application might have it."""

import time
from collections.abc import Iterator
from contextlib import suppress

import pika
import pika.exceptions

QUEUE = "plain"


class PlainClient:
    """Publishes with confirms to one quorum queue, and connects again whenever the connection breaks.

    Args:
        host, port: of the load balancer.
        credentials: user and password.
    """

    def __init__(self, host: str, port: int, credentials: tuple[str, str]) -> None:
        self._parameters = pika.ConnectionParameters(
            host,
            port,
            credentials=pika.PlainCredentials(*credentials),
            heartbeat=10,
            socket_timeout=2,
            blocked_connection_timeout=10,
            client_properties={"connection_name": "plain"},
        )
        self._connection: pika.BlockingConnection | None = None
        self.confirmed: list[int] = []

    def publish(self, number: int, timeout: float) -> None:
        """Publish one message until it is confirmed.

        Raises:
            TimeoutError: not within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                channel = self._channel()
                channel.basic_publish(
                    "", QUEUE, b"%d" % number, pika.BasicProperties(delivery_mode=2), mandatory=True
                )
            except (pika.exceptions.AMQPError, OSError):
                self.close()
                time.sleep(0.1)
            else:
                self.confirmed.append(number)
                return
        raise TimeoutError(f"message {number} was not confirmed within {timeout:g} s")

    def delivered(self) -> Iterator[int]:
        """What is in the queue."""
        channel = self._channel()
        while True:
            method, _, body = channel.basic_get(QUEUE, auto_ack=True)
            if method is None:
                return
            yield int(body)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.is_open:
            with suppress(pika.exceptions.AMQPError, OSError):
                connection.close()

    def _channel(self) -> pika.adapters.blocking_connection.BlockingChannel:
        # A new one for each message: one that has met a queue without a leader is nacked from then on.
        if self._connection is None:
            self._connection = pika.BlockingConnection(self._parameters)
        channel = self._connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        return channel
