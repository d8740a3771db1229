"""A client's events in the log: with the fields that the agents' logs have, and their ids of a lead."""

import json
import logging

import pytest

from rabbitkeeper.client import EventLog, JsonLines
from rabbitkeeper.client.model.events import (
    ConsumerLost,
    Event,
    LeaderChanged,
    Switched,
    ZooKeeperBack,
    ZooKeeperLost,
)


def lines(caplog: pytest.LogCaptureFixture, *events: Event) -> list[dict[str, object]]:
    caplog.set_level(logging.INFO)
    log = EventLog("orders")
    for event in events:
        log(event)
    read = [json.loads(JsonLines().format(record)) for record in caplog.records]
    for line in read:
        assert line.pop("time")
        assert line.pop("logger") == "rabbitkeeper.client.events"
    return read


def test_a_switch_says_where_to_and_under_which_epoch(caplog: pytest.LogCaptureFixture) -> None:
    event = Switched("node2", "host2:5672", previous="node1", epoch=7, planned=False, gap=0.2)
    (line,) = lines(caplog, event)
    assert str(line.pop("event_id")).endswith("-1")
    assert line == {
        "level": "info",
        "message": "Switched: member node2, address host2:5672, previous node1, "
        "epoch 7, planned False, gap 0.2",
        "group": "orders",
        "member": "node2",
        "epoch": 7,
        "event": "Switched",
    }


def test_a_change_of_the_lead_has_the_id_that_the_agents_give_it(caplog: pytest.LogCaptureFixture) -> None:
    taken, lost = lines(caplog, LeaderChanged("node1", 7), LeaderChanged(None, 7))
    assert (taken["event_id"], lost["event_id"]) == ("lead-7", "lead-7-lost")
    taken, lost = lines(caplog, LeaderChanged("node1", 7, 5), LeaderChanged(None, 7, 5))[2:]
    assert (taken["event_id"], lost["event_id"]) == ("lead-5-7", "lead-5-7-lost")


def test_what_is_amiss_is_a_warning_and_every_event_has_an_id(caplog: pytest.LogCaptureFixture) -> None:
    said = lines(caplog, ZooKeeperLost(), ZooKeeperBack(), ConsumerLost("q", "gone", final=True))
    assert [line["level"] for line in said] == ["warning", "info", "warning"]
    assert [line["message"] for line in said][:2] == ["ZooKeeperLost", "ZooKeeperBack"]
    assert len({line["event_id"] for line in said}) == 3
