"""A store whose answers take 1.5 s is no dead one: who leads goes on, and says so to those who ask."""

import pytest
from simulation.group_faults import ALARM
from simulation.managed_group import Group

from rabbitkeeper.agent.api import answers

SLOW = 1.5  # seconds
LASTS = 120.0  # seconds
OK = 200


class Questions:
    """What a load balancer asks of an agent twice a second, and is told."""

    def __init__(self, group: Group, name: str) -> None:
        self.group = group
        self.agent = group.agents[name]
        self.refused: list[tuple[float, str, object]] = []
        self.asked = 0
        self._ask()

    def _ask(self) -> None:
        now, board = self.group.world.now, self.agent.board
        self.asked += 1
        told = {
            "live": answers.live(board.silent),
            "ready": answers.ready(board.state, board.silent),
            "leader": answers.leader(board.current, now, board.silent, hold=True),
        }
        self.refused += [(now, what, content) for what, (code, content) in told.items() if code != OK]
        self.group.world.after(0.5, self._ask)


@pytest.mark.parametrize("changes", [False, True])
def test_who_leads_goes_on_and_says_so(group: Group, changes: bool) -> None:
    led, epochs = group.leader, list(group.epochs)
    assert led is not None
    pids = {name: agent.broker.pid for name, agent in group.agents.items()}
    # Of one: in the model each request holds up those that began before it, so that three would add up.
    agent, other = group.agents[led], next(name for name in group.names if name != led)
    agent.session.slow = SLOW
    questions = Questions(group, led)
    for _ in range(int(LASTS / 20.0)):
        if changes:  # all members write, and have to read
            group.agents[other].broker.sound_alarm(ALARM)
        group.run(10.0)
        group.agents[other].broker.sound_alarm(None)
        group.run(10.0)
    assert questions.asked >= LASTS
    assert questions.refused == []
    agent.session.slow = 0.0
    group.run(10)
    assert group.whole
    assert (group.leader, group.epochs) == (led, epochs)
    assert {name: one.broker.pid for name, one in group.agents.items()} == pids
