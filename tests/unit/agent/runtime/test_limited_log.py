"""A log that a stranger cannot fill."""

import logging

import pytest

from rabbitkeeper.agent.runtime.limited_log import LimitedLog


def test_one_line_of_a_kind_in_a_while_with_how_many_were_left_out(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    log = LimitedLog(logging.getLogger("rabbitkeeper.test"), interval=10.0, clock=lambda: now[0])
    for number in range(1000):
        log.warning("late", "%s was late", f"10.0.0.{number % 256}")
    log.warning("other", "something else")
    now[0] = 9.9
    log.warning("late", "%s was late", "10.0.0.9")
    now[0] = 10.0
    log.warning("late", "%s was late", "10.0.0.10")
    assert [record.getMessage() for record in caplog.records] == [
        "10.0.0.0 was late",
        "something else",
        "10.0.0.10 was late (and 1000 more like this since the last such line)",
    ]
