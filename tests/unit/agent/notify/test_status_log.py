"""The log says what is new, once."""

import logging

import pytest

from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.agent.notify.status_log import StatusLog
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.policy.election import Action, Decision

RUNNING = Verdict(MemberStatus.RUNNING, (), 0.0)
HUNG = Verdict(MemberStatus.HUNG, ("no answer to a canary within 2 s",), 5.0)
LEADS = Decision(Action.LEAD, "leads (epoch 7)")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    caplog.clear()
    return said


def test_a_healthy_loop_says_nothing_twice(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    status_log = StatusLog()
    assert status_log.tell(RUNNING, LEADS) == "the broker is running; leads (epoch 7)"
    assert lines(caplog) == [("INFO", "the broker is running"), ("INFO", "leads (epoch 7)")]
    status_log.tell(RUNNING, LEADS)
    assert lines(caplog) == []


def test_a_change_is_said_with_its_reason_and_what_was(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    status_log = StatusLog()
    status_log.tell(RUNNING, LEADS)
    caplog.clear()
    status_log.tell(
        HUNG, Decision(Action.RESIGN, "gives up the lead: the broker is hung", cause="broker hung")
    )
    assert lines(caplog) == [
        ("WARNING", "the broker is hung, was running: no answer to a canary within 2 s"),
        ("WARNING", "gives up the lead: the broker is hung"),
    ]


def test_seconds_that_grow_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    status_log = StatusLog()
    for seconds in ("0.1", "17.3"):
        status_log.tell(RUNNING, Decision(Action.HOLD, f"no connection for {seconds} s: stays"))
    assert [line for _, line in lines(caplog)] == ["the broker is running", "no connection for 0.1 s: stays"]


def test_a_problem_of_a_znode_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    status_log = StatusLog()
    status_log.tell(RUNNING, LEADS, ("/x is no record",))
    status_log.tell(RUNNING, LEADS, ("/x is no record",))
    assert [line for _, line in lines(caplog)].count("/x is no record") == 1
