"""What a client asks of the broker about its topology, beside declaring it: as values."""

from dataclasses import dataclass

from rabbitkeeper.client.model.topology import Binding, Entity, Exchange, ExchangeBinding, Queue, describe


@dataclass(frozen=True, slots=True)
class DeleteEntity:
    """An exchange or a queue is to be deleted, with its bindings, and not declared again."""

    entity: Exchange | Queue
    if_unused: bool = False  # by consumers, or by bindings of an exchange
    if_empty: bool = False


@dataclass(frozen=True, slots=True)
class Unbind:
    """A binding is to be deleted, and not declared again."""

    binding: Binding | ExchangeBinding


@dataclass(frozen=True, slots=True)
class Purge:
    """A queue's messages that are not delivered are to be deleted."""

    queue: str


@dataclass(frozen=True, slots=True)
class PassiveDeclare:
    """Whether an exchange or a queue of this name is there, whatever its settings."""

    entity: Exchange | Queue


Request = DeleteEntity | Unbind | Purge | PassiveDeclare


def describe_request(asked: Entity | Request) -> str:
    """As in a sentence: ``the deletion of queue 'orders'``."""
    match asked:
        case DeleteEntity():
            return f"the deletion of {describe(asked.entity)}"
        case Unbind():
            return f"the deletion of the {describe(asked.binding)}"
        case Purge():
            return f"the purge of queue {asked.queue!r}"
        case PassiveDeclare():
            return f"the look at {describe(asked.entity)}"
    return describe(asked)
