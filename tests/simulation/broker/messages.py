"""What brokers keep: messages in queues, and exchanges with their bindings. Data and routing alone."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from rabbitkeeper.client.model.topology import Binding, Exchange


@dataclass(slots=True, eq=False)
class StoredMessage:
    """One message in one queue."""

    exchange: str
    routing_key: str
    message_id: str
    properties: bytes  # encoded
    body: bytes
    position: int = 0  # in its queue, given once
    redelivered: bool = False
    deliveries: int = 0
    failures: int = 0  # what a delivery limit counts: consumers have refused it, or were lost with it

    @property
    def content(self) -> tuple[str, bytes, bytes]:
        """What stays when it goes to another queue: id, properties, body."""
        return self.message_id, self.properties, self.body


@dataclass(slots=True)
class Exchanges:
    """Exchanges by name, and where they lead. The default exchange leads to each queue by its name."""

    declared: dict[str, Exchange] = field(default_factory=dict)
    bindings: dict[tuple[str, str, str], Binding] = field(default_factory=dict)
    between: set[tuple[str, str, str]] = field(default_factory=set)  # source, destination, key

    def has(self, name: str) -> bool:
        return name == "" or name in self.declared

    def bind(self, binding: Binding, queue: str) -> None:
        self.bindings[binding.exchange, queue, binding.routing_key] = binding

    def forget_queue(self, name: str) -> None:
        before = self.bindings
        self.bindings = {key: one for key, one in before.items() if key[1] != name}
        left = {key[0] for key in self.bindings}
        for exchange in {key[0] for key in before} - left:
            if self.declared[exchange].auto_delete:
                del self.declared[exchange]

    def route(self, name: str, routing_key: str, queues: Iterable[str]) -> list[str]:
        """The queues that a message goes to, each once.

        Args:
            name: of the exchange.
            queues: all that there are.
        """
        if name == "":
            return [queue for queue in queues if queue == routing_key]
        if name not in self.declared:
            return []
        kind = self.declared[name].type
        found: dict[str, None] = {
            queue: None
            for exchange, queue, key in self.bindings
            if exchange == name and _matches(kind, key, routing_key)
        }
        names = list(queues)
        for source, destination, key in self.between:
            if source == name and _matches(kind, key, routing_key):
                found |= dict.fromkeys(self.route(destination, routing_key, names))
        return [queue for queue in names if queue in found]


def _matches(kind: str, pattern: str, key: str) -> bool:
    if kind == "fanout":
        return True
    if kind == "topic":
        return _topic(pattern).fullmatch(f".{key}") is not None
    return pattern == key


def _topic(pattern: str) -> re.Pattern[str]:
    """``*`` is one word, ``#`` any number of them."""
    words = {"*": r"\.[^.]*", "#": r"(?:\.[^.]*)*"}
    return re.compile("".join(words.get(word, r"\." + re.escape(word)) for word in pattern.split(".")))
