"""What a broker's refusal means for a consumer: an error for its user, or another try."""

from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.model.errors import NotAuthorized, RabbitKeeperError, TopologyError

ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED = 403, 404, 406


def queue_is_gone(lost: ChannelLost) -> bool:
    """Whether the queue does not exist; a classic queue on a node that is down is not found either, and comes
    back with its node."""
    return lost.code == NOT_FOUND and "no queue" in lost.why


def final_error(
    queue: str, lost: ChannelLost, *, was_active: bool, patient: bool
) -> RabbitKeeperError | None:
    """The error to end with; None if the consumer may well be taken on again.

    Args:
        was_active: the broker had taken the consumer on.
        patient: a queue that is not found may yet be declared (again).
    """
    if lost.code == ACCESS_REFUSED and "exclusive use" not in lost.why:
        return NotAuthorized(f"consuming from {queue!r} was refused: {lost.why}")
    never_taken_on = lost.code == PRECONDITION_FAILED and not was_active
    if never_taken_on or (queue_is_gone(lost) and not patient):
        return TopologyError(f"cannot consume from {queue!r}: {lost.why}")
    return None
