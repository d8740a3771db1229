"""What of an agent's loop differs by the group's mode, as one policy: how brokers back one another up.

``cluster`` is the only mode there is (``cluster_mode.py``). Another one is another class with these methods:
the loop, the election and the API ask the mode, and nothing else compares its name. Which one a group has is
chosen in ``assembly.py``.
"""

from typing import Protocol

from rabbitkeeper.agent.cluster.suspects import PeerSighting
from rabbitkeeper.agent.health.judge import HealthPolicy
from rabbitkeeper.agent.health.majority_request import MajorityResult
from rabbitkeeper.agent.model.observation import NodeFacts, Observation, ToldOfOthers
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView


class LeadCheck(Protocol):
    """What is made sure of before a lead is taken; in as many turns as it takes."""

    @property
    def failed_at(self) -> float | None:
        """When the last campaign came to nothing, monotonic seconds; None if it did not."""

    def run(self, policy: HealthPolicy, *, blocked: bool = False) -> MajorityResult | None:
        """Go on with it for a campaign: None while it is under way, then how it was confirmed.

        Args:
            policy: for how long to try.
            blocked: an alarm keeps publishers waiting, so that nothing can be confirmed.
        """

    def ended(self, now: float, *, won: bool) -> None:
        """What became of the campaign whose result :meth:`run` returned."""

    def idle(self, now: float, status: MemberStatus, policy: HealthPolicy) -> float | None:
        """Not campaigning in this turn.

        Returns:
            When there is something to do by the clock alone, monotonic seconds.
        """


class Mode(Protocol):
    """One mode's policy and its parts. Belongs to the loop's thread, save :meth:`join`."""

    @property
    def lead_check(self) -> LeadCheck:
        """What confirms a lead."""

    def join(self) -> object:
        """Bring our broker to where it may serve; takes seconds, and runs in a thread of its own.

        Raises:
            FormationRefused: it may not, until somebody has done something about it.
            RabbitKeeperError: it did not work this time.
        """

    def observe(
        self,
        now: float,
        observation: Observation,
        policy: HealthPolicy,
        view: GroupView | None,
        *,
        blocked: bool,
    ) -> Observation:
        """Add what only this mode knows of the broker. Begins nothing.

        Args:
            now: seconds, monotonic.
            observation: of this turn.
            policy: what is tolerated.
            view: the last snapshot.
            blocked: an alarm keeps publishers waiting.
        """

    def holds_lead(self, now: float) -> bool:
        """Whether a leader that has no ZooKeeper stays what it is for as long as that lasts."""

    def admits(self, status: MemberStatus, *, leads: bool) -> bool:
        """Whether clients may be connected to a broker. Pure.

        Args:
            status: the broker's.
            leads: whether its member leads.
        """

    @property
    def cut_off(self) -> bool:
        """Whether our broker is cut off from too many others, so that it is neither ended nor started."""

    @property
    def dropped(self) -> bool:
        """Whether the others have dropped our broker's node, which has not started again since."""

    @property
    def mute_since(self) -> float | None:
        """Since when the tools find no node of our broker's, though it works; monotonic seconds."""

    @property
    def told_of_others(self) -> ToldOfOthers:
        """What other members' agents are to be told of their nodes."""

    def tend(
        self,
        now: float,
        verdict: Verdict,
        view: GroupView | None,
        *,
        formed: bool,
        current: bool,
        node: NodeFacts | None = None,
        stood_still: float = 0.0,
    ) -> None:
        """Begin what is due of this mode's housekeeping.

        Args:
            now: seconds, monotonic.
            verdict: of this turn.
            view: the snapshot of this turn.
            formed: :meth:`join` has succeeded since the broker was started.
            current: the snapshot is not out of date.
            node: what our broker's says of itself while it refuses connections.
            stood_still: seconds by which the loop was late for this turn.
        """

    def watch_peers(self, now: float, sighting: PeerSighting) -> float | None:
        """See to the others' brokers, as far as that is ours.

        Args:
            now: seconds, monotonic.
            sighting: what is known of them now.

        Returns:
            When to look again (monotonic seconds), if time alone can change something.
        """
