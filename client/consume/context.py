"""What a subscription needs of the engine, as one value."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from rabbitkeeper.client.amqp.transport import CallLater, Channel, Connection
from rabbitkeeper.client.consume.acknowledger import Acknowledger, NoAcknowledger
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.model.topology import Queue


@dataclass(frozen=True, slots=True)
class SubscriptionContext:
    """Made once by the engine.

    Args:
        post: hands a call over to the I/O thread.
        call_later: the loop's timer.
        now: seconds, monotonic.
        emit: takes events.
        resolve: the broker's name of a queue.
        is_pending: whether a queue is yet to be declared again.
        declared: a queue as this client has declared it, if it has.
        declare_again: has a queue declared again that was deleted by itself, with its bindings.
        on_left: called when a consumer that was left has nothing more to say on its connection.
        on_silent: called with a connection on which a consumer has no answer, on channel after channel.
    """

    post: Callable[[Callable[[], None]], None]
    call_later: CallLater
    now: Callable[[], float]
    emit: Callable[[Event], None]
    resolve: Callable[[str], str]
    is_pending: Callable[[str], bool]
    declared: Callable[[str], Queue | None]
    declare_again: Callable[[str], None]
    on_left: Callable[[], None]
    on_silent: Callable[[Connection], None]
    random: Random
    warned: set[str] = field(default_factory=set)  # queues of which something was said once

    def acknowledger(self, channel: Channel, prefetch: int, *, no_ack: bool) -> Acknowledger:
        """For what ``channel`` delivers; see :mod:`acknowledger`."""
        kind = NoAcknowledger if no_ack else Acknowledger
        return kind(channel, prefetch, post=self.post, call_later=self.call_later)
