"""The health judge: what holds for whatever is observed."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.agent.health.judge import HealthPolicy, judge
from rabbitkeeper.agent.model.observation import (
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

texts = st.one_of(st.none(), st.sampled_from(["one reason", "another"]))
moments = st.floats(0.0, 100.0)
connections = st.builds(
    ConnectionFacts,
    up_since=st.one_of(st.none(), moments),
    failures=st.integers(0, 5),
    failure=st.one_of(st.none(), st.sampled_from(ConnectFailure)),
    error=texts,
    silent=st.floats(0.0, 10.0),
    confirmed=st.integers(0, 5),
    blocked=texts,
)
observations = st.builds(
    Observation,
    watched_since=moments,
    connection=connections,
    process=st.builds(
        ProcessFacts, running=st.sampled_from([True, False, None]), exited=texts, problem=texts
    ),
    formation=st.builds(FormationFacts, formed=st.booleans(), phase=texts, problem=texts),
    been_up=st.booleans(),
    majority=st.builds(
        MajorityFacts, confirmed=st.integers(0, 4), failed=st.integers(0, 4), error=texts
    ).filter(lambda facts: not (facts.confirmed and facts.failed)),
    node=st.one_of(st.none(), st.builds(NodeFacts, st.sampled_from(NodeState), moments)),
    draining=texts,
)
policies = st.builds(
    HealthPolicy,
    hung_after=st.floats(0.1, 5.0),
    fall=st.integers(1, 4),
    rise=st.integers(1, 4),
    start_grace=st.floats(0.0, 60.0),
)
verdicts = st.one_of(
    st.none(), st.builds(Verdict, st.sampled_from(Status), st.just(("before",)), st.floats(0.0, 50.0))
)


managements = st.builds(
    ManagementFacts,
    failed=st.just(("a check failed",)),
    alarms=st.just((Alarm("rabbit@b", "disk"),)),
    problem=texts,
)


@given(observations, moments, policies, verdicts, managements)
def test_the_management_api_never_changes_a_status(
    observed: Observation,
    now: float,
    policy: HealthPolicy,
    previous: Verdict | None,
    management: ManagementFacts,
) -> None:
    without = judge(observed, now, policy, previous)
    assert judge(replace(observed, management=management), now, policy, previous).status is without.status


@given(observations, moments, policies, verdicts)
def test_running_is_only_said_of_what_can_take_messages(
    observed: Observation, now: float, policy: HealthPolicy, previous: Verdict | None
) -> None:
    verdict = judge(observed, now, policy, previous)
    if verdict.status is Status.RUNNING:
        assert observed.process.running is not False
        assert observed.draining is None
        assert observed.formation.phase is None
        if observed.connection.up_since is not None:
            assert observed.formation.formed
            assert observed.connection.silent < policy.hung_after
            assert observed.connection.blocked is None
            assert observed.majority.failed < policy.fall
            if previous is not None and previous.status is Status.MINORITY:
                assert observed.majority.confirmed >= policy.rise
        else:
            assert previous is not None
            assert previous.well
            assert observed.connection.failures < policy.fall


@given(observations, moments, policies, verdicts)
def test_what_is_not_running_says_why(
    observed: Observation, now: float, policy: HealthPolicy, previous: Verdict | None
) -> None:
    verdict = judge(observed, now, policy, previous)
    assert verdict.reasons or verdict.status is Status.RUNNING
    assert all(reason for reason in verdict.reasons)


@given(observations, moments, policies, verdicts)
def test_the_beginning_of_a_status_is_carried_on_or_now(
    observed: Observation, now: float, policy: HealthPolicy, previous: Verdict | None
) -> None:
    verdict = judge(observed, now, policy, previous)
    if previous is not None and previous.status is verdict.status:
        assert verdict.since == previous.since
    else:
        assert verdict.since == now


@given(observations, moments, st.floats(0.0, 1.0), policies, verdicts)
def test_a_verdict_holds_while_nothing_changes(
    observed: Observation, now: float, later: float, policy: HealthPolicy, previous: Verdict | None
) -> None:
    first = judge(observed, now, policy, previous)
    second = judge(observed, now + later, policy, first)
    in_grace = not observed.been_up and now < observed.watched_since + policy.start_grace
    if not in_grace:
        third = judge(observed, now + 2 * later, policy, second)
        assert third == second  # at the latest the second word is the last


@given(observations, moments, policies, verdicts)
def test_reasons_do_not_grow_with_time(
    observed: Observation, now: float, policy: HealthPolicy, previous: Verdict | None
) -> None:
    first = judge(observed, now, policy, previous)
    more = replace(observed.connection, silent=observed.connection.silent + 1.0)
    second = judge(replace(observed, connection=more), now, policy, previous)
    assert first.status is not second.status or first.reasons == second.reasons


def test_well_is_what_serves() -> None:
    well = {status for status in Status if Verdict(status, (), 0.0).well}
    assert well == {Status.RUNNING, Status.ALARMED, Status.MINORITY}
