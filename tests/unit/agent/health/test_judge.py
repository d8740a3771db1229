"""The health judge, rule by rule and then by properties."""

from dataclasses import replace

import pytest

from rabbitkeeper.agent.health.judge import BOOT_PATIENCE, TWO_BROKERS, HealthPolicy, judge, worth_asking
from rabbitkeeper.agent.model.observation import (
    BOOTING,
    Alarm,
    ConnectFailure,
    ConnectionFacts,
    FormationFacts,
    MajorityFacts,
    ManagementFacts,
    NodeFacts,
    NodeState,
    Observation,
    ProcessFacts,
)
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.coordinator.model.records import MemberStatus as Status

POLICY = HealthPolicy(hung_after=2.0, fall=1, rise=1, start_grace=30.0)
UP = ConnectionFacts(up_since=10.0, answered_at=10.0, confirmed=5, latency=0.001)
WELL_OBSERVED = Observation(
    watched_since=0.0,
    connection=UP,
    process=ProcessFacts(running=True, since=0.0),
    formation=FormationFacts(formed=True),
    been_up=True,
)
RUNNING = Verdict(Status.RUNNING, (), 11.0)


def down(
    failures: int, failure: ConnectFailure = ConnectFailure.REFUSED, silent: float = 0.0
) -> ConnectionFacts:
    return ConnectionFacts(failures=failures, failure=failure, error="cannot connect", silent=silent)


def test_a_confirmed_canary_means_running() -> None:
    assert judge(WELL_OBSERVED, 20.0, POLICY) == Verdict(Status.RUNNING, (), 20.0)


def test_a_status_that_stays_keeps_its_beginning() -> None:
    assert judge(WELL_OBSERVED, 20.0, POLICY, RUNNING).since == 11.0


def test_a_process_that_has_ended_is_stopped_at_once_whatever_the_connection_still_says() -> None:
    ended = replace(WELL_OBSERVED, process=ProcessFacts(running=False, exited="killed by signal 9"))
    assert judge(ended, 20.0, POLICY, RUNNING) == Verdict(Status.STOPPED, ("killed by signal 9",), 20.0)


def test_why_it_could_not_be_started_comes_before_how_it_ended() -> None:
    process = ProcessFacts(running=False, exited="exit code 1", problem="no such file")
    assert judge(replace(WELL_OBSERVED, process=process), 20.0, POLICY).reasons == ("no such file",)


def test_a_broker_being_started_is_starting() -> None:
    observed = replace(
        WELL_OBSERVED,
        process=ProcessFacts(running=False),
        formation=FormationFacts(phase="starting the broker"),
    )
    assert judge(observed, 20.0, POLICY).status is Status.STARTING


def test_a_broken_connection_whose_one_retry_is_under_way_changes_nothing() -> None:
    observed = replace(WELL_OBSERVED, connection=ConnectionFacts(error="the connection broke"))
    assert judge(observed, 20.0, POLICY, RUNNING) == RUNNING


def test_a_broken_connection_whose_one_retry_failed_is_unreachable_at_once() -> None:
    observed = replace(WELL_OBSERVED, connection=down(1))
    assert judge(observed, 20.0, POLICY, RUNNING) == Verdict(Status.UNREACHABLE, ("cannot connect",), 20.0)


def test_fall_tolerates_failed_reconnections() -> None:
    policy = replace(POLICY, fall=3)
    assert judge(replace(WELL_OBSERVED, connection=down(2)), 20.0, policy, RUNNING).status is Status.RUNNING
    assert (
        judge(replace(WELL_OBSERVED, connection=down(3)), 20.0, policy, RUNNING).status is Status.UNREACHABLE
    )


def test_a_connection_made_anew_stays_well_while_its_first_canary_is_out() -> None:
    observed = replace(WELL_OBSERVED, connection=ConnectionFacts(up_since=19.9, answered_at=19.9))
    assert judge(observed, 20.0, POLICY, RUNNING) == RUNNING
    unreachable = Verdict(Status.UNREACHABLE, (), 15.0)
    assert judge(observed, 20.0, POLICY, unreachable).status is Status.STARTING


def test_rise_counts_canaries_after_an_illness_only() -> None:
    policy = replace(POLICY, rise=6)
    assert judge(WELL_OBSERVED, 20.0, policy, RUNNING).status is Status.RUNNING
    verdict = judge(WELL_OBSERVED, 20.0, policy, Verdict(Status.HUNG, (), 15.0))
    assert verdict.status is Status.STARTING
    assert verdict.reasons == ("connected, waiting for 6 canaries in a row to be confirmed",)


@pytest.mark.parametrize(("silent", "status"), [(1.99, Status.RUNNING), (2.0, Status.HUNG)])
def test_a_canary_without_an_answer_means_hung_after_its_time(silent: float, status: Status) -> None:
    observed = replace(WELL_OBSERVED, connection=replace(UP, silent=silent))
    assert judge(observed, 20.0, POLICY, RUNNING).status is status


def test_silence_at_the_door_means_hung_too() -> None:
    observed = replace(WELL_OBSERVED, connection=down(3, ConnectFailure.SILENT, silent=2.0))
    assert judge(observed, 20.0, POLICY, RUNNING).status is Status.HUNG


def test_a_broker_that_has_let_nobody_in_yet_may_be_silent_for_longer() -> None:
    """It is seen in ``tests/faults``: the founder of a cluster was killed for a standstill of two seconds."""
    new = replace(WELL_OBSERVED, let_in=False)
    silent = replace(new, connection=down(1, ConnectFailure.SILENT, silent=BOOT_PATIENCE - 0.1))
    assert judge(silent, 20.0, POLICY, Verdict(Status.STARTING, (), 10.0)).status is Status.STARTING
    still = replace(new, connection=down(1, ConnectFailure.SILENT, silent=BOOT_PATIENCE))
    assert judge(still, 20.0, POLICY).status is Status.HUNG


def test_hung_counts_more_than_an_alarm() -> None:
    observed = replace(WELL_OBSERVED, connection=replace(UP, silent=2.0, blocked="low on disk"))
    assert judge(observed, 20.0, POLICY, RUNNING).status is Status.HUNG


def test_an_alarm_is_named() -> None:
    observed = replace(WELL_OBSERVED, connection=replace(UP, blocked="low on disk"))
    verdict = judge(observed, 20.0, POLICY, RUNNING)
    assert verdict.status is Status.ALARMED
    assert verdict.reasons == ("publishers are blocked: low on disk",)
    assert verdict.well


def test_without_a_majority_a_broker_is_well_and_says_so() -> None:
    alone = replace(WELL_OBSERVED, majority=MajorityFacts(failed=1, error="no majority answers"))
    verdict = judge(alone, 20.0, POLICY, RUNNING)
    assert verdict == Verdict(Status.MINORITY, ("no majority answers",), 20.0)
    assert verdict.well


def test_a_majority_is_lost_and_found_by_as_many_canaries_as_the_policy_says() -> None:
    policy = replace(POLICY, fall=2, rise=3)
    minority = Verdict(Status.MINORITY, ("no majority answers",), 15.0)

    def status(facts: MajorityFacts, previous: Verdict) -> Status:
        return judge(replace(WELL_OBSERVED, majority=facts), 20.0, policy, previous).status

    assert status(MajorityFacts(failed=1), RUNNING) is Status.RUNNING
    assert status(MajorityFacts(failed=2), RUNNING) is Status.MINORITY
    assert status(MajorityFacts(failed=1), minority) is Status.MINORITY
    assert status(MajorityFacts(confirmed=2), minority) is Status.MINORITY
    assert status(MajorityFacts(confirmed=3), minority) is Status.RUNNING


def test_one_that_feeds_nobody_says_so_unless_something_else_is_wrong() -> None:
    starves = replace(WELL_OBSERVED, starving="it feeds nobody")
    assert judge(starves, 20.0, POLICY, RUNNING) == Verdict(Status.STARVING, ("it feeds nobody",), 20.0)
    split = replace(starves, split="it is split")
    assert judge(split, 20.0, POLICY, RUNNING).status is Status.SPLIT
    lost = replace(starves, majority=MajorityFacts(failed=1, error="none"))
    assert judge(lost, 20.0, POLICY, RUNNING).status is Status.MINORITY


def test_another_answer_of_the_same_minority_is_not_news() -> None:
    minority = Verdict(Status.MINORITY, ("no majority answers",), 15.0)
    refused = replace(WELL_OBSERVED, majority=MajorityFacts(failed=7, error="it refuses messages"))
    assert judge(refused, 20.0, POLICY, minority) == minority


def test_a_broker_that_is_not_in_the_cluster_is_never_running() -> None:
    refused = replace(WELL_OBSERVED, formation=FormationFacts(problem="it holds data of another cluster"))
    assert judge(refused, 20.0, POLICY) == Verdict(
        Status.STARTING, ("it holds data of another cluster",), 20.0
    )


def test_a_broker_that_was_never_up_has_a_grace() -> None:
    observed = Observation(watched_since=0.0, connection=down(7))
    assert judge(observed, 29.9, POLICY).status is Status.STARTING
    assert judge(observed, 30.0, POLICY).status is Status.UNREACHABLE


def test_draining_is_said_of_a_broker_that_runs() -> None:
    draining = replace(WELL_OBSERVED, draining="the agent is being stopped")
    assert judge(draining, 20.0, POLICY, RUNNING).status is Status.DRAINING
    stopped = replace(draining, process=ProcessFacts(running=False))
    assert judge(stopped, 20.0, POLICY, RUNNING).status is Status.STOPPED


@pytest.mark.parametrize(
    ("state", "status", "said"),
    [
        (NodeState.DRAINED, Status.DRAINING, "rabbitmq-upgrade drain"),
        (NodeState.DRAINED_BY_AGENT, Status.DRAINING, "they are opened"),
        (NodeState.PAUSED, Status.UNREACHABLE, "no majority of its cluster"),
        (NodeState.PAUSED, Status.UNREACHABLE, "not back then within half a minute, it is started anew"),
        (NodeState.RESUMING, Status.UNREACHABLE, "longer than half a minute, it is started anew"),
        (NodeState.RESUMING_APART, Status.UNREACHABLE, "has not found those of nodes that it can reach"),
        (NodeState.BOOTING, Status.STARTING, "boots"),
        (NodeState.APART, Status.STARTING, "started anew"),
        (NodeState.STOPPED, Status.STOPPED, "stopped inside its living Erlang machine"),
        (NodeState.SERVING, Status.UNREACHABLE, "cannot connect"),
    ],
)
def test_what_a_node_that_refuses_says_of_itself_is_its_state(
    state: NodeState, status: Status, said: str
) -> None:
    refusing = replace(WELL_OBSERVED, connection=down(3), node=NodeFacts(state, 15.0))
    verdict = judge(refusing, 20.0, POLICY, RUNNING)
    assert verdict.status is status
    assert said in verdict.reasons[0]
    assert not verdict.well
    answering = replace(refusing, connection=UP)
    assert judge(answering, 20.0, POLICY, RUNNING).status is Status.RUNNING


def test_a_node_that_does_not_answer_its_tools_is_unreachable_by_two_reasons() -> None:
    silent = NodeFacts(NodeState.SILENT, 15.0)
    refusing = replace(WELL_OBSERVED, connection=down(3), node=silent)
    verdict = judge(refusing, 20.0, POLICY, RUNNING)
    assert verdict.status is Status.UNREACHABLE
    assert verdict.reasons == ("cannot connect", "its Erlang machine does not answer its tools either")
    well = replace(refusing, connection=down(1))
    assert judge(well, 20.0, HealthPolicy(fall=3), RUNNING).status is Status.RUNNING, "it may be slow tools"


def test_a_broker_that_boots_is_asked_after_a_while_and_says_that_it_boots_apart() -> None:
    booting = replace(
        WELL_OBSERVED,
        connection=down(1),
        been_up=False,
        watched_since=100.0,
        formation=FormationFacts(phase=BOOTING),
    )
    assert not worth_asking(booting, 114.9, POLICY)
    assert worth_asking(booting, 115.0, POLICY)
    assert judge(booting, 120.0, POLICY, None).reasons == (BOOTING,)
    apart = replace(booting, node=NodeFacts(NodeState.APART, 116.0))
    assert "cut off when it began to boot" in judge(apart, 120.0, POLICY, None).reasons[0]


def test_a_node_is_asked_only_when_it_runs_refuses_and_nothing_is_being_done_to_it() -> None:
    refusing = replace(WELL_OBSERVED, connection=down(1))
    assert worth_asking(refusing, 20.0, POLICY)
    for other in (
        WELL_OBSERVED,
        replace(refusing, connection=down(1, ConnectFailure.SILENT)),
        replace(refusing, process=ProcessFacts(running=False)),
        replace(refusing, formation=FormationFacts(phase="seeing to its place in the cluster")),
        replace(refusing, draining="restarts"),
        replace(refusing, been_up=False),
    ):
        assert not worth_asking(other, 20.0, POLICY)
    assert worth_asking(replace(refusing, been_up=False), 30.0, POLICY), "one that is adopted drained"


def test_an_alarm_says_whose_it_is_when_that_is_known() -> None:
    found = ManagementFacts(alarms=(Alarm("rabbit@a", "memory"), Alarm("rabbit@b", "disk")))
    observed = replace(
        WELL_OBSERVED,
        connection=replace(UP, blocked="low on memory & disk"),
        management=found,
        node_name="rabbit@a",
    )
    verdict = judge(observed, 20.0, POLICY, RUNNING)
    assert verdict.reasons == (
        "publishers are blocked: low on memory & disk",
        "memory alarm on this node, rabbit@a",
        "disk alarm on rabbit@b",
    )
    assert verdict.warnings == ()


def test_what_the_management_api_says_warns_and_makes_nobody_ill() -> None:
    said = ManagementFacts(failed=("quorum queues have no leader: orders",), problem="it does not answer")
    observed = replace(WELL_OBSERVED, management=said, cluster_size=2)
    verdict = judge(observed, 20.0, POLICY, RUNNING)
    assert verdict.status is Status.RUNNING
    assert verdict.warnings == (TWO_BROKERS, "quorum queues have no leader: orders", "it does not answer")
    away = judge(replace(observed, connection=down(1)), 20.0, POLICY, RUNNING)
    assert "quorum queues have no leader: orders" not in away.warnings, "that was before it went"


def test_a_version_that_is_not_supported_is_a_warning() -> None:
    observed = replace(WELL_OBSERVED, connection=replace(UP, version="5.0.0"))
    (warning,) = judge(observed, 20.0, POLICY, RUNNING).warnings
    assert "5.0.0 is not known yet" in warning
    assert (
        judge(replace(observed, connection=replace(UP, version="4.3.6")), 20.0, POLICY, RUNNING).warnings
        == ()
    )


def test_facts_of_a_broker_that_ended_are_dropped() -> None:
    assert UP.since(10.0) is UP
    assert UP.since(10.1).up_since is None
    assert not UP.since(10.1).answers
