"""What a subscription needs of the engine, as one value."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from rabbitkeeper.client.amqp.transport import CallLater
from rabbitkeeper.client.model.events import Event


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
        is_single_active: whether a queue was declared to feed one of its consumers alone.
        on_left: called when a consumer that was left has nothing more to say on its connection.
    """

    post: Callable[[Callable[[], None]], None]
    call_later: CallLater
    now: Callable[[], float]
    emit: Callable[[Event], None]
    resolve: Callable[[str], str]
    is_pending: Callable[[str], bool]
    is_single_active: Callable[[str], bool]
    on_left: Callable[[], None]
    random: Random
