"""The supervisor of one broker: what it makes of what its driver and its jobs tell it."""

import pytest
from support.jobs import Done

from rabbitkeeper.agent.broker.backoff import LONG_PAUSE
from rabbitkeeper.agent.broker.drivers import BrokerProcess, BrokerStartFailed, BrokerStopFailed
from rabbitkeeper.agent.broker.patience import NOTICED
from rabbitkeeper.agent.broker.policy import HUNG_GRACE, REJOIN_GRACE
from rabbitkeeper.agent.broker.supervisor import FAILED_PAUSE, REFUSED_PAUSE, BrokerSupervisor
from rabbitkeeper.agent.model.errors import FormationRefused
from rabbitkeeper.agent.model.observation import ConnectionFacts, FormationFacts
from rabbitkeeper.coordinator.model.errors import ConfigurationError, ZooKeeperUnreachable
from rabbitkeeper.coordinator.model.records import MemberStatus

DOWN = ConnectionFacts(failures=1, error="cannot connect")


class Driver:
    name = "process"

    def __init__(self, *, external: bool = False) -> None:
        self.can_start = self.can_stop = self.can_kill = not external
        self.process = BrokerProcess(running=None if external else False)
        self.fails: Exception | None = None
        self.starts = 0
        self.stopped = False
        self.kills: list[str] = []
        self.kill_fails = False

    def observe(self) -> BrokerProcess:
        return self.process

    def start(self, reason: str = "") -> None:
        self.starts += 1
        if self.fails is not None:
            raise self.fails
        self.process = BrokerProcess(running=True, pid=self.starts, identity=f"{self.starts}")

    def kill(self, reason: str = "") -> None:
        self.kills.append(reason)
        if self.kill_fails:
            raise BrokerStopFailed("Docker does not answer")
        self.process = BrokerProcess(running=False, exited="was ended by SIGKILL")

    def stop(self, timeout: float) -> None:
        self.stopped = True


class Case:
    def __init__(self, driver: Driver) -> None:
        self.now = 100.0
        self.driver = driver
        self.forms = 0
        self.form_fails: Exception | None = None
        self.formed = 0
        self.supervisor = BrokerSupervisor(
            driver,
            self._form,
            boot_timeout=60.0,
            restart_limit=10,
            wake=lambda: None,
            formed=self._count,
            clock=lambda: self.now,
            draw=lambda: 1.0,
            launch=Done,
        )

    def _form(self) -> None:
        self.forms += 1
        if self.form_fails is not None:
            raise self.form_fails

    def _count(self) -> None:
        self.formed += 1

    def up(self) -> ConnectionFacts:
        return ConnectionFacts(up_since=self.now, answered_at=self.now)

    def turn(
        self,
        connection: ConnectionFacts = DOWN,
        status: MemberStatus = MemberStatus.STARTING,
        *,
        well_since: float | None = None,
        cut_off: bool = False,
    ) -> FormationFacts:
        _, formation = self.supervisor.look(self.now, connection)
        self.supervisor.act(
            self.now, connection, status, well_since, paused=False, cut_off=cut_off, can_form=True
        )
        return formation


def test_a_broker_is_started_and_then_brought_into_the_cluster() -> None:
    case = Case(Driver())
    case.turn()
    assert case.driver.starts == 1
    assert case.supervisor.started_here
    assert case.turn().phase == "booting"
    case.now += 8
    assert not case.turn(case.up()).formed
    assert case.forms == 1
    assert case.turn(case.up()).formed
    assert case.formed == 1


def test_one_that_runs_already_is_adopted() -> None:
    driver = Driver()
    driver.process = BrokerProcess(running=True, pid=7)
    case = Case(driver)
    assert case.turn().phase is None
    assert driver.starts == 0
    assert not case.supervisor.started_here


def test_deaths_one_after_the_other_are_followed_by_growing_pauses() -> None:
    case = Case(Driver())
    case.turn()
    starts = []
    for _ in range(4):
        case.driver.kill()
        begun = case.now
        while case.driver.process.running is False:
            case.turn()
            case.now += 0.25
        starts.append(round(case.now - begun - 0.25, 1))
        case.turn()
    assert starts == [0.0, 1.0, 2.0, 4.0]


def test_what_was_known_of_the_old_process_does_not_count_for_the_new_one() -> None:
    case = Case(Driver())
    case.turn()
    case.now += 8
    old = case.up()
    case.turn(old)
    case.turn(old)
    case.driver.kill()
    case.now += 0.1
    case.turn(old)
    assert case.driver.starts == 2
    assert case.turn(old).phase == "booting"
    assert case.forms == 1


def test_a_server_that_cannot_be_started_is_tried_again() -> None:
    case = Case(Driver())
    case.driver.fails = BrokerStartFailed("no memory")
    case.turn()
    process, _ = case.supervisor.look(case.now, DOWN)
    assert process.problem == "no memory"
    case.turn()
    assert case.driver.starts == 2
    case.turn()
    assert case.driver.starts == 2
    case.now += 1.1
    case.turn()
    assert case.driver.starts == 3


def test_a_setting_that_cannot_work_ends_the_agent() -> None:
    case = Case(Driver())
    case.driver.fails = ConfigurationError("broker.process.directory cannot be written")
    case.turn()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        case.turn()


@pytest.mark.parametrize(
    ("error", "pause"),
    [(FormationRefused("it holds data"), REFUSED_PAUSE), (ZooKeeperUnreachable("not now"), FAILED_PAUSE)],
)
def test_a_formation_that_did_not_succeed_is_tried_again_later(error: Exception, pause: float) -> None:
    case = Case(Driver())
    case.turn()
    case.form_fails = error
    case.turn(case.up())
    formation = case.turn(case.up())
    assert formation.problem == str(error)
    assert not formation.formed
    assert case.forms == 1
    case.now += pause + 0.1
    case.turn(case.up())
    assert case.forms == 2


def test_a_broker_of_others_is_formed_again_when_it_was_away() -> None:
    case = Case(Driver(external=True))
    case.turn(case.up())
    case.turn(case.up())
    assert (case.forms, case.formed) == (1, 1)
    case.turn(DOWN, MemberStatus.UNREACHABLE)
    case.turn(case.up())
    case.turn(case.up())
    assert (case.forms, case.formed) == (2, 2)
    case.supervisor.stop(1.0)
    assert not case.driver.stopped


def given_up(case: Case) -> None:
    """Let the broker die after each start until it is given up."""
    case.turn()
    for _ in range(11):
        case.driver.process = BrokerProcess(False, exited="ended with exit code 1", log_tail=("error: disk",))
        case.turn()
        case.now += 31
        case.turn()


def test_a_broker_that_does_not_stay_up_is_given_up_and_says_why() -> None:
    case = Case(Driver())
    given_up(case)
    assert case.driver.starts == 11
    process, _ = case.supervisor.look(case.now, DOWN)
    assert process.exited == "ended with exit code 1"
    assert process.given_up is not None
    assert "after 10 restarts" in process.given_up
    assert process.last_lines == ("error: disk",)
    case.now += LONG_PAUSE / 2
    case.turn()
    assert case.driver.starts == 11
    case.now += LONG_PAUSE / 2
    case.turn()
    assert case.driver.starts == 12


def test_an_operators_restart_or_the_end_of_a_pause_begins_anew() -> None:
    case = Case(Driver())
    given_up(case)
    assert case.supervisor.restart(60.0)
    case.turn()
    assert case.driver.starts == 12
    case.driver.kill()
    case.turn()
    assert case.driver.starts == 13  # the pauses begin anew as well
    case = Case(Driver())
    given_up(case)
    for paused in (True, False):
        case.supervisor.look(case.now, DOWN)
        case.supervisor.act(
            case.now, DOWN, MemberStatus.STOPPED, None, paused=paused, cut_off=False, can_form=True
        )
    assert case.driver.starts == 12


def test_an_end_that_an_operator_has_asked_for_is_not_counted_and_a_death_is() -> None:
    case = Case(Driver())
    case.turn()
    for _ in range(2):  # it is brought into the cluster, and that has ended
        case.turn(case.up())
    assert case.supervisor.restart(60.0)
    case.driver.process = BrokerProcess(running=False, exited="ended with exit code 0")
    for _ in range(2):
        case.turn()
    assert (case.driver.starts, case.supervisor.facts.ends) == (2, 0)
    case.driver.kill()
    case.turn()
    assert case.supervisor.facts.ends == 1


def test_a_broker_that_others_restart_so_fast_that_its_end_is_not_seen_has_died_nevertheless() -> None:
    case = Case(Driver())
    case.turn()
    case.turn(case.up())
    for number in range(10, 21):
        case.driver.process = BrokerProcess(True, pid=number, identity=f"{number}")
        case.turn()
    case.driver.process = BrokerProcess(False, exited="ended with exit code 1")
    process, _ = case.supervisor.look(case.now, DOWN)
    assert process.given_up is not None


def test_what_cannot_be_seen_for_a_while_is_the_same_broker_afterwards() -> None:
    case = Case(Driver())
    case.turn()
    case.now += 8
    case.turn(case.up())
    case.turn(case.up())
    there = case.driver.process
    case.driver.process = BrokerProcess(running=None)
    assert case.turn(case.up()).formed
    case.driver.process = there
    assert case.turn(case.up()).formed
    assert (case.driver.starts, case.forms) == (1, 1)


def test_the_first_broker_that_is_seen_is_adopted_however_late() -> None:
    driver = Driver()
    driver.process = BrokerProcess(running=None)
    case = Case(driver)
    case.turn()
    driver.process = BrokerProcess(running=True, pid=7, identity="7")
    assert case.turn().phase is None
    assert driver.starts == 0


def test_a_kill_that_fails_is_tried_again_later() -> None:
    case = Case(Driver())
    case.turn()
    case.turn(case.up())
    case.now += 60
    case.driver.kill_fails = True
    for _ in range(30):
        case.turn(case.up(), MemberStatus.HUNG)
        case.now += 0.5
    assert case.driver.kills == ["the broker hangs"] * 2


def test_a_broker_that_was_cut_off_is_not_killed_while_it_comes_back() -> None:
    driver = Driver()
    driver.process = BrokerProcess(running=True, pid=7)
    case = Case(driver)
    case.turn(case.up(), MemberStatus.HUNG, cut_off=True)
    case.now += REJOIN_GRACE - 0.1
    case.turn(case.up(), MemberStatus.HUNG)
    assert driver.process.running
    case.now += 0.1
    case.turn(case.up(), MemberStatus.HUNG)
    assert not driver.process.running


def test_a_broker_that_has_been_well_since_it_was_cut_off_is_killed_when_it_hangs() -> None:
    driver = Driver()
    driver.process = BrokerProcess(running=True, pid=7)
    case = Case(driver)
    case.turn(case.up(), MemberStatus.HUNG, cut_off=True)
    case.now += NOTICED
    case.turn(case.up(), MemberStatus.RUNNING, well_since=case.now)
    case.turn(case.up(), MemberStatus.HUNG)
    case.now += HUNG_GRACE
    case.turn(case.up(), MemberStatus.HUNG)
    assert not driver.process.running


def test_a_broker_that_still_runs_just_after_it_was_cut_off_may_pause_later() -> None:
    """RabbitMQ has yet to notice, after a cut of 7 to 11 s, that the others have dropped it."""
    driver = Driver()
    driver.process = BrokerProcess(running=True, pid=7)
    case = Case(driver)
    case.turn(case.up(), MemberStatus.RUNNING, well_since=case.now, cut_off=True)
    case.now += NOTICED - 0.1
    case.turn(case.up(), MemberStatus.RUNNING, well_since=case.now)
    case.turn(case.up(), MemberStatus.HUNG)
    case.now += HUNG_GRACE
    case.turn(case.up(), MemberStatus.HUNG)
    assert driver.process.running


@pytest.mark.parametrize("status", [MemberStatus.MINORITY, MemberStatus.ALARMED])
def test_a_broker_that_has_no_majority_yet_after_it_was_cut_off_may_pause_later(status: MemberStatus) -> None:
    """The network may be back before RabbitMQ notices: its attempts to connect take seconds each."""
    driver = Driver()
    driver.process = BrokerProcess(running=True, pid=7)
    case = Case(driver)
    case.turn(case.up(), status, well_since=case.now, cut_off=True)
    case.turn(case.up(), status, well_since=case.now)
    case.now += 2.5
    case.turn(case.up(), MemberStatus.HUNG)
    assert driver.process.running
    case.now += REJOIN_GRACE
    case.turn(case.up(), MemberStatus.HUNG)
    assert not driver.process.running
