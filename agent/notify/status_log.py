"""The agent's log for operators: a line when something is different, and none while it is not.

Each turn of the loop ends in one sentence; it is logged when it says something new. Seconds that only grow
are not news.
"""

import logging
import re
from dataclasses import dataclass

from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.agent.notify.events import EventKind
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.policy.election import Action, Decision

LOG = logging.getLogger("rabbitkeeper.agent")

_SECONDS = re.compile(r"\d+\.\d+ s")
_NOTEWORTHY = frozenset({Action.RESIGN, Action.HOLD})


@dataclass
class StatusLog:
    """Remembers what was said last. Belongs to the loop's thread."""

    _status: tuple[MemberStatus, tuple[str, ...]] | None = None
    _decision: tuple[Action, str] | None = None
    _problems: tuple[str, ...] = ()
    _warnings: tuple[str, ...] = ()

    def tell(
        self,
        verdict: Verdict,
        decision: Decision,
        problems: tuple[str, ...] = (),
        *,
        event_id: str | None = None,
    ) -> str:
        """The sentence of this turn; logged as far as it is new.

        Args:
            verdict: how the broker is.
            decision: what is done, and why.
            problems: of the group's znodes.
            event_id: under which events tell of a new state in this turn.
        """
        self._tell_status(verdict, event_id)
        for warning in verdict.warnings:
            if warning not in self._warnings:
                LOG.warning("%s", warning)
        self._warnings = verdict.warnings
        said = (decision.action, _SECONDS.sub("… s", decision.reason))
        if said != self._decision:
            LOG.log(self._level(decision), "%s", decision.reason)
            self._decision = said
        for problem in problems:
            if problem not in self._problems:
                LOG.warning("%s", problem)
        self._problems = problems
        why = f" ({'; '.join(verdict.reasons)})" if verdict.reasons else ""
        return f"the broker is {verdict.status}{why}; {decision.reason}"

    def _level(self, decision: Decision) -> int:
        if decision.action in _NOTEWORTHY:
            return logging.WARNING
        if self._decision is not None and self._decision[0] is decision.action is Action.WAIT:
            return logging.DEBUG  # still waiting, for something else: as a rule, what the broker's state says
        return logging.INFO

    def _tell_status(self, verdict: Verdict, event_id: str | None) -> None:
        status = (verdict.status, verdict.reasons)
        if status == self._status:
            return
        was = f", was {self._status[0]}" if self._status and self._status[0] is not verdict.status else ""
        why = f": {'; '.join(verdict.reasons)}" if verdict.reasons else ""
        bad = verdict.status.down or verdict.status is MemberStatus.MINORITY
        level = logging.WARNING if bad else logging.INFO
        about = {"event": EventKind.STATE.value, "event_id": event_id, "state": verdict.status.value}
        LOG.log(level, "the broker is %s%s%s", verdict.status, was, why, extra=about)
        self._status = status
