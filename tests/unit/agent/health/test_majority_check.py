"""When a canary on a majority is asked for, and what its end means."""

import pytest

from rabbitkeeper.agent.health.judge import HealthPolicy
from rabbitkeeper.agent.health.majority_check import RETRY, MajorityCheck, elsewhere_since
from rabbitkeeper.agent.health.majority_request import MajorityRequest, MajorityResult
from rabbitkeeper.coordinator.model.records import MemberStatus as Status

POLICY = HealthPolicy(majority_interval=10.0, majority_timeout=4.0)
CONFIRMED = MajorityResult(True, 0.01, 1)
FAILED = MajorityResult(False, 4.0, 40, "no majority answers")


class Case:
    def __init__(self) -> None:
        self.asked: list[MajorityRequest] = []
        self.cancelled: list[MajorityRequest] = []
        self.check = MajorityCheck(self.ask, draw=lambda: 0.5)

    def ask(self, timeout: float) -> MajorityRequest:
        assert timeout == POLICY.majority_timeout
        self.asked.append(MajorityRequest(self.cancelled.append))
        return self.asked[-1]

    def idle(self, now: float, status: Status = Status.RUNNING, *, blocked: bool = False) -> float | None:
        self.check.collect(now, POLICY, blocked=blocked)
        return self.check.idle(now, status, POLICY)


def test_while_all_is_well_one_is_asked_for_in_each_interval() -> None:
    case = Case()
    case.idle(0.0)
    case.idle(1.0)
    assert len(case.asked) == 1
    case.asked[0].result = CONFIRMED
    assert case.idle(2.0) == 12.0
    assert case.idle(11.9) == 12.0
    assert len(case.asked) == 1
    case.idle(12.0)
    assert len(case.asked) == 2
    assert case.check.facts.confirmed == 1


def test_after_one_that_failed_the_next_is_soon() -> None:
    case = Case()
    case.idle(0.0)
    case.asked[0].result = FAILED
    assert case.idle(4.0, Status.RUNNING) == 4.0 + RETRY
    assert (case.check.facts.failed, case.check.facts.error) == (1, "no majority answers")
    case.idle(5.0, Status.MINORITY)
    case.asked[1].result = CONFIRMED
    assert case.idle(5.1, Status.MINORITY) == 15.1
    assert (case.check.facts.failed, case.check.facts.confirmed) == (0, 1)


ASKED = {Status.RUNNING, Status.MINORITY, Status.SPLIT, Status.STARVING}


@pytest.mark.parametrize("status", sorted(set(Status) - ASKED))
def test_a_broker_that_does_not_serve_is_not_asked(status: Status) -> None:
    case = Case()
    case.idle(0.0)
    assert case.idle(1.0, status) is None
    assert case.cancelled == case.asked
    assert len(case.asked) == 1


def test_what_is_known_of_a_broker_that_went_is_forgotten() -> None:
    case = Case()
    case.idle(0.0)
    case.asked[0].result = FAILED
    case.idle(4.0, Status.MINORITY)
    case.idle(5.0, Status.UNREACHABLE)
    assert case.check.facts.failed == 0


def test_silence_during_an_alarm_is_no_minority() -> None:
    case = Case()
    case.idle(0.0)
    case.asked[0].result = FAILED
    case.idle(4.0, Status.RUNNING, blocked=True)
    assert case.check.facts.failed == 0


def test_a_campaign_asks_anew_and_keeps_its_answer() -> None:
    case = Case()
    case.idle(0.0)
    case.asked[0].result = CONFIRMED  # before the lead became vacant, perhaps
    assert case.check.run(POLICY) is None
    assert case.cancelled == case.asked[:1]
    assert case.check.run(POLICY) is None
    assert len(case.asked) == 2
    case.asked[1].result = CONFIRMED
    case.check.collect(1.0, POLICY, blocked=False)
    assert case.check.run(POLICY) is CONFIRMED
    case.check.ended(1.1, won=False)
    assert case.check.failed_at == 1.1


def test_a_campaign_that_came_to_nothing_says_when() -> None:
    case = Case()
    case.check.run(POLICY)
    case.asked[0].result = FAILED
    case.check.collect(4.0, POLICY, blocked=False)
    assert case.check.failed_at == 4.0
    assert case.check.facts.failed == 1
    case.check.run(POLICY)
    assert len(case.asked) == 2


def test_a_campaign_that_is_over_is_dropped() -> None:
    case = Case()
    case.check.run(POLICY)
    case.idle(1.0)
    assert case.cancelled == case.asked[:1]


def test_it_is_noted_since_when_others_have_a_majority_that_is_missing_here() -> None:
    since = elsewhere_since(None, 1.0, Status.RUNNING, others=True)
    assert since is None
    since = elsewhere_since(since, 2.0, Status.MINORITY, others=False)
    assert since is None
    since = elsewhere_since(since, 3.0, Status.MINORITY, others=True)
    since = elsewhere_since(since, 4.0, Status.MINORITY, others=True)
    assert since == 3.0
    since = elsewhere_since(since, 5.0, Status.MINORITY, others=False)
    assert since is None
