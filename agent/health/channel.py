"""What the canaries need of pika's connections and channels, which have no types of their own."""

from collections.abc import Callable, Mapping
from typing import Protocol

import pika


class Frame(Protocol):
    """A frame from the broker."""

    @property
    def method(self) -> object:
        """What the broker says in it: a method of AMQP."""


class Channel(Protocol):
    """Opened by the broker; callbacks come on the I/O loop's thread."""

    @property
    def is_open(self) -> bool: ...

    def close(self) -> None: ...

    def add_on_close_callback(self, callback: Callable[["Channel", Exception], None], /) -> object: ...

    def add_on_return_callback(self, callback: Callable[..., None], /) -> object: ...

    def confirm_delivery(
        self, on_confirm: Callable[[Frame], None], /, callback: Callable[[object], None]
    ) -> object:
        """Have each publish answered by ``on_confirm``, from when ``callback`` is called."""

    def basic_publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: pika.BasicProperties,
        /,
        mandatory: bool,
    ) -> object: ...

    def basic_qos(self, *, prefetch_count: int, callback: Callable[[object], None]) -> object: ...

    def queue_declare(
        self,
        queue: str,
        /,
        *,
        durable: bool,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, object] | None = None,
        callback: Callable[[object], None] | None = None,
    ) -> object:
        """Declare a queue; without ``callback`` the broker answers nothing."""


class Connection(Protocol):
    """An open connection."""

    @property
    def is_open(self) -> bool: ...

    def channel(self, *, on_open_callback: Callable[[Channel], None]) -> Channel: ...
