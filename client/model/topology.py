"""What a client declares: exchanges, queues and bindings, as values, and all of them in order.

A durable queue is a quorum queue by default: its messages are on a majority of the brokers before they are
confirmed. Only that survives a broker; classic queues live on one node.
"""

import uuid
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from rabbitkeeper.client.model.checks import check_short
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.model.field_table import encode_table

_SERVER_NAMED = "server-named:"  # begins the client's own name of a queue that the broker names


def _no_arguments() -> Mapping[str, Any]:
    return MappingProxyType({})


def _freeze_arguments(entity: "Entity") -> None:
    """Check the arguments, and keep them as they are now, whatever becomes of the caller's."""
    encode_table(entity.arguments, f"{type(entity).__name__}.arguments", floats=False)
    object.__setattr__(entity, "arguments", MappingProxyType(deepcopy(dict(entity.arguments))))


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange: ``Exchange("my-exchange", "fanout")``."""

    name: str
    type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, Any] = field(default_factory=_no_arguments, hash=False)

    def __post_init__(self) -> None:
        check_short("exchange name", self.name, empty=False)
        check_short("exchange type", self.type, empty=False)
        _freeze_arguments(self)


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue: ``Queue("my-queue")``.

    With ``Queue("", exclusive=True)`` the broker names it, differently after each switch. Its ``name`` here
    is one that only the client knows; it stands for the queue in ``Binding``, ``consume`` and ``queue_name``,
    which tells the broker's.

    Args:
        name: its name; empty for one that the broker names, which must be exclusive or auto-delete.
        durable: it survives a restart of the brokers.
        exclusive: for this connection alone; gone with it.
        auto_delete: gone with its last consumer.
        type: ``"quorum"`` or ``"classic"``; by default quorum where the queue can be one: durable, not
            exclusive and not deleted by itself.
        arguments: as RabbitMQ takes them, such as ``{"x-delivery-limit": 5}``; no floats, which no queue,
            exchange or binding has a use for.

    Raises:
        InvalidArgument: a name or an argument cannot be sent.
    """

    name: str
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    type: Literal["quorum", "classic", "stream"] | None = None
    arguments: Mapping[str, Any] = field(default_factory=_no_arguments, hash=False)

    def __post_init__(self) -> None:
        if self.name == "":
            if not (self.exclusive or self.auto_delete):
                raise InvalidArgument(
                    "a queue without a name gets another name after each switch: give it a name, "
                    "or make it exclusive or auto-delete"
                )
            object.__setattr__(self, "name", f"{_SERVER_NAMED}{uuid.uuid4().hex}")
        check_short("queue name", self.name)
        _freeze_arguments(self)
        if self.type not in (None, "quorum", "classic", "stream"):
            raise InvalidArgument(
                f"queue type {self.type!r} is not valid: use 'quorum', 'classic' or 'stream'"
            )
        if self.type == "quorum" and not self._can_replicate:
            raise InvalidArgument(
                f"queue {self.name!r}: a quorum queue is durable, not exclusive and not auto-delete; "
                "use type='classic' for this one"
            )

    @property
    def feeds_one_consumer(self) -> bool:
        """Whether it feeds one of its consumers alone."""
        return self.arguments.get("x-single-active-consumer") is True

    @property
    def drops_what_fails(self) -> bool:
        """Whether it has a delivery limit and, as far as it was declared, no place for what is over it."""
        limit = self.arguments.get("x-delivery-limit")
        return isinstance(limit, int) and limit >= 0 and "x-dead-letter-exchange" not in self.arguments

    @property
    def is_stream(self) -> bool:
        """Whether it was declared as a stream."""
        return bool(self.declared_arguments.get("x-queue-type") == "stream")

    @property
    def is_server_named(self) -> bool:
        """Whether the broker chooses its name."""
        return self.name.startswith(_SERVER_NAMED)

    @property
    def _can_replicate(self) -> bool:
        return self.durable and not self.exclusive and not self.auto_delete

    @property
    def declared_arguments(self) -> dict[str, Any]:
        """The arguments with the queue's type among them."""
        arguments = dict(self.arguments)
        kind = self.type or ("quorum" if self._can_replicate else None)
        if kind is not None:
            arguments.setdefault("x-queue-type", kind)
        return arguments


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding of a queue to an exchange: ``Binding("my-exchange", "my-queue")``."""

    exchange: str
    queue: str
    routing_key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=_no_arguments, hash=False)

    def __post_init__(self) -> None:
        check_short("exchange name", self.exchange, empty=False)
        check_short("queue name", self.queue, empty=False)
        check_short("routing key", self.routing_key)
        _freeze_arguments(self)


@dataclass(frozen=True, slots=True)
class ExchangeBinding:
    """A binding of an exchange to another: what comes to ``source`` goes on to ``destination``."""

    source: str
    destination: str
    routing_key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=_no_arguments, hash=False)

    def __post_init__(self) -> None:
        check_short("name of the source", self.source, empty=False)
        check_short("name of the destination", self.destination, empty=False)
        check_short("routing key", self.routing_key)
        _freeze_arguments(self)


Entity = Exchange | Queue | Binding | ExchangeBinding


class Topology:
    """All that a client has declared, in the order to declare it again: exchanges, queues, bindings."""

    def __init__(self) -> None:
        self._entities: dict[tuple[object, ...], Entity] = {}
        self._names: dict[str, str] = {}  # the broker's, by the client's

    def record(self, entity: Entity) -> None:
        """Remember ``entity``; one of the same name is replaced."""
        self._entities[key_of(entity)] = entity

    def has(self, key: tuple[object, ...]) -> bool:
        """Whether what :func:`key_of` gives this for is to be declared again."""
        return key in self._entities

    def forget(self, entity: Entity) -> None:
        """Declare ``entity`` and its bindings no more."""
        self._entities.pop(key_of(entity), None)
        if isinstance(entity, Exchange | Queue):
            for key, known in list(self._entities.items()):
                if _hangs_on(known, entity):
                    del self._entities[key]
        if isinstance(entity, Queue):
            self.forget_name(entity.name)

    def __iter__(self) -> Iterator[Entity]:
        for kind in (Exchange, Queue, Binding, ExchangeBinding):
            yield from [entity for entity in self._entities.values() if isinstance(entity, kind)]

    def __len__(self) -> int:
        return len(self._entities)

    def queue(self, name: str) -> Queue | None:
        """The queue of this name, as it was declared; None if it was not."""
        declared = self._entities.get(("queue", name))
        return declared if isinstance(declared, Queue) else None

    def that_went_with(self, queue: str) -> list[Entity]:
        """What has to be declared again when ``queue`` was deleted by itself: the exchanges that went with
        its bindings, the queue, its bindings."""
        bindings = [one for one in self if isinstance(one, Binding) and one.queue == queue]
        sources = {binding.exchange for binding in bindings}
        exchanges = [
            one for one in self if isinstance(one, Exchange) and one.auto_delete and one.name in sources
        ]
        declared = self.queue(queue)
        return [*exchanges, *([] if declared is None else [declared]), *bindings]

    def that_went_with_exchange(self, exchange: str) -> list[Entity]:
        """What has to be declared again when ``exchange`` is not there, if it goes with its last binding: it,
        and what was bound to it, or it to."""
        declared = self._entities.get(("exchange", exchange))
        if not isinstance(declared, Exchange) or not declared.auto_delete:
            return []
        return [declared, *(one for one in self if _hangs_on(one, declared))]

    def that_is_missing(self, asked: object) -> list[Entity]:
        """What of a binding that was refused may have gone by itself: exchanges and a queue."""
        match asked:
            case Binding(exchange=source, queue=name):
                ends = [("exchange", source), ("queue", name)]
            case ExchangeBinding(source=source, destination=name):
                ends = [("exchange", source), ("exchange", name)]
            case _:
                return []
        known = [self._entities.get(end) for end in ends]
        return [one for one in known if isinstance(one, Exchange | Queue) and one.auto_delete]

    def name(self, queue: str, given: str) -> str | None:
        """The broker has named ``queue``; the name that it had before, if any."""
        previous = self._names.get(queue)
        self._names[queue] = given
        return previous

    def forget_name(self, queue: str) -> None:
        """The queue that the broker had named is no more."""
        self._names.pop(queue, None)

    def resolve(self, queue: str) -> str:
        """The broker's name of ``queue``."""
        return self._names.get(queue, queue)


def describe(entity: Entity) -> str:
    """As in a sentence: ``queue 'orders'``."""
    if isinstance(entity, ExchangeBinding):
        return f"binding of exchange {entity.destination!r} to exchange {entity.source!r}"
    if isinstance(entity, Binding):
        return f"binding of queue {entity.queue!r} to exchange {entity.exchange!r}"
    return f"{type(entity).__name__.lower()} {entity.name!r}"


def key_of(entity: Entity) -> tuple[object, ...]:
    """What makes it the same entity as another."""
    match entity:
        case Exchange(name=name):
            return ("exchange", name)
        case Queue(name=name):
            return ("queue", name)
        case Binding():
            return (
                "binding",
                entity.exchange,
                entity.queue,
                entity.routing_key,
                repr(dict(entity.arguments)),
            )
        case ExchangeBinding():
            return (
                "exchange binding",
                entity.source,
                entity.destination,
                entity.routing_key,
                repr(dict(entity.arguments)),
            )


def _hangs_on(known: Entity, entity: Exchange | Queue) -> bool:
    """Whether ``known`` is a binding of ``entity``."""
    match known, entity:
        case Binding(), Exchange():
            return known.exchange == entity.name
        case Binding(), Queue():
            return known.queue == entity.name
        case ExchangeBinding(), Exchange():
            return entity.name in (known.source, known.destination)
    return False
