"""What is done to a broker that does not come up after a pause, and to one that feeds nobody."""

from dataclasses import replace
from typing import Any

import pytest
from support.agent.broker_plans import BOOT, WELL, step

from rabbitkeeper.agent.broker.policy import (
    DENIED_GRACE,
    LONGEST_MUTE,
    LONGEST_SILENCE,
    MUTE_GRACE,
    RESUME_APART_GRACE,
    RESUME_GRACE,
    STARVING_GRACE,
    Step,
    plan,
)
from rabbitkeeper.agent.model.observation import RESUMES as STARTS_AFTER_PAUSE
from rabbitkeeper.agent.model.observation import NodeFacts, NodeState
from rabbitkeeper.coordinator.model.records import MemberStatus as Status

RESUMES = replace(WELL, status=Status.UNREACHABLE, answers=False, node=NodeFacts(NodeState.RESUMING, 100.0))
APART_AFTER_PAUSE = replace(RESUMES, resumes_since=100.0, node=NodeFacts(NodeState.RESUMING_APART, 105.0))


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({}, 100.0 + RESUME_GRACE),
        ({"been_up": False}, 100.0 + RESUME_GRACE),
        ({"strained": True}, 100.0 + 2 * RESUME_GRACE),
        ({"recent_kills": 1, "resume_kills": 1}, 100.0 + 2 * RESUME_GRACE),
        ({"recent_kills": 9, "resume_kills": 9}, 100.0 + LONGEST_SILENCE),
        ({"recent_kills": 9}, 100.0 + RESUME_GRACE),  # it hung, or was split, and came back each time
        ({"rejoins_until": 230.0}, 230.0),
        ({"kill_due": 200.0}, 200.0),
    ],
)
def test_one_that_sees_a_majority_after_its_pause_and_does_not_come_up_is_killed(
    changes: dict[str, Any], due: float
) -> None:
    """Seen with RabbitMQ 3.10 beside a load: it waited for tables for minutes, and counted as paused."""
    resumes = replace(RESUMES, **changes)
    assert plan(resumes, due - 0.1, boot_timeout=BOOT).look_again == due
    planned = plan(resumes, due, boot_timeout=BOOT)
    assert (planned.step, planned.takes_down, planned.still) == (Step.KILL, True, STARTS_AFTER_PAUSE)
    assert planned.needs_majority
    assert plan(resumes, due + 1000.0, boot_timeout=BOOT).needs_majority, "it gives up by itself in the end"


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({}, 105.0 + RESUME_APART_GRACE),
        ({"been_up": False}, 105.0 + RESUME_APART_GRACE),
        ({"strained": True}, 105.0 + 2 * RESUME_APART_GRACE),
        ({"recent_kills": 1, "resume_kills": 1}, 105.0 + 2 * RESUME_APART_GRACE),
        ({"recent_kills": 9, "resume_kills": 9}, 100.0 + LONGEST_SILENCE),
        ({"recent_kills": 9}, 105.0 + RESUME_APART_GRACE),
        ({"rejoins_until": 230.0}, 105.0 + RESUME_APART_GRACE),
        ({"kill_due": 200.0}, 200.0),
        ({"resumes_since": 50.0}, 50.0 + RESUME_GRACE),
        ({"resumes_since": None}, 105.0 + RESUME_APART_GRACE),
    ],
)
def test_one_whose_database_does_not_find_those_it_can_reach_is_killed_sooner(
    changes: dict[str, Any], due: float
) -> None:
    """Mnesia looks for the others once, when it starts: it is known that this one does not come up."""
    if "resumes_since" in changes and changes["resumes_since"] is not None:
        changes = {**changes, "node": NodeFacts(NodeState.RESUMING_APART, 109.0)}
    apart = replace(APART_AFTER_PAUSE, **changes)
    assert plan(apart, due - 0.1, boot_timeout=BOOT).look_again == due
    planned = plan(apart, due, boot_timeout=BOOT)
    assert (planned.step, planned.takes_down) == (Step.KILL, True)
    assert planned.still == {NodeState.RESUMING_APART}, "one that has found them is given its half minute"
    assert planned.needs_majority


def test_a_start_that_wavers_between_both_has_its_half_minute_once() -> None:
    wavers = replace(RESUMES, resumes_since=100.0, node=NodeFacts(NodeState.RESUMING, 120.0))
    assert step(wavers, 129.9) is Step.NOTHING
    assert step(wavers, 130.0) is Step.KILL


@pytest.mark.parametrize(
    "changes",
    [{"paused": True}, {"cut_off": True}, {"busy": True}, {"can_kill": False}, {"can_start": False}],
)
@pytest.mark.parametrize("state", [NodeState.RESUMING, NodeState.RESUMING_APART])
def test_one_that_resumes_is_left_alone_where_any_is(changes: dict[str, Any], state: NodeState) -> None:
    assert step(replace(RESUMES, node=NodeFacts(state, 100.0), **changes), 10_000.0) is Step.NOTHING


@pytest.mark.parametrize("rejoins_until", [0.0, 130.0])
def test_one_that_sees_no_majority_is_left_paused_for_ever(rejoins_until: float) -> None:
    """Whether its agent was cut off with it or not: started again, it would boot alone."""
    pauses = replace(RESUMES, node=NodeFacts(NodeState.PAUSED, 100.0), rejoins_until=rejoins_until)
    assert step(pauses, 10_000.0) is Step.NOTHING


STARVES = replace(WELL, status=Status.STARVING, starves_since=100.0)


@pytest.mark.parametrize(
    ("changes", "grace"),
    [
        ({}, STARVING_GRACE),
        ({"strained": True}, 2 * STARVING_GRACE),
        ({"recent_kills": 2}, 4 * STARVING_GRACE),
        ({"recent_kills": 9}, LONGEST_SILENCE),
        ({"kill_due": 150.0}, 50.0),
    ],
)
def test_one_that_feeds_nobody_is_killed_once_clients_have_left(
    changes: dict[str, Any], grace: float
) -> None:
    starves = replace(STARVES, **changes)
    assert plan(starves, 100.0 + grace - 0.1, boot_timeout=BOOT).look_again == 100.0 + grace
    planned = plan(starves, 100.0 + grace, boot_timeout=BOOT)
    assert (planned.step, planned.takes_down, planned.starves) == (Step.KILL, True, True)
    assert planned.listens
    assert plan(starves, 10_000.0, boot_timeout=BOOT).needs_majority, "it takes messages, whatever else"


@pytest.mark.parametrize(
    "changes",
    [{"paused": True}, {"cut_off": True}, {"busy": True}, {"can_kill": False}, {"can_start": False}],
)
def test_one_that_feeds_nobody_is_left_alone_where_any_is(changes: dict[str, Any]) -> None:
    assert step(replace(STARVES, **changes), 10_000.0) is Step.NOTHING


MUTES = replace(WELL, mute_since=100.0)


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({}, 100.0 + MUTE_GRACE),
        ({"strained": True}, 100.0 + 2 * MUTE_GRACE),
        ({"recent_kills": 1}, 100.0 + 2 * MUTE_GRACE),
        ({"recent_kills": 9}, 100.0 + LONGEST_MUTE),
        ({"rejoins_until": 500.0}, 500.0),
        ({"kill_due": 600.0}, 600.0),
    ],
)
def test_one_whose_tools_find_no_node_is_killed_after_minutes_beside_others_that_are_well(
    changes: dict[str, Any], due: float
) -> None:
    mutes = replace(MUTES, **changes)
    assert plan(mutes, due - 0.1, boot_timeout=BOOT).look_again == due
    planned = plan(mutes, due, boot_timeout=BOOT)
    assert (planned.step, planned.takes_down, planned.mute) == (Step.KILL, True, True)
    assert plan(mutes, 10_000.0, boot_timeout=BOOT).needs_majority, "it serves clients"


@pytest.mark.parametrize(
    "changes",
    [
        {"paused": True},
        {"cut_off": True},
        {"busy": True},
        {"running": None},
        {"can_kill": False},
        {"can_start": False},
    ],
)
def test_one_whose_tools_find_no_node_is_left_alone_where_any_is(changes: dict[str, Any]) -> None:
    assert step(replace(MUTES, **changes), 10_000.0) is Step.NOTHING


DENIES = replace(WELL, status=Status.UNREACHABLE, denied_since=100.0)


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({}, 100.0 + DENIED_GRACE),
        ({"strained": True}, 100.0 + 2 * DENIED_GRACE),
        ({"recent_kills": 1}, 100.0 + 2 * DENIED_GRACE),
        ({"recent_kills": 9}, 100.0 + LONGEST_SILENCE),
        ({"rejoins_until": 500.0}, 500.0),
        ({"kill_due": 600.0}, 600.0),
    ],
)
def test_one_that_has_let_its_agent_in_and_refuses_it_is_killed_if_it_finds_no_vhost(
    changes: dict[str, Any], due: float
) -> None:
    denies = replace(DENIES, **changes)
    assert plan(denies, due - 0.1, boot_timeout=BOOT).look_again == due
    planned = plan(denies, due, boot_timeout=BOOT)
    assert (planned.step, planned.takes_down, planned.denies) == (Step.KILL, True, True)
    assert plan(denies, 10_000.0, boot_timeout=BOOT).needs_majority, "the others' agents must be let in"


@pytest.mark.parametrize("changes", [{"denied_since": None}, {"can_kill": False}, {"can_start": False}])
def test_one_that_refuses_its_agent_is_left_alone_where_any_is(changes: dict[str, Any]) -> None:
    assert step(replace(DENIES, **changes), 10_000.0) is Step.NOTHING


def test_one_that_refuses_its_agent_before_it_is_formed_is_formed() -> None:
    """It has joined a cluster that does not know its agent's user, which forming it makes."""
    joined = replace(DENIES, formed=False, answers=True)
    assert step(joined, 10_000.0) is Step.FORM
