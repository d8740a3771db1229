"""Readers of a history's stream, and what they must have seen: each message once, in order, without a gap."""

from dataclasses import dataclass, field

from rabbitkeeper.client.consume.subscription import Subscription

STREAM = "log"


@dataclass(slots=True, eq=False)
class Reader:
    """One consumer of the stream.

    Args:
        begin: the offset where it was told to begin; None: with what comes next.

    Attributes:
        there_at: messages in the stream when its consumer was there for the first time.
        taken: ids, in the order of taking.
    """

    subscription: Subscription
    begin: int | None
    there_at: int | None = None
    taken: list[str] = field(default_factory=list)

    def look(self, stored: list[str]) -> None:
        """Time has passed; the stream has so many messages."""
        if self.there_at is None and self.subscription.active:
            self.there_at = len(stored)

    def check(self, stored: list[str], *, is_at_end: bool) -> None:
        """See the module.

        Args:
            is_at_end: all was well for long enough, and it still reads: nothing is missing.
        """
        taken = self.taken
        if self.begin is not None:
            begins = [min(self.begin, len(stored))]
        else:  # it may begin earlier, for clocks may differ
            most = len(stored) if self.there_at is None else self.there_at
            begins = list(range(min(most, len(stored)) + 1))
        wanted = [stored[begin:] if is_at_end else stored[begin : begin + len(taken)] for begin in begins]
        assert taken in wanted, (
            f"a reader from {self.begin} took {len(taken)} of {len(stored)}, not as stored"
        )
