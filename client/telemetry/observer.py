"""What can observe a client, as interfaces: telemetry, which makes an observer for each client, and tracers.

An observer is told what happens; it changes nothing. A tracer may besides put its context into a message's
headers. Where a client has none of them, nothing of this room runs: see :mod:`observed`.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.status import Status


class ClientObserver:
    """Told what happens to one client. Calls come from any thread, must not wait, and raise nothing.

    Each of these does nothing here.
    """

    def sending(self, futures: Sequence[PublishFuture], address: str | None) -> None:
        """They are about to be sent to the broker at ``address``; ``attempts`` counts the times before."""

    def confirmed(self, futures: Sequence[PublishFuture]) -> None:
        """They are confirmed."""

    def failed(self, future: PublishFuture, error: Exception) -> None:
        """It has ended with ``error``."""

    def taken_back(self, future: PublishFuture) -> None:
        """It was cancelled before it was sent, or its caller was interrupted."""

    def received(self, message: Message) -> None:
        """A message has come to who asked for it, or is about to be given to a function."""

    def event(self, event: Event) -> None:
        """See ``Client.on_event``."""

    def begin(self, status: Callable[[], Status]) -> None:
        """The client has reached a broker; ``status`` is its own."""


class Tracer(ClientObserver):
    """An observer that makes spans. A client has one at the most."""

    def publishing(
        self, future: PublishFuture, properties: BasicProperties | None
    ) -> tuple[BasicProperties | None, object]:
        """A message is about to be handed over: the properties to send it with (the given ones are left as
        they are), and what ``future`` has as its ``trace``."""
        raise NotImplementedError

    def asked(self, message: Message, began: float) -> None:
        """``message`` was asked for, and waited for since ``began`` (seconds since 1970)."""
        raise NotImplementedError

    def processing(self, message: Message) -> AbstractContextManager[None]:
        """For ``with``: the message is worked on in the block."""
        raise NotImplementedError

    def settling(self, message: Message, how: str) -> AbstractContextManager[None]:
        """For ``with``: it is answered in the block; ``how`` is ``ack``, ``nack`` or ``reject``."""
        raise NotImplementedError


class Telemetry(Protocol):
    """What a client is given: makes its observer."""

    def observer(self, group: str, name: str) -> ClientObserver:
        """The observer of one client of ``group``, of this name."""
        ...
