"""Whether our broker feeds nobody, and whether it is its turn to be taken out of service for it. Pure.

What is counted is in ``health/feed_canary.py``. Whatever makes one node starve consumers can make all of
them, so no more than one leaves at a time, and only beside others that run: clients that leave it begin to
consume anew elsewhere, and are fed there.
"""

from collections.abc import Collection

from rabbitkeeper.agent.model.observation import ConnectionFacts
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView

PATIENCE = 30.0  # seconds without a message, at least
ROUNDS = 2  # turns of all consumers of the queue, of which ours should have had one each
_MORE = 2  # canaries: one that is under way, and one that another consumer is slow to answer
TURN = (
    5.0  # seconds between members, by name, from when the others can spare one: they see each other by then
)
REASON = (
    "it takes messages and feeds nobody: its canaries are confirmed, and their consumer gets none; "
    "its agent restarts it, if it may"
)


def starves(connection: ConnectionFacts, now: float, *, consumers: int) -> bool:
    """Whether the canaries' consumer has got nothing for so long that it is none of chance.

    Args:
        connection: what the probe says.
        now: seconds, monotonic.
        consumers: of the canaries' queue, each of which has its turn.
    """
    since = connection.unfed_since
    enough = ROUNDS * max(consumers, 1) + _MORE
    return since is not None and connection.unfed >= enough and now >= since + PATIENCE


class Feeding:
    """Our member's part. Belongs to the loop's thread.

    Args:
        name: our member's.

    Attributes:
        starving: why our member is to be taken out of service, a sentence; None if it is not.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._due_since: float | None = None  # it starves its consumers, and the others could spare it
        self.starving: str | None = None

    def turn(self, connection: ConnectionFacts, view: GroupView | None, now: float) -> None:
        """Take note of how it is.

        Args:
            connection: what the probe says.
            view: the last snapshot; None while nothing certain is known.
            now: seconds, monotonic.
        """
        members = {} if view is None else {name: each.record.state for name, each in view.members.items()}
        others = {name: state for name, state in members.items() if name != self._name}
        nodes = 0 if view is None else len(view.nodes)
        if view is None or not starves(connection, now, consumers=max(len(others) + 1, nodes)):
            self._due_since = self.starving = None
            return
        leaving = {name for name, state in others.items() if state is MemberStatus.STARVING}
        if self.starving is not None:
            if any(name < self._name for name in leaving):  # two that have not seen each other in time
                self._due_since = self.starving = None
            return
        if leaving or not _can_spare_us(others.values()):
            self._due_since = None
            return
        self._due_since = now if self._due_since is None else self._due_since
        place = sorted([*others, self._name]).index(self._name)
        if now >= self._due_since + TURN * place:
            self.starving = REASON


def _can_spare_us(others: Collection[MemberStatus]) -> bool:
    return not others or 2 * sum(state is MemberStatus.RUNNING for state in others) > len(others)
