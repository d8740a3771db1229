"""Asked just before a broker is taken down: whether that is still necessary, and whether it may be now.

What looks hung may be overloaded, or stand still for some seconds with its host. A node whose Erlang machine
answers its tools is not hung for a while, and one that says that it pauses or boots is not at all: RabbitMQ
answers nobody while it stops for a pause, which took 33 s on a busy host. One that refuses connections is not
hung as long as its Erlang machine answers anything. Of one whose process stands still (``stillness.py``) the
tools learn nothing in all the seconds that they take, so the process is looked at again instead. One that
refuses its agent and finds its virtual hosts works: it is the agent that is not let in any more. One that has
answered its probe meanwhile is well again; and no broker goes down while the others are not well
(``group/disruption.py``).
Takes seconds: called in a job beside the loop.
"""

from collections.abc import Callable
from typing import Protocol

from rabbitkeeper.agent.broker.policy import Plan
from rabbitkeeper.agent.model.errors import DisruptionRefused
from rabbitkeeper.agent.model.observation import RESUMES, ConnectFailure, ConnectionFacts, NodeState

ANSWER = 5.0  # seconds for the node's tools
LOOK_UP = 10.0  # seconds for them to tell whether the node finds its virtual hosts
_PASSES = {
    NodeState.PAUSED: "it serves no client because RabbitMQ pauses it: it goes on when it sees a majority",
    **dict.fromkeys(RESUMES, "it serves no client because RabbitMQ starts it again after a pause"),
    NodeState.BOOTING: "it serves no client because it boots",
}
"""States of a node that answers nobody and comes back by itself, and why it is left alone."""
_FINDS = (
    "it refuses its agent and finds its virtual hosts: the agent's user or password is not what it was, or "
    "its authentication backend does not answer"
)
_ANSWERS = "it answers no client, but its Erlang machine answers: it may be overloaded"
_REFUSES = "it refuses connections, but its Erlang machine answers"


class Leave(Protocol):
    """What is needed of the group."""

    def begin(self, reason: str, *, needs_majority: bool) -> None:
        """Raises :class:`DisruptionRefused` if no broker may be taken down now."""


class LastQuestion:
    """One broker's.

    Args:
        says: how the broker inside its Erlang machine is, asked within some seconds; None if it does not say.
        connection: what its probe knows at this moment.
        leave: of the group.
        motionless: whether its process has stood still for a while, to this moment.
        finds_vhosts: whether the node finds any virtual host, asked within some seconds; None: not known.
    """

    def __init__(
        self,
        says: Callable[[float], NodeState | None],
        connection: Callable[[], ConnectionFacts],
        leave: Leave,
        motionless: Callable[[], bool],
        finds_vhosts: Callable[[float], bool | None],
    ) -> None:
        self._finds_vhosts = finds_vhosts
        self._motionless = motionless
        self._says = says
        self._connection = connection
        self._leave = leave

    def __call__(self, planned: Plan) -> None:
        """Return if the broker may be taken down now.

        Args:
            planned: what is to be done to it.

        Raises:
            DisruptionRefused: it may not, or need not; says why.
        """
        if planned.listens or planned.asks or planned.still or planned.mute:
            state = self._says(ANSWER)
            if planned.mute and state is not None:
                raise DisruptionRefused("its tools find the node again")
            if planned.still and state not in planned.still:
                before = " or ".join(sorted(planned.still))
                raise DisruptionRefused(f"its node, which was {before}, does not say so any more")
            if state in _PASSES and not planned.still:
                raise DisruptionRefused(_PASSES[state])
            if state is not None and planned.asks:
                raise DisruptionRefused(_ANSWERS if planned.hangs else _REFUSES)
        if planned.denies:
            found = self._finds_vhosts(LOOK_UP)
            if found is not False:
                raise DisruptionRefused(
                    _FINDS if found else "it is not known whether it finds its virtual hosts"
                )
        self._leave.begin(planned.reason, needs_majority=planned.needs_majority)
        connection = self._connection()
        refuses = planned.refuses or planned.asks or bool(planned.still)
        answered = connection.silent <= 0.0 if planned.hangs else refuses and connection.answers
        if answered:
            raise DisruptionRefused("it has answered meanwhile")
        if planned.denies and connection.failure is not ConnectFailure.DENIED:
            raise DisruptionRefused("it does not refuse its agent any more")
        if planned.motionless and not self._motionless():
            raise DisruptionRefused("its process runs again")
        if planned.starves and not connection.unfed:
            raise DisruptionRefused("its canary has been fed meanwhile")
