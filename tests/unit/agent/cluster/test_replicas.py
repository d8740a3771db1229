"""When a member is given replicas of the queues that were declared without it."""

from collections.abc import Callable

from support.jobs import Done

from rabbitkeeper.agent.cluster.replicas import AFTER, RETRY, Replicas
from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtlError


class Case:
    def __init__(self, failures: int = 0) -> None:
        self.grown: list[float] = []
        self.now = 0.0
        self._failures = failures
        self.replicas = Replicas(self._grow, wake=lambda: None, draw=lambda: 0.0, launch=self._launch)

    def run(self, seconds: float, *, formed: bool = True, well: bool = True, others: bool = True) -> None:
        for _ in range(round(seconds)):
            self.now += 1.0
            self.replicas.turn(self.now, formed=formed, well=well, others=others)

    def _launch(self, name: str, work: Callable[[], object], wake: Callable[[], None]) -> Done:
        return Done(name, work, wake)

    def _grow(self) -> None:
        self.grown.append(self.now)
        if len(self.grown) <= self._failures:
            raise RabbitmqCtlError("a change of members is under way")


def test_once_for_each_boot() -> None:
    case = Case()
    case.run(300)
    assert case.grown == [1.0 + AFTER]
    case.run(10, formed=False, well=False)
    case.run(300)
    assert len(case.grown) == 2


def test_only_while_it_is_well_and_not_alone() -> None:
    case = Case()
    case.run(100, well=False)
    case.run(100, others=False)
    assert not case.grown
    case.run(AFTER + 1)
    assert len(case.grown) == 1


def test_what_failed_is_tried_again_later() -> None:
    case = Case(failures=1)
    case.run(300)
    assert len(case.grown) == 2
    assert case.grown[1] - case.grown[0] >= RETRY
