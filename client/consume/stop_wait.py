"""The wait for the end of a subscription that was stopped: for which messages, and who is told. On the I/O
thread."""

from collections.abc import Callable


class StopWait:
    """Of one subscription.

    Args:
        in_hand: how many messages are delivered and not answered.

    Attributes:
        is_stopped: it was to stop, and nothing will be delivered any more.
    """

    def __init__(self, in_hand: Callable[[], int]) -> None:
        self.is_stopped = False
        self._in_hand = in_hand
        self._on_over: Callable[[], None] | None = None
        self._excused = 0  # messages in hand of who waits for the stop
        self._awaits_excused = False

    def begin(self, on_over: Callable[[], None] | None) -> None:
        """``on_over`` is called once when nothing is in hand any more but what is excused, or the end has
        come in another way; None: nobody waits."""
        self._on_over = on_over

    def excuse(self, messages: int) -> None:
        """Do not wait for so many messages more (or fewer): who has them in hand waits for the stop."""
        self._excused += messages
        self.look()

    @property
    def waited_for(self) -> int:
        """Messages in hand, without those that are excused."""
        return max(0, self._in_hand() - (0 if self._awaits_excused else self._excused))

    def await_excused(self, on_answered: Callable[[], None]) -> None:
        """After the stop: have ``on_answered`` called once when nothing at all is in hand any more."""
        self._awaits_excused = True
        self._on_over = on_answered
        self.look()

    def look(self) -> None:
        """Something may have been answered."""
        if self.is_stopped and self._on_over is not None and self.waited_for == 0:
            self.end()

    def end(self) -> None:
        """There is nothing to wait for."""
        on_over, self._on_over = self._on_over, None
        if on_over is not None:
            on_over()
