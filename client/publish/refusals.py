"""Places that refuse: since when the broker nacks what is published there, and when that is believed. Pure.

A quorum queue without a leader is nacked for, and so is a full one that rejects: nothing tells them apart
but time. Times are seconds, monotonic.
"""

from dataclasses import dataclass

from rabbitkeeper.client.publish.entry import Place

NACK_PATIENCE = 15.0  # seconds of retrying in the wake of a switch or a change in the group
CALM_PATIENCE = 1.0  # seconds of retrying when nothing has happened
NACK_MEMORY = 10.0  # seconds without a nack after which a place is believed to be well again
RENEW_PAUSE = 1.0  # seconds between tries of a place that is known to refuse on another channel
FIRST_PAUSE = 0.02  # seconds from a nack to the next try …
PAUSE_SHARE = 0.25  # … which grows with the time for which a place has refused: so much of it …
LONGEST_PAUSE = 1.0  # … up to so many seconds
REMEMBERED = 1024  # places, before those that have been well for long are looked for


@dataclass(slots=True)
class KnownRefusal:
    """One place's.

    Attributes:
        since: the first nack.
        last: the last.
        patience: seconds from the first nack, after which it is believed.
        tried_at: the last one on a channel of which nothing else was known.
    """

    since: float
    last: float
    patience: float
    tried_at: float = float("-inf")

    def is_believed(self) -> bool:
        """Whether a nack is the answer by now."""
        return self.last - self.since >= self.patience

    def pause(self) -> float:
        """Seconds from its last nack to the next try."""
        return min(LONGEST_PAUSE, max(FIRST_PAUSE, PAUSE_SHARE * (self.last - self.since)))


class Refusals:
    """Those of a client.

    Attributes:
        known: by their places.
    """

    def __init__(self) -> None:
        self.known: dict[Place, KnownRefusal] = {}
        self._most = REMEMBERED
        self._troubled_at = float("-inf")

    def trouble(self, now: float) -> None:
        """A switch, or a change in the group: queues may be electing.

        A place that has begun to refuse and is not believed yet is given more patience, counted from its
        first nack; one that is believed stays so.
        """
        self._troubled_at = now
        for refusal in self.known.values():
            if now - refusal.since < refusal.patience:
                refusal.patience = NACK_PATIENCE

    def refused(self, place: Place, now: float) -> KnownRefusal:
        """A message was nacked there."""
        known = self.known.get(place)
        if known is None or now - known.last > NACK_MEMORY:
            if len(self.known) >= self._most:
                self._forget(now)
            is_in_wake = now - self._troubled_at < NACK_PATIENCE
            known = KnownRefusal(now, now, NACK_PATIENCE if is_in_wake else CALM_PATIENCE)
            self.known[place] = known
        known.last = now
        return known

    def taken(self, place: Place) -> None:
        """A message was confirmed there."""
        self.known.pop(place, None)

    def _forget(self, now: float) -> None:
        """Those that have been well for long; what is left says when to look again."""
        for place, known in list(self.known.items()):
            if now - known.last > NACK_MEMORY:
                del self.known[place]
        self._most = max(REMEMBERED, 2 * len(self.known))
