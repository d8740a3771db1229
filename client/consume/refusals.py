"""What a broker's refusal means for a consumer: an error for its user, or another try."""

import logging
from collections.abc import Callable

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.model.errors import NotAuthorized, RabbitKeeperError, TopologyError
from rabbitkeeper.client.model.events import ConsumerMissing
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.coordinator.model.reply_codes import ReplyCode

log = logging.getLogger(__name__)

MISSING_GRACE = 5.0  # seconds after a switch or a lost consumer in which its queue may still be declared


def queue_is_gone(lost: ChannelLost) -> bool:
    """Whether the queue does not exist; a classic queue on a node that is down is not found either, and comes
    back with its node."""
    return lost.code == ReplyCode.NOT_FOUND and "no queue" in lost.why


def warn_of_limit(queue: Queue | None, warned: set[str]) -> None:
    """Say once of a queue that it may drop messages; ``warned`` are those of which it was said."""
    if queue is not None and queue.drops_what_fails and queue.name not in warned:
        warned.add(queue.name)
        log.warning(
            "queue %r has a delivery limit and no dead-letter exchange: a message that was delivered too "
            "often, to consumers that were lost too, is dropped unseen",
            queue.name,
        )


class Absence:
    """For how long one subscription has had no consumer, and why. Times are seconds, monotonic.

    Args:
        queue_name: as users know it.
    """

    def __init__(self, queue_name: str) -> None:
        self.why = "it was never started"
        self._queue_name = queue_name
        self._since: float | None = None

    def begin(self, now: float) -> float:
        """There is none; since when there has been none."""
        if self._since is None:
            self._since = now
        return self._since

    def end(self) -> None:
        """There is one."""
        self._since = None

    def tell(self, now: float, emit: Callable[[ConsumerMissing], None]) -> None:
        """Say so, if that is for long."""
        seconds = now - self.begin(now)
        if seconds >= MISSING_GRACE:
            log.warning("no consumer of %r for %.0f s: %s", self._queue_name, seconds, self.why)
            emit(ConsumerMissing(self._queue_name, seconds, self.why))


class QueuePatience:
    """How long one subscription waits for a queue that is not there. Times are seconds, monotonic.

    Args:
        queue_name: as users know it, for errors.
    """

    def __init__(self, queue_name: str) -> None:
        self._queue_name = queue_name
        self._until = 0.0  # a queue that is not found may yet be declared (again)
        self._has_asked = False  # for it to be declared again, since there was a consumer

    def begin(self, since: float) -> None:
        """Everything may have to be declared again since then."""
        self._until = since + MISSING_GRACE

    def was_taken_on(self) -> None:
        """The broker has a consumer."""
        self._has_asked = False

    def asks_for_queue(self, lost: ChannelLost, now: float) -> bool:
        """Whether to declare a queue again that goes with its last consumer, and has."""
        if not queue_is_gone(lost):
            return False
        if not self._has_asked:
            self._until = now + MISSING_GRACE
        self._has_asked = self._has_asked or now <= self._until
        return now <= self._until

    def error(
        self, lost: ChannelLost, now: float, *, was_active: bool, is_pending: bool
    ) -> RabbitKeeperError | None:
        """The error to end with; None if the consumer may well be taken on again.

        Args:
            was_active: the broker had taken the consumer on.
            is_pending: the queue is yet to be declared (again).
        """
        if was_active or lost.code != ReplyCode.NOT_FOUND:  # it was there a moment ago
            self._until = now + MISSING_GRACE
        if lost.code == ReplyCode.ACCESS_REFUSED and "exclusive use" not in lost.why:
            return NotAuthorized(f"consuming from {self._queue_name!r} was refused: {lost.why}")
        never_taken_on = lost.code == ReplyCode.PRECONDITION_FAILED and not was_active
        is_patient = now <= self._until or is_pending
        if never_taken_on or (queue_is_gone(lost) and not is_patient):
            return TopologyError(f"cannot consume from {self._queue_name!r}: {lost.why}")
        return None
