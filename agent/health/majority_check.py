"""The majority check on the loop's side: a canary asked for now and then, and again before a lead is taken.

Bookkeeping around a request that the probe answers; what its results mean for the broker's state is
``judge.py``'s to say, and whether to campaign ``election.py``'s.
"""

from collections.abc import Callable

from rabbitkeeper.agent.health.judge import HealthPolicy
from rabbitkeeper.agent.health.majority_request import MajorityRequest, MajorityResult
from rabbitkeeper.agent.model.observation import MajorityFacts
from rabbitkeeper.coordinator.model.records import MemberStatus

RETRY = 1.0  # seconds between canaries once one was not confirmed
_ASKED = frozenset(
    {MemberStatus.RUNNING, MemberStatus.MINORITY, MemberStatus.SPLIT, MemberStatus.STARVING}
)  # in other states the answer is known


def elsewhere_since(before: float | None, now: float, status: MemberStatus, *, others: bool) -> float | None:
    """Since when a missing majority is this member's alone; None if it is not. Pure.

    Args:
        before: the same, a turn ago.
        now: seconds, monotonic.
        status: the verdict's.
        others: whether another member that may lead runs.
    """
    if status is not MemberStatus.MINORITY or not others:
        return None
    return now if before is None else before


class MajorityCheck:
    """At most one majority canary at a time. Belongs to the loop's thread.

    Args:
        ask: has a majority canary published; called with seconds to try for.
        draw: random numbers in [0, 1), so that members do not publish in step.
    """

    def __init__(self, ask: Callable[[float], MajorityRequest], draw: Callable[[], float]) -> None:
        self._ask = ask
        self._draw = draw
        self._request: MajorityRequest | None = None
        self._running = False  # the request is a campaign's
        self._due = 0.0
        self.facts = MajorityFacts()
        self.failed_at: float | None = None  # when the last campaign came to nothing, seconds monotonic

    def collect(self, now: float, policy: HealthPolicy, *, blocked: bool) -> None:
        """Take note of a result that has come in; at the start of each turn.

        Args:
            now: seconds, monotonic.
            policy: how soon the next is due.
            blocked: an alarm keeps publishers waiting, so that no confirm says nothing about the majority.
        """
        result = self._request.result if self._request is not None else None
        if result is None:
            return
        if result.confirmed:
            self.facts = self.facts.confirmed_again()
        elif not blocked:
            self.facts = self.facts.failed_again(result.error)
        pause = policy.majority_interval * (0.8 + 0.4 * self._draw())
        self._due = now + (min(RETRY, pause) if self.facts.failed else pause)
        if self._running and result.confirmed:
            return  # what comes of it is for the campaign to say
        if self._running:
            self.failed_at = now
        self._request, self._running = None, False

    def run(self, policy: HealthPolicy, *, blocked: bool = False) -> MajorityResult | None:
        """Have a canary confirmed for a campaign, in as many turns as it takes.

        The canary is published after the campaign has begun: one that was under way may have been confirmed
        before whatever has left the lead vacant.

        Args:
            policy: for how long to try.
            blocked: an alarm keeps publishers waiting: the lead is taken without, for those who consume.

        Returns:
            None while it is under way; once a majority has confirmed it, the result.
        """
        if blocked:
            self._drop()
            return MajorityResult(True, 0.0, 0)
        if not self._running:
            self._drop()
        if self._request is None:
            self._request, self._running = self._ask(policy.majority_timeout), True
        return self._request.result

    def ended(self, now: float, *, won: bool) -> None:
        """What became of the campaign whose result :meth:`run` returned."""
        self._request, self._running = None, False
        self.failed_at = None if won else now

    def idle(self, now: float, status: MemberStatus, policy: HealthPolicy) -> float | None:
        """Not campaigning in this turn: drop what nobody waits for, and ask when it is time to.

        Args:
            now: seconds, monotonic.
            status: the verdict's. Only a broker that serves is asked.
            policy: for how long to try.

        Returns:
            When there is something to do by the clock alone, monotonic seconds.
        """
        if self._running or status not in _ASKED:
            self._drop()
        if status not in _ASKED:
            if status is not MemberStatus.ALARMED:
                self.facts = MajorityFacts()  # what is known is not of the broker that comes back
            return None
        if self._request is None and now >= self._due:
            self._request = self._ask(policy.majority_timeout)
        return self._due if self._request is None else None

    def _drop(self) -> None:
        if self._request is not None:
            self._request.cancel()
        self._request, self._running = None, False
