"""A lane: one publish channel, and what is in flight on it, by delivery tag. Pure.

Delivery tags count from 1 on each channel (AMQP 0-9-1, ``confirm.select``). Answers of another channel
must not be handed in. What an answer costs depends on what is in flight, not on what was answered before.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Generic, Protocol, TypeVar

from rabbitkeeper.client.amqp.frames import Outgoing
from rabbitkeeper.client.publish.entry import Entry, Place

E = TypeVar("E", bound=Entry)

REMEMBERED = 4096  # places that refused on one channel; a channel with as many counts as tainted for all

ROOM_POLL = 0.005  # seconds between looks at a socket that takes less than it is given


class PublishChannel(Protocol):
    """What publishing needs of a channel in confirm mode."""

    @property
    def is_open(self) -> bool: ...
    @property
    def room(self) -> int: ...
    def publish(self, messages: Sequence[Outgoing]) -> None: ...
    def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class Lane(Generic[E]):
    """See the module.

    Attributes:
        elsewhere: the member that it is at, if that is another than the client's.
        is_proven: the broker has answered something on it.
        is_heard: it has answered something since somebody last looked.
        has_gaps: an entry passed its deadline here, or was tried elsewhere: what comes may be about that one.
        came_back: of those in flight so many were returned.
        look_at: when it is seen whether it has answered since it was left; seconds, monotonic.
    """

    channel: PublishChannel
    elsewhere: str | None = None
    in_flight: dict[int, E] = field(default_factory=dict)  # by tag, ascending
    is_proven: bool = False
    is_heard: bool = False
    has_gaps: bool = False
    came_back: int = 0
    look_at: float = float("inf")
    _last_tag: int = 0
    _may_return: deque[int] = field(default_factory=deque)  # tags; where to look first for what comes back
    _tainted: set[Place] = field(default_factory=set)

    def __iter__(self) -> Iterator[E]:
        return iter(self.in_flight.values())

    def send(self, entries: Sequence[E]) -> Sequence[E]:
        """``entries`` are about to be published here, in this order: give them their tags."""
        tags = range(self._last_tag + 1, self._last_tag + 1 + len(entries))
        for tag, entry in zip(tags, entries, strict=True):
            entry.tag = tag
            entry.attempts += 1
        self.in_flight.update(zip(tags, entries, strict=True))
        self._last_tag += len(entries)
        return entries

    def confirmed(self, tag: int, *, multiple: bool) -> list[E]:
        """``basic.ack``: the entries that end with it.

        Each is confirmed, unless it had come back: those that have ``returned`` set.
        """
        if not multiple:
            entry = self.in_flight.pop(tag, None)
            return [] if entry is None else [entry]
        return list(map(self.in_flight.pop, self._up_to(tag)))

    def nacked(self, tag: int, *, multiple: bool) -> list[E]:
        """``basic.nack``: the entries that it names. They are not in flight any more, and not here."""
        if multiple:
            refused = [self.in_flight.pop(known) for known in self._up_to(tag)]
        else:
            named = self.in_flight.pop(tag, None)
            refused = [] if named is None else [named]
        for entry in refused:
            self._left(entry)
        return refused

    def _up_to(self, tag: int) -> list[int]:
        # What is in flight is looked at, not the tags below: there may have been millions of single acks.
        # 0 is "all"
        return list(takewhile(tag.__ge__, self.in_flight) if tag else self.in_flight)

    def returned(self, message_id: str | None, exchange: str, routing_key: str, why: str) -> E | None:
        """``basic.return``: no queue took the message. Its ``ack`` follows.

        The broker names a returned message by its content alone, so it is found by its id, exchange and
        routing key; among equals the first not yet returned, for a channel returns in order.
        """
        place = (message_id, exchange, routing_key)
        found = self._next_of(place)
        if found is None:  # it is behind the last one looked at, or came out of order
            self._may_return = deque(self.in_flight)
            found = self._next_of(place)
        if found is not None:
            found.returned = why
            self.came_back += 1
        return found

    def _next_of(self, place: tuple[str | None, str, str]) -> E | None:
        """The next that may be meant; those before it are not looked at again."""
        tags, in_flight = self._may_return, self.in_flight
        while tags:
            entry = in_flight.get(tags.popleft())
            if (
                entry is not None
                and entry.returned is None
                and (entry.message_id, entry.exchange, entry.routing_key) == place
            ):
                return entry
        return None

    def sort_out(self, answered: Iterable[E]) -> tuple[list[E], list[E]]:
        """Of entries that were acked: those that are confirmed, and those that had come back."""
        confirmed: list[E] = []
        back: list[E] = []
        for entry in answered:
            (confirmed if entry.returned is None else back).append(entry)
        self.came_back -= len(back)
        return confirmed, back

    def take_out(self, entry: E) -> bool:
        """``entry`` ends, or goes another way, before it is answered here.

        Returns:
            Whether it was in flight here.
        """
        if not entry.tag or self.in_flight.get(entry.tag) is not entry:
            return False
        del self.in_flight[entry.tag]
        self.has_gaps = True
        self._left(entry)
        return True

    def end(self, closed_over: str | None = None) -> list[E]:
        """The channel is gone: what was in flight, in order, none of it answered.

        Args:
            closed_over: the broker closed it over one of these messages, with these words.
        """
        left = list(self.in_flight.values())
        self.in_flight.clear()
        self._may_return.clear()
        for entry in left:
            self._left(entry)
            entry.left_unanswered(closed_over)
        return left

    def _left(self, entry: E) -> None:
        self.came_back -= entry.returned is not None
        entry.tag, entry.returned = 0, None

    # -- what refused on it

    def taint(self, place: Place) -> None:
        """The broker refused a message for ``place`` on it, and may go on refusing them here alone."""
        if len(self._tainted) < REMEMBERED:
            self._tainted.add(place)

    def is_tainted(self, place: Place) -> bool:
        return place in self._tainted or len(self._tainted) >= REMEMBERED
