"""What is asked just before a broker is taken down, and what keeps it up."""

from dataclasses import dataclass, field, replace

import pytest

from rabbitkeeper.agent.broker.last_question import LastQuestion
from rabbitkeeper.agent.broker.policy import Plan, Step
from rabbitkeeper.agent.model.errors import DisruptionRefused
from rabbitkeeper.agent.model.observation import RESUMES as STARTS_AFTER_PAUSE
from rabbitkeeper.agent.model.observation import ConnectFailure, ConnectionFacts, NodeState

HANGS = Plan(
    Step.KILL, "the broker hangs", takes_down=True, hangs=True, listens=True, asks=True, needs_majority=True
)

RESUMES = Plan(
    Step.KILL, "it does not resume", takes_down=True, still=STARTS_AFTER_PAUSE, needs_majority=True
)
MUTE = Plan(Step.KILL, "its node is silent", takes_down=True, asks=True, needs_majority=True)
ANSWERS = ConnectionFacts(up_since=100.0)
SILENT = ConnectionFacts(up_since=100.0, silent=2.0)
REFUSES = ConnectionFacts(failures=1, failure=ConnectFailure.REFUSED)


@dataclass
class Case:
    says: NodeState | None = None
    connection: ConnectionFacts = SILENT
    refused: str | None = None
    motionless: bool = False
    finds_vhosts: bool | None = None
    begun: list[tuple[str, bool]] = field(default_factory=list)

    def begin(self, reason: str, *, needs_majority: bool) -> None:
        self.begun.append((reason, needs_majority))
        if self.refused is not None:
            raise DisruptionRefused(self.refused)

    def ask(self, planned: Plan) -> None:
        LastQuestion(
            lambda timeout: self.says,
            lambda: self.connection,
            self,
            lambda: self.motionless,
            lambda timeout: self.finds_vhosts,
        )(planned)


def test_one_that_answers_nobody_goes_down_with_the_groups_leave() -> None:
    case = Case()
    case.ask(HANGS)
    assert case.begun == [("the broker hangs", True)]


STILL = replace(HANGS, motionless=True, listens=False, asks=False)


def test_of_one_whose_process_stands_still_the_tools_are_not_asked_but_the_process_is_looked_at() -> None:
    case = Case(says=NodeState.PAUSED, motionless=True)
    case.ask(STILL)
    assert case.begun == [("the broker hangs", True)]


def test_one_whose_process_runs_again_is_left() -> None:
    with pytest.raises(DisruptionRefused, match="runs again"):
        Case().ask(STILL)


def test_one_whose_process_stands_still_is_left_while_the_group_refuses() -> None:
    with pytest.raises(DisruptionRefused, match="of 2 others"):
        Case(motionless=True, refused="of 2 others 1 is well").ask(STILL)


def test_one_whose_erlang_machine_answers_is_left_and_nobody_else_is_asked() -> None:
    case = Case(says=NodeState.SERVING)
    with pytest.raises(DisruptionRefused, match="may be overloaded"):
        case.ask(HANGS)
    assert not case.begun


def test_after_a_while_that_does_not_help_it_any_more() -> None:
    case = Case(says=NodeState.SERVING)
    case.ask(Plan(Step.KILL, "the broker hangs", takes_down=True, hangs=True, listens=True))
    assert case.begun == [("the broker hangs", False)]


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("says", [NodeState.PAUSED, *sorted(STARTS_AFTER_PAUSE), NodeState.BOOTING])
def test_one_that_pauses_or_boots_comes_back_by_itself_however_long_it_takes(
    says: NodeState, asks: bool
) -> None:
    case = Case(says=says)
    with pytest.raises(DisruptionRefused, match="it serves no client because"):
        case.ask(Plan(Step.KILL, "the broker hangs", takes_down=True, hangs=True, listens=True, asks=asks))
    assert not case.begun


@pytest.mark.parametrize("asks", [True, False])
def test_one_that_has_answered_meanwhile_is_left(asks: bool) -> None:
    planned = Plan(Step.KILL, "the broker hangs", takes_down=True, hangs=True, listens=True, asks=asks)
    with pytest.raises(DisruptionRefused, match="answered meanwhile"):
        Case(connection=ANSWERS).ask(planned)


def test_the_groups_refusal_is_passed_on() -> None:
    with pytest.raises(DisruptionRefused, match="node2 is being taken down"):
        Case(refused="node2 is being taken down: it hangs").ask(HANGS)


def test_one_that_is_stopped_or_split_is_not_asked_whether_it_hangs() -> None:
    case = Case(says=NodeState.SERVING, connection=ANSWERS)
    case.ask(Plan(Step.KILL, "its node is split", takes_down=True, listens=True, needs_majority=True))
    assert case.begun == [("its node is split", True)]


def test_one_that_refuses_connections_and_does_not_answer_its_tools_goes_down_with_leave() -> None:
    case = Case(connection=REFUSES)
    case.ask(MUTE)
    assert case.begun == [("its node is silent", True)]


@pytest.mark.parametrize("says", [state for state in NodeState if state is not NodeState.SILENT])
def test_one_that_refuses_connections_is_left_whatever_its_tools_are_told(says: NodeState) -> None:
    case = Case(connection=REFUSES, says=says)
    with pytest.raises(DisruptionRefused):
        case.ask(MUTE)
    assert not case.begun


@pytest.mark.parametrize(
    "connection", [ANSWERS, ConnectionFacts(failures=1, failure=ConnectFailure.DENIED)], ids=["in", "denied"]
)
def test_one_that_refused_connections_and_takes_them_again_is_left(connection: ConnectionFacts) -> None:
    with pytest.raises(DisruptionRefused, match="answered meanwhile"):
        Case(connection=connection).ask(MUTE)


@pytest.mark.parametrize("says", sorted(STARTS_AFTER_PAUSE))
def test_one_that_does_not_come_up_after_its_pause_goes_down_with_leave(says: NodeState) -> None:
    case = Case(connection=REFUSES, says=says)
    case.ask(RESUMES)
    assert case.begun == [("it does not resume", True)]


@pytest.mark.parametrize("says", [*(state for state in NodeState if state not in STARTS_AFTER_PAUSE), None])
def test_one_that_has_given_up_resuming_or_lost_the_others_again_is_left(says: NodeState | None) -> None:
    """One that is paused since the network is cut again would boot alone."""
    case = Case(connection=REFUSES, says=says)
    with pytest.raises(DisruptionRefused, match="does not say so any more"):
        case.ask(RESUMES)
    assert not case.begun


def test_one_whose_database_has_found_the_others_after_all_is_left() -> None:
    case = Case(connection=REFUSES, says=NodeState.RESUMING)
    with pytest.raises(DisruptionRefused, match="which was resuming apart, does not say so any more"):
        case.ask(replace(RESUMES, still=frozenset({NodeState.RESUMING_APART})))
    assert not case.begun


def test_one_that_has_resumed_meanwhile_is_left() -> None:
    with pytest.raises(DisruptionRefused, match="answered meanwhile"):
        Case(connection=ANSWERS, says=NodeState.RESUMING).ask(RESUMES)


def test_one_that_feeds_nobody_goes_down_unless_its_canary_has_been_fed_meanwhile() -> None:
    starves = Plan(Step.KILL, "it feeds nobody", takes_down=True, starves=True, listens=True)
    case = Case(says=NodeState.SERVING, connection=replace(ANSWERS, unfed=9))
    case.ask(starves)
    assert case.begun == [("it feeds nobody", False)]
    with pytest.raises(DisruptionRefused, match="fed meanwhile"):
        Case(says=NodeState.SERVING, connection=ANSWERS).ask(starves)


def test_one_whose_tools_find_no_node_goes_down_unless_they_find_it_again() -> None:
    mutes = Plan(Step.KILL, "its tools find no node", takes_down=True, mute=True, needs_majority=True)
    case = Case(says=None, connection=ANSWERS)
    case.ask(mutes)
    assert case.begun == [("its tools find no node", True)], "that it answers clients is known"
    found = Case(says=NodeState.SERVING, connection=ANSWERS)
    with pytest.raises(DisruptionRefused, match="find the node again"):
        found.ask(mutes)
    assert not found.begun


def test_one_that_did_not_come_up_in_time_and_has_just_come_up_is_left() -> None:
    late = Plan(Step.KILL, "it did not come up", takes_down=True, listens=True, refuses=True)
    case = Case(says=None, connection=REFUSES)
    case.ask(late)
    assert case.begun == [("it did not come up", False)]
    for case, why in (
        (Case(says=NodeState.SERVING, connection=ANSWERS), "answered meanwhile"),
        (Case(says=NodeState.BOOTING, connection=REFUSES), "because it boots"),
    ):
        with pytest.raises(DisruptionRefused, match=why):
            case.ask(late)


def test_a_split_one_that_pauses_after_all_is_left_alone() -> None:
    with pytest.raises(DisruptionRefused, match="RabbitMQ pauses it"):
        Case(says=NodeState.PAUSED, connection=ANSWERS).ask(
            Plan(Step.KILL, "its node is split", takes_down=True, listens=True)
        )


DENIED = ConnectionFacts(failures=1, failure=ConnectFailure.DENIED)
DENIES = Plan(Step.KILL, "its store of users does not answer", takes_down=True, denies=True)


def test_one_that_refuses_its_agent_and_finds_no_vhosts_goes_down_with_the_groups_leave() -> None:
    case = Case(says=NodeState.SERVING, connection=DENIED, finds_vhosts=False)
    case.ask(DENIES)
    assert case.begun == [("its store of users does not answer", False)]


@pytest.mark.parametrize(("finds", "why"), [(True, "or password is not what it was"), (None, "not known")])
def test_one_that_refuses_its_agent_is_left_unless_it_is_known_to_find_no_vhost(
    finds: bool | None, why: str
) -> None:
    case = Case(connection=DENIED, finds_vhosts=finds)
    with pytest.raises(DisruptionRefused, match=why):
        case.ask(DENIES)
    assert not case.begun


@pytest.mark.parametrize("connection", [ANSWERS, REFUSES])
def test_one_that_does_not_refuse_its_agent_any_more_is_left(connection: ConnectionFacts) -> None:
    with pytest.raises(DisruptionRefused, match="any more"):
        Case(connection=connection, finds_vhosts=False).ask(DENIES)
