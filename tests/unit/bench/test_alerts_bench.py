"""The benchmark of the alerts: its rules remember for less long, and it says what was not as it should be."""

import re

import pytest
from alerting.cases import CASES
from alerting.log import AlertLog, outcome
from alerting.rules import hastened

from rabbitkeeper.agent import monitoring

ALERTS = set(re.findall(r"- alert: (\w+)", monitoring.alerts()))
# Nothing that can be done to a group from outside makes these.
WITHOUT_A_FAULT = {"RabbitKeeperTwoLeaders", "RabbitKeeperLoopSlow", "RabbitKeeperNoMajority"}


@pytest.mark.parametrize(
    ("shipped", "hastened_by_ten"),
    [
        ("        for: 30s\n", "        for: 30s\n"),
        ("        for: 1m\n", "        for: 1m\n"),
        ("        for: 1h\n", "        for: 360s\n"),
        ("increase(ends_total[10m]) > 0", "increase(ends_total[60s]) > 0"),
        ('hooks{outcome!="done"} offset 15m', 'hooks{outcome!="done"} offset 90s'),
        (
            'description: "In the last 10 minutes: for 15m."',
            'description: "In the last 10 minutes: for 15m."',
        ),
    ],
)
def test_only_times_of_rules_that_are_longer_than_a_minute_are_divided(
    shipped: str, hastened_by_ten: str
) -> None:
    assert hastened(shipped, 10) == hastened_by_ten


def test_every_long_time_of_the_rules_is_divided() -> None:
    assert re.search(r"\d+h\b|[\[ ]\d\dm\b", monitoring.alerts())
    assert not re.search(r"\d+h\b|[\[ ]\d\dm\b", hastened(monitoring.alerts(), 10))


def test_the_cases_name_alerts_that_there_are_and_leave_few_out() -> None:
    named = {name for case in CASES for name in case.fires}
    assert {name for case in CASES for name in case.fires | case.may} <= ALERTS
    assert ALERTS - named == WITHOUT_A_FAULT
    assert len({case.fault.name for case in CASES}) == len(CASES)


def test_an_alert_fires_from_when_it_was_first_seen_to_when_it_was_last_gone() -> None:
    log = AlertLog()
    log.note({"Down": "pending"}, 100.0)
    assert not log.fired
    assert not log.quiet
    log.note({"Down": "firing"}, 110.0)
    log.note({"Down": "firing"}, 111.0)
    assert log.firing == {"Down"}
    log.note({}, 120.0)
    log.note({"Down": "firing"}, 121.0)  # again: it was not over
    log.note({"Ended": "pending"}, 130.0)
    assert not log.quiet
    log.note({}, 131.0)
    assert log.quiet
    found = outcome("killed", log, struck=90.0, repaired=115.0, expected=["Down"])
    assert (dict(found.fired), dict(found.cleared), found.repaired) == ({"Down": 20.0}, {"Down": 40.0}, 25.0)
    assert found.problems == ()
    assert found.row() == "| killed | after 25 s | Down 20 s to 40 s | as expected |"


def test_what_is_not_as_it_should_be_is_said() -> None:
    log = AlertLog()
    log.note({"Down": "firing", "Ended": "firing", "Other": "firing"}, 10.0)
    log.note({"Down": "firing"}, 20.0)
    found = outcome("killed", log, struck=0.0, repaired=None, expected=["Down", "Away"], tolerated={"Ended"})
    assert found.problems == ("Away has not fired", "Other fired as well", "Down has not cleared")
    assert "Down 10 s to the end" in found.row()
