"""What is kept from turn to turn of a broker's kills."""

from rabbitkeeper.agent.broker.patience import KILLS_COUNT, Patience
from rabbitkeeper.agent.broker.policy import Plan, Step
from rabbitkeeper.agent.model.observation import RESUMES, NodeState

HANGS = Plan(Step.KILL, "the broker hangs", takes_down=True, hangs=True)
STOPPED = Plan(Step.KILL, "it has been stopped", takes_down=True, still=frozenset({NodeState.STOPPED}))
RESUMING = Plan(Step.KILL, "it does not come up", takes_down=True, still=RESUMES)
APART = Plan(Step.KILL, "it is apart", takes_down=True, still=frozenset({NodeState.RESUMING_APART}))


def killed(patience: Patience, planned: Plan, now: float) -> None:
    patience.begins(planned)
    patience.killed(now)


def test_a_kill_of_one_that_resumed_counts_for_the_next_such_kill_and_others_do_not() -> None:
    patience = Patience()
    for now, planned in enumerate((HANGS, STOPPED, RESUMING, HANGS, APART)):
        killed(patience, planned, float(now))
    assert patience.recent_kills(10.0) == 5
    assert patience.recent_kills(10.0, resuming=True) == 2


def test_a_kill_that_was_not_to_be_changes_nothing_of_those_that_were() -> None:
    patience = Patience()
    killed(patience, HANGS, 0.0)
    patience.begins(RESUMING)  # the group did not give leave, and next it hangs
    killed(patience, HANGS, 5.0)
    assert patience.recent_kills(10.0) == 2
    assert patience.recent_kills(10.0, resuming=True) == 0


def test_kills_are_forgotten() -> None:
    patience = Patience()
    killed(patience, RESUMING, 0.0)
    killed(patience, HANGS, 100.0)
    assert patience.recent_kills(KILLS_COUNT + 50.0) == 1
    assert patience.recent_kills(KILLS_COUNT + 50.0, resuming=True) == 0
    assert patience.recent_kills(KILLS_COUNT + 150.0) == 0
