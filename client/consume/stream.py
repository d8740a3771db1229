"""A stream's position: where the next consumer of a stream begins.

A stream keeps its messages, and delivers none of them again: where a consumer begins is for the consumer to
say (``x-stream-offset``). So what was delivered and lies here untaken stays good when its channel is lost,
and the next consumer begins behind what the user has taken. Each message tells its offset in a header of that
name.

https://www.rabbitmq.com/docs/streams#consuming: "first", "last" and "next", a number, a time, or an interval
such as "7D". A number is exact; the others begin with a chunk of messages, and so may bring some from before.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from rabbitkeeper.client.amqp.decoding import Delivery
from rabbitkeeper.client.amqp.properties import BasicProperties, decode_properties
from rabbitkeeper.client.consume.feed import BrokerConsumer
from rabbitkeeper.client.consume.inbox import Inbox
from rabbitkeeper.client.model.checks import shown
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.model.topology import Queue

Offset = int | str | datetime

ARGUMENT = "x-stream-offset"
CLOCKS = timedelta(seconds=10)  # by which the clocks of client and broker may differ
_WORDS = frozenset({"first", "last", "next"})
_INTERVAL = re.compile(r"[1-9][0-9]*[YMDhms]")


def check_offset(offset: object) -> None:
    """Refuse what is no offset."""
    if isinstance(offset, bool) or not (
        offset is None
        or (isinstance(offset, int) and 0 <= offset < 2**63)
        or (isinstance(offset, str) and (offset in _WORDS or _INTERVAL.fullmatch(offset)))
        or (isinstance(offset, datetime) and offset.tzinfo is not None)
    ):
        raise InvalidArgument(
            f"offset {shown(offset)} is not valid: use 'first', 'last', 'next', a number from 0 on, "
            "a datetime with a time zone, or an interval such as '2h'"
        )


class StreamPosition:
    """Of one subscription. On the I/O thread.

    Args:
        offset: where to begin; None: as the broker does, with what comes next.
    """

    def __init__(self, offset: Offset | None) -> None:
        self._begin = offset
        self._next: int | None = None  # behind the last delivery
        self._since: datetime | None = None  # the first consumer was there

    def argument(self) -> Offset | None:
        """Where the next consumer begins; None: as the broker does."""
        if self._next is not None:
            return self._next
        if self._begin in (None, "next") and self._since is not None:
            return self._since - CLOCKS  # what has come since then is not to be missed
        return self._begin

    def was_taken_on(self, now: datetime) -> None:
        """The broker has a consumer."""
        if self._since is None:
            self._since = now

    def rewind(self, untaken: Iterable[Delivery]) -> None:
        """These are given up: begin with the first of them."""
        for delivery in untaken:
            self._next = offset_of(delivery)
            break

    def is_new(self, delivery: Delivery) -> bool:
        """Whether a delivery was not here before; it has been now."""
        offset = offset_of(delivery)
        if offset is None:
            return True
        if self._next is not None and offset < self._next:
            return False
        self._next = offset + 1
        return True


def offset_of(delivery: Delivery) -> int | None:
    """None, if it is of no stream."""
    properties = delivery[3]
    if isinstance(properties, bytes) and ARGUMENT.encode() not in properties:
        return None
    decoded: BasicProperties = decode_properties(properties)
    offset = (decoded.headers or {}).get(ARGUMENT)
    return offset if isinstance(offset, int) else None


class StreamReading:
    """What of a subscription is different when its queue is a stream: with an offset, or when this client has
    declared it as one. On the I/O thread.

    An offset among a message's headers shows nothing: what was taken from a stream and published again, with
    its properties, has it in any queue.

    Args:
        inbox: of the subscription.
        offset: where to begin, if the user has said so.
    """

    def __init__(self, inbox: Inbox, offset: Offset | None) -> None:
        self._inbox = inbox
        self._position: StreamPosition | None = None
        if offset is not None:
            self._begin(offset)

    @property
    def is_one(self) -> bool:
        return self._position is not None

    def arguments(self, declared: Queue | None) -> dict[str, object]:
        """Of the next consumer, which begins with what the user has not taken.

        Args:
            declared: the queue, if this client has declared it.
        """
        if self._position is None and declared is not None and declared.is_stream:
            self._begin(None)
        if self._position is None:
            return {}
        self._position.rewind(self._inbox.withdraw())
        offset = self._position.argument()
        return {} if offset is None else {ARGUMENT: offset}

    def was_taken_on(self) -> None:
        """The broker has a consumer."""
        if self._position is not None:
            self._position.was_taken_on(datetime.now(UTC))

    def new_ones(self, consumer: BrokerConsumer, deliveries: list[Delivery]) -> list[Delivery]:
        """Those that were not here before; the others are acked unseen."""
        position = self._position
        if position is None:
            return deliveries
        acknowledger = consumer.acknowledger
        acknowledger.delivered(deliveries[-1][0])
        new: list[Delivery] = []
        for delivery in deliveries:
            if position.is_new(delivery):
                new.append(delivery)
            else:
                acknowledger.ack(delivery[0])
        return new

    def _begin(self, offset: Offset | None) -> None:
        self._position = StreamPosition(offset)
        self._inbox.keeps_lost = True
