"""What a consumer's channel has delivered and what of it is answered. Pure.

Answers come one by one, in any order; acks go out in few frames: one with ``multiple`` for the longest run
from the beginning in which *everything* is answered, and single ones for what is acked beyond a gap. So
nothing is ever acked that was not.

RabbitMQ closes a channel over a tag that is not open on it (``unknown delivery tag``), for ``multiple``
too. Therefore a tag is named once, an answer to one that is not open does nothing, and the tag of a
``multiple`` is always one that was not named before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class DeliveryTracker:
    """One channel's deliveries. Their tags count from 1 (AMQP 0-9-1, ``basic.deliver``)."""

    delivered: int = 0  # the highest tag
    _floor: int = 0  # every tag up to here is answered
    _last: int = 0  # the highest acked tag up to the floor that the broker has not been told; 0: none
    _beyond: set[int] = field(default_factory=set)  # answered tags above the floor
    _untold: set[int] = field(default_factory=set)  # of those, acked ones that the broker has not been told

    @property
    def open(self) -> int:
        """Deliveries without an answer."""
        return self.delivered - self._floor - len(self._beyond)

    def ack(self, tags: Sequence[int]) -> None:
        """The user is done with these; tags that are not open are passed over."""
        run = range(self._floor + 1, min(self._floor + len(tags), self.delivered) + 1)
        if len(run) == len(tags) > 0 and not self._beyond and list(run) == tags:  # as a rule
            self._floor = self._last = run[-1]
            return
        for tag in tags:
            if tag == self._floor + 1 <= self.delivered:
                self._floor = self._last = tag
                if self._beyond:
                    self._raise_floor()
            elif self.is_open(tag):
                self._beyond.add(tag)
                self._untold.add(tag)

    def nack(self, tag: int) -> bool:
        """The user gives one back; whether the broker is to be told (it was open)."""
        if not self.is_open(tag):
            return False
        self._beyond.add(tag)
        self._raise_floor()
        return True

    def is_open(self, tag: int) -> bool:
        return self._floor < tag <= self.delivered and tag not in self._beyond

    def flush(self) -> list[tuple[int, bool]]:
        """The acks to send now, each a tag and whether it stands for all up to it."""
        acks = [(self._last, True)] if self._last else []
        acks += [(tag, False) for tag in sorted(self._untold)]
        self._last = 0
        self._untold.clear()
        return acks

    def _raise_floor(self) -> None:
        while self._floor + 1 in self._beyond:
            self._floor += 1
            self._beyond.remove(self._floor)
            if self._floor in self._untold:
                self._untold.remove(self._floor)
                self._last = self._floor
