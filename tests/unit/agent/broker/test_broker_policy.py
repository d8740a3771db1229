"""What is done with the broker's process, and what is left alone."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.agent.broker_plans import BOOT, WELL, step

from rabbitkeeper.agent.broker.policy import (
    ALIVE_GRACE,
    DROPPED_GRACE,
    HANDSHAKE_GRACE,
    HUNG_GRACE,
    LONGEST_GRACE,
    LONGEST_SILENCE,
    REUNION_GRACE,
    SILENT_GRACE,
    SPLIT_GRACE,
    STILL,
    STILL_GRACE,
    STRAINED_GRACE,
    STUCK,
    Step,
    Supervised,
    plan,
)
from rabbitkeeper.agent.model.observation import NodeFacts, NodeState
from rabbitkeeper.coordinator.model.records import MemberStatus as Status


def test_a_well_broker_is_left_alone() -> None:
    assert step(WELL) is Step.NOTHING


def test_a_broker_that_is_not_there_is_started_when_it_is_due() -> None:
    gone = replace(WELL, running=False, answers=False, formed=False, start_due=201.0)
    assert plan(gone, 200.0, boot_timeout=BOOT).look_again == 201.0
    assert step(gone, 200.0) is Step.NOTHING
    assert step(gone, 201.0) is Step.START


HANGS = replace(WELL, status=Status.HUNG, hung_since=100.0)


def test_a_hung_broker_is_killed_after_a_while_with_leave_and_a_last_question() -> None:
    planned = plan(HANGS, 100.0 + HUNG_GRACE - 0.1, boot_timeout=BOOT)
    assert (planned.step, planned.look_again) == (Step.NOTHING, 100.0 + HUNG_GRACE)
    planned = plan(HANGS, 100.0 + HUNG_GRACE, boot_timeout=BOOT)
    assert (planned.step, planned.takes_down, planned.asks) == (Step.KILL, True, True)
    assert planned.needs_majority


@pytest.mark.parametrize(
    ("hung", "grace"),
    [
        (HANGS, HUNG_GRACE),
        (replace(HANGS, only_new=True), HUNG_GRACE),
        (replace(HANGS, strained=True), STILL_GRACE),
    ],
)
def test_one_whose_process_stands_still_is_not_slow(hung: Supervised, grace: float) -> None:
    """On a host that is starved it was left for 20 s, and asked for 5 s what it could not answer."""
    still = replace(hung, still_since=100.2)
    assert step(still, 100.0 + grace - 0.1) is Step.NOTHING
    planned = plan(still, 100.0 + grace, boot_timeout=BOOT)
    assert (planned.step, planned.takes_down, planned.hangs, planned.motionless) == (
        Step.KILL,
        True,
        True,
        True,
    )
    assert (planned.listens, planned.asks) == (False, False)
    assert planned.needs_majority


def test_one_that_has_run_just_before_is_given_time_and_looked_at_again() -> None:
    slow = replace(HANGS, strained=True, still_since=101.5)
    planned = plan(slow, 102.5, boot_timeout=BOOT)
    assert (planned.step, planned.look_again) == (Step.NOTHING, 101.5 + STILL)
    planned = plan(replace(HANGS, still_since=101.5), 102.5, boot_timeout=BOOT)
    assert (planned.step, planned.motionless, planned.asks, planned.listens) == (Step.KILL, False, True, True)


def test_one_that_stands_still_again_after_kills_is_left_no_longer_for_them() -> None:
    again = replace(HANGS, still_since=100.2, recent_kills=3)
    assert step(again, 100.0 + HUNG_GRACE) is Step.KILL
    assert step(replace(again, still_since=None), 100.0 + HUNG_GRACE) is Step.NOTHING


def test_one_whose_erlang_machine_answers_is_killed_later_nevertheless() -> None:
    assert plan(HANGS, 100.0 + ALIVE_GRACE - 0.1, boot_timeout=BOOT).asks
    assert not plan(HANGS, 100.0 + ALIVE_GRACE, boot_timeout=BOOT).asks


def test_one_that_was_cut_off_is_asked_after_for_as_long_once_it_should_be_back() -> None:
    """It was killed without a question when it had hung through the while that it was given."""
    back = replace(HANGS, rejoins_until=230.0)
    assert plan(back, 230.0 + ALIVE_GRACE - 0.1, boot_timeout=BOOT).asks
    assert not plan(back, 230.0 + ALIVE_GRACE, boot_timeout=BOOT).asks


def test_one_that_the_others_have_dropped_is_ended_whatever_its_machine_answers() -> None:
    dropped = replace(HANGS, dropped=True, strained=True)
    assert step(dropped, 100.0 + HUNG_GRACE - 0.1) is Step.NOTHING
    planned = plan(dropped, 100.0 + HUNG_GRACE, boot_timeout=BOOT)
    assert (planned.step, planned.asks, planned.needs_majority) == (Step.KILL, False, True)
    back = replace(WELL, status=Status.SPLIT, split_since=100.0, dropped=True, strained=True)
    assert step(back, 100.0 + DROPPED_GRACE - 0.1) is Step.NOTHING
    planned = plan(back, 100.0 + DROPPED_GRACE, boot_timeout=BOOT)
    assert (planned.step, planned.hangs, planned.listens) == (Step.KILL, False, True)
    assert planned.needs_majority


def test_one_whose_machine_is_starved_is_asked_after_for_twice_as_long() -> None:
    strained = replace(HANGS, strained=True)
    assert plan(strained, 100.0 + 2 * ALIVE_GRACE - 0.1, boot_timeout=BOOT).asks
    assert not plan(strained, 100.0 + 2 * ALIVE_GRACE, boot_timeout=BOOT).asks


def test_one_that_has_hung_for_long_serves_nobody_so_that_no_majority_is_needed() -> None:
    assert plan(HANGS, 100.0 + STUCK - 0.1, boot_timeout=BOOT).needs_majority
    stuck = plan(HANGS, 100.0 + STUCK, boot_timeout=BOOT)
    assert stuck.takes_down, "still one at a time"
    assert not stuck.needs_majority


@pytest.mark.parametrize(
    ("changes", "grace"),
    [
        ({"only_new": True}, HANDSHAKE_GRACE),
        ({"strained": True}, STRAINED_GRACE),
        ({"recent_kills": 1}, 2 * HUNG_GRACE),
        ({"recent_kills": 9}, LONGEST_GRACE),
    ],
)
def test_there_is_more_patience_with_one_that_may_be_slow(changes: dict[str, Any], grace: float) -> None:
    slow = replace(HANGS, **changes)
    assert plan(slow, 100.0, boot_timeout=BOOT).look_again == 100.0 + grace
    assert step(slow, 100.0 + grace) is Step.KILL


@pytest.mark.parametrize(
    ("changes", "grace"),
    [({}, SPLIT_GRACE), ({"strained": True}, REUNION_GRACE), ({"rejoins_until": 130.0}, REUNION_GRACE)],
    ids=["split", "its host is starved", "it was just cut off"],
)
def test_a_split_node_is_killed_when_it_has_had_time_to_connect(
    changes: dict[str, Any], grace: float
) -> None:
    split = replace(WELL, status=Status.SPLIT, split_since=100.0, **changes)
    planned = plan(split, 100.0 + grace - 0.1, boot_timeout=BOOT)
    assert (planned.step, planned.look_again) == (Step.NOTHING, 100.0 + grace)
    planned = plan(split, 100.0 + grace, boot_timeout=BOOT)
    assert (planned.step, planned.takes_down, planned.needs_majority) == (Step.KILL, True, True)


def test_a_node_that_says_that_it_boots_is_given_time() -> None:
    booting = replace(WELL, status=Status.STARTING, answers=False, been_up=False, formed=False)
    assert step(replace(booting, boots_until=1000.0), 999.0) is Step.NOTHING
    assert step(replace(booting, boots_until=1000.0), 1000.0) is Step.KILL


def test_a_broker_that_does_not_come_up_is_killed() -> None:
    booting = replace(WELL, status=Status.STARTING, answers=False, been_up=False, formed=False)
    assert plan(booting, 200.0, boot_timeout=BOOT).look_again == 220.0
    assert step(booting, 219.9) is Step.NOTHING
    assert step(booting, 220.0) is Step.KILL


def test_a_broker_that_says_that_it_waits_is_not_killed_for_not_coming_up() -> None:
    adopted = replace(
        WELL,
        status=Status.DRAINING,
        answers=False,
        been_up=False,
        formed=False,
        node=NodeFacts(NodeState.DRAINED, 110.0),
    )
    assert step(adopted, 10_000.0) is Step.NOTHING


def test_a_broker_that_was_up_is_not_killed_for_being_unreachable() -> None:
    # Its listeners may be suspended, or it may be paused in a minority: it is alive and knows why.
    assert step(replace(WELL, status=Status.UNREACHABLE, answers=False), 10_000.0) is Step.NOTHING


SILENT = replace(
    WELL, status=Status.UNREACHABLE, answers=False, node=NodeFacts(NodeState.SILENT, 100.0), watched_since=0.0
)


def test_one_that_refuses_connections_and_does_not_answer_its_tools_is_killed_after_a_while() -> None:
    """Histories with restarts left one for good that had paused and then hung: it was merely unreachable."""
    due = 100.0 + SILENT_GRACE
    planned = plan(SILENT, due - 0.1, boot_timeout=BOOT)
    assert (planned.step, planned.look_again) == (Step.NOTHING, due)
    planned = plan(SILENT, due, boot_timeout=BOOT)
    assert (planned.step, planned.takes_down, planned.asks) == (Step.KILL, True, True)
    assert planned.needs_majority
    assert not planned.hangs, "its probe waits for no answer"


@pytest.mark.parametrize(
    ("changes", "grace"),
    [
        ({"strained": True}, 2 * SILENT_GRACE),
        ({"recent_kills": 1}, 2 * SILENT_GRACE),
        ({"recent_kills": 9}, LONGEST_SILENCE),
        ({"recent_kills": 9, "strained": True}, LONGEST_SILENCE),
        ({"rejoins_until": 230.0}, 130.0),
        ({"kill_due": 200.0}, 100.0),
    ],
)
def test_there_is_more_patience_with_tools_that_may_be_slow(changes: dict[str, Any], grace: float) -> None:
    slow = replace(SILENT, **changes)
    assert plan(slow, 100.0, boot_timeout=BOOT).look_again == 100.0 + grace
    planned = plan(slow, 100.0 + grace, boot_timeout=BOOT)
    assert (planned.step, planned.asks, planned.needs_majority) == (Step.KILL, True, True)


def test_one_that_is_silent_for_long_is_ended_whatever_the_others_do_but_not_without_a_question() -> None:
    stuck = 100.0 + SILENT_GRACE + STUCK
    assert plan(SILENT, stuck - 0.1, boot_timeout=BOOT).needs_majority
    planned = plan(SILENT, stuck, boot_timeout=BOOT)
    assert planned.takes_down, "still one at a time"
    assert planned.asks
    assert not planned.needs_majority


@pytest.mark.parametrize(
    "changes",
    [
        {"paused": True},
        {"cut_off": True},
        {"busy": True},
        {"running": None},
        {"can_kill": False},
        {"can_start": False},
        {"node": NodeFacts(NodeState.PAUSED, 100.0)},
        {"node": NodeFacts(NodeState.SERVING, 100.0)},
        {"node": None},
    ],
)
def test_a_silent_one_is_left_alone_where_any_is_or_when_that_is_not_known(changes: dict[str, Any]) -> None:
    assert step(replace(SILENT, **changes), 10_000.0) is Step.NOTHING


def test_one_that_has_never_been_up_and_is_silent_is_killed_when_both_times_are_over() -> None:
    """One that was found paused was killed at once when its tools failed a single time."""
    booting = replace(SILENT, status=Status.STARTING, been_up=False, formed=False)
    assert plan(booting, 110.0, boot_timeout=BOOT).look_again == 100.0 + SILENT_GRACE
    assert plan(booting, 110.0, boot_timeout=300.0).look_again == 300.0
    assert plan(replace(booting, strained=True), 110.0, boot_timeout=BOOT).look_again == 220.0
    planned = plan(booting, 100.0 + SILENT_GRACE, boot_timeout=BOOT)
    assert (planned.step, planned.takes_down, planned.asks) == (Step.KILL, True, True)


def test_a_broker_stopped_inside_its_erlang_machine_is_started_anew_after_a_grace() -> None:
    stopped = replace(WELL, status=Status.STOPPED, answers=False, node=NodeFacts(NodeState.STOPPED, 150.0))
    assert plan(stopped, 200.0, boot_timeout=BOOT).look_again == 210.0
    assert step(stopped, 209.9) is Step.NOTHING
    planned = plan(stopped, 210.0, boot_timeout=BOOT)
    assert (planned.step, planned.still) == (Step.KILL, {NodeState.STOPPED}), "one that has gone on is left"
    assert step(replace(stopped, paused=True), 10_000.0) is Step.NOTHING
    assert step(replace(stopped, can_start=False), 10_000.0) is Step.NOTHING


def test_a_broker_that_boots_apart_from_its_cluster_is_started_anew_after_a_grace() -> None:
    """It is seen in ``tests/compose``: a broker that was cut off when it booted never found its cluster."""
    booting = replace(WELL, status=Status.STARTING, answers=False, been_up=False, formed=False)
    apart = replace(booting, watched_since=190.0, node=NodeFacts(NodeState.APART, 200.0))
    assert plan(apart, 200.0, boot_timeout=BOOT).look_again == 205.0
    assert step(apart, 204.9) is Step.NOTHING
    assert step(apart, 205.0) is Step.KILL
    assert step(replace(apart, paused=True), 300.0) is Step.NOTHING
    assert step(replace(apart, cut_off=True), 300.0) is Step.NOTHING
    assert step(replace(apart, can_start=False), 300.0) is Step.NOTHING


def test_a_broker_that_answers_is_brought_into_the_cluster_when_it_is_due() -> None:
    outside = replace(WELL, formed=False, form_due=250.0)
    assert step(outside, 249.0) is Step.NOTHING
    assert step(outside, 250.0) is Step.FORM
    assert step(replace(outside, can_form=False), 250.0) is Step.NOTHING


def test_a_pause_leaves_the_process_alone() -> None:
    assert step(replace(WELL, status=Status.HUNG, paused=True)) is Step.NOTHING
    assert step(replace(WELL, running=False, answers=False, paused=True)) is Step.NOTHING


def test_a_broker_that_is_cut_off_is_neither_ended_nor_started() -> None:
    """It is seen in ``tests/faults``: killed while it paused, it booted alone and made a partition."""
    assert step(replace(WELL, status=Status.HUNG, cut_off=True)) is Step.NOTHING
    assert step(replace(WELL, running=False, answers=False, cut_off=True)) is Step.NOTHING


def test_a_broker_that_was_cut_off_has_a_while_to_come_back_before_it_counts_as_hung() -> None:
    """It is seen in ``tests/faults`` with RabbitMQ 4.0, which pauses only when the network is back."""
    back = replace(HANGS, rejoins_until=230.0)
    assert plan(back, 200.0, boot_timeout=BOOT).look_again == 230.0
    assert step(back, 229.9) is Step.NOTHING
    assert step(back, 230.0) is Step.KILL
    dead = replace(back, running=False, answers=False)
    assert step(dead) is Step.START, "one that has ended does not come back by itself"


def test_one_thing_at_a_time() -> None:
    assert step(replace(WELL, running=False, answers=False, busy=True)) is Step.NOTHING


brokers = st.builds(
    Supervised,
    can_start=st.booleans(),
    can_kill=st.booleans(),
    running=st.sampled_from([True, False, None]),
    status=st.sampled_from(Status),
    busy=st.booleans(),
    paused=st.booleans(),
    answers=st.booleans(),
    been_up=st.booleans(),
    formed=st.booleans(),
    can_form=st.booleans(),
    watched_since=st.floats(0, 500),
    node=st.none() | st.builds(NodeFacts, st.sampled_from(NodeState), st.floats(0, 500)),
    start_due=st.floats(0, 500),
    kill_due=st.floats(0, 500),
    form_due=st.floats(0, 500),
)


@given(brokers, st.floats(0, 1000))
def test_what_there_are_no_means_for_is_never_done(broker: Supervised, now: float) -> None:
    planned = plan(broker, now, boot_timeout=BOOT)
    if broker.paused or broker.busy:
        assert planned.step not in (Step.START, Step.KILL)
    if planned.step is Step.START:
        assert broker.can_start
        assert broker.running is False or broker.status is Status.HUNG
    if planned.step is Step.KILL:
        assert broker.can_kill
        # where it cannot be told whether the process runs, what its node says of itself is enough
        assert broker.running is not False or broker.status is Status.HUNG
    if planned.look_again is not None:
        assert planned.step is Step.NOTHING
        assert planned.look_again > now


def test_a_hung_broker_that_can_only_be_restarted_is() -> None:
    hung = replace(HANGS, running=None, can_kill=False)
    assert step(hung) is Step.START
    assert step(replace(hung, kill_due=201.0)) is Step.NOTHING


def test_one_that_nothing_can_be_done_to_is_left_to_others() -> None:
    assert (
        step(replace(WELL, status=Status.HUNG, running=None, can_kill=False, can_start=False)) is Step.NOTHING
    )


def test_a_broker_that_was_killed_is_not_killed_again_at_once() -> None:
    hung = replace(HANGS, running=None, kill_due=210.0)
    assert step(hung, 209.0) is Step.NOTHING
    assert step(hung, 210.0) is Step.KILL


def test_one_that_cannot_be_seen_is_not_killed_for_a_slow_boot() -> None:
    away = replace(WELL, running=None, status=Status.UNREACHABLE, answers=False, been_up=False, formed=False)
    assert step(away, 10_000.0) is Step.NOTHING
