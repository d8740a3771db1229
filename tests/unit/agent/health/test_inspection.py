"""When a node that refuses connections is asked why, and whose answer counts."""

import itertools
from collections.abc import Callable

import pytest
from support.jobs import Called

from rabbitkeeper.agent.health.inspection import FIRST, LONGEST_PAUSE, PAUSE, PAUSED_PAUSE, Inspection
from rabbitkeeper.agent.model.observation import NodeFacts, NodeState
from rabbitkeeper.agent.rabbitmq.ctl import NodeNotRunning, RabbitmqCtlError, RabbitmqCtlTimeout
from rabbitkeeper.coordinator.model.errors import RabbitKeeperError


class Case:
    def __init__(self) -> None:
        self.looks: list[Called] = []
        self.answer: NodeState | RabbitKeeperError = NodeState.DRAINED
        self.answered = True
        self.inspection = Inspection(
            self._answer, wake=lambda: None, answered=lambda: self.answered, launch=self._launch
        )

    def turn(self, now: float, process: str = "1", *, wanted: bool = True) -> NodeFacts | None:
        facts = self.inspection.look(now, process, wanted=wanted)
        self.inspection.ask(now)
        return facts

    def _launch(self, name: str, work: Callable[[], object], wake: Callable[[], None]) -> Called:
        self.looks.append(Called(name, work, wake))
        return self.looks[-1]

    def _answer(self) -> NodeState:
        if isinstance(self.answer, RabbitKeeperError):
            raise self.answer
        return self.answer


def test_it_is_asked_a_second_later_and_then_less_and_less_often() -> None:
    case = Case()
    asked = []
    for step in range(3000):
        now = step / 10
        case.turn(now)
        if case.looks and not case.looks[-1].done:
            asked.append(now)
            case.looks[-1].end()
    pauses = [round(after - before) for before, after in itertools.pairwise(asked)]
    assert asked[0] == FIRST
    assert pauses[:3] == [PAUSE, 2 * PAUSE, 4 * PAUSE]
    assert set(pauses[3:]) == {LONGEST_PAUSE}


def test_a_paused_one_is_asked_often_enough_to_see_soon_that_it_starts_again() -> None:
    case = Case()
    case.answer = NodeState.PAUSED
    asked = []
    for step in range(1000):
        now = step / 10
        case.turn(now)
        if case.looks and not case.looks[-1].done:
            asked.append(now)
            case.looks[-1].end()
    pauses = {round(after - before) for before, after in itertools.pairwise(asked[2:])}
    assert pauses == {PAUSED_PAUSE}
    case.answer = NodeState.RESUMING
    for step in range(1000, 1300):
        case.turn(step / 10)
        if not case.looks[-1].done:
            asked.append(step / 10)
            case.looks[-1].end()
    assert round(asked[-1] - asked[-2]) == PAUSE


def test_one_that_answers_again_is_not_asked() -> None:
    case = Case()
    case.turn(0.0)
    case.turn(0.9, wanted=False)
    case.turn(1.5)
    assert not case.looks


def test_the_answer_stands_since_it_was_first_given() -> None:
    case = Case()
    case.turn(0.0)
    case.turn(1.0)
    case.looks[0].end()
    assert case.turn(2.0) == NodeFacts(NodeState.DRAINED, 2.0)
    case.turn(7.0)
    case.looks[1].end()
    assert case.turn(8.0) == NodeFacts(NodeState.DRAINED, 2.0)
    assert case.turn(9.0, wanted=False) is None


def test_an_answer_of_another_process_or_an_earlier_spell_does_not_count() -> None:
    for process, interrupted in (("2", False), ("1", True)):
        case = Case()
        case.turn(0.0)
        case.turn(1.0)
        if interrupted:
            case.turn(1.1, wanted=False)
        case.looks[0].end()
        assert case.turn(1.2, process) is None


@pytest.mark.parametrize("failure", [NodeNotRunning("no"), RabbitmqCtlTimeout("no")])
def test_a_node_that_does_not_answer_is_silent_since_that_was_first_seen(failure: RabbitKeeperError) -> None:
    case = Case()
    case.answer = failure
    case.turn(0.0)
    case.turn(1.0)
    case.looks[0].end()
    assert case.turn(2.0) == NodeFacts(NodeState.SILENT, 2.0)
    case.turn(2.0 + PAUSE)
    case.looks[1].end()
    assert case.turn(9.0) == NodeFacts(NodeState.SILENT, 2.0)
    case.answer = NodeState.STOPPED
    case.turn(9.0 + 2 * PAUSE)
    case.looks[2].end()
    assert case.turn(20.0) == NodeFacts(NodeState.STOPPED, 20.0)


def test_tools_that_fail_otherwise_or_have_never_had_an_answer_say_nothing() -> None:
    for failure, answered in ((RabbitmqCtlError("cannot be run"), True), (NodeNotRunning("cookie"), False)):
        case = Case()
        case.answer, case.answered = failure, answered
        case.turn(0.0)
        case.turn(1.0)
        case.looks[0].end()
        assert case.turn(2.0) is None
