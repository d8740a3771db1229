"""Events as lines of the log: each once, and under the id that hooks, webhook, stream and history have."""

import json
import logging
from dataclasses import replace

import pytest
from support.agent_states import NAME, leader, member, state, view

from rabbitkeeper.agent.model.state import AgentState
from rabbitkeeper.agent.model.verdict import Verdict
from rabbitkeeper.agent.notify import event_log
from rabbitkeeper.agent.notify.events import Event, EventCursor, EventKind, follow, own_id
from rabbitkeeper.agent.notify.hooks import environment
from rabbitkeeper.agent.notify.status_log import StatusLog
from rabbitkeeper.coordinator.json_lines import JsonLines
from rabbitkeeper.coordinator.model.records import MemberStatus, OperationKind, SwitchoverRecord
from rabbitkeeper.coordinator.model.view import SwitchoverView
from rabbitkeeper.coordinator.policy.election import Action, Decision

AT = "2026-01-31T12:00:05.000Z"
LEADS = state(view=view(leader(NAME)), action=Action.LEAD)
OTHER_LEADS = state(view=view(leader("node2", epoch=9)))
VACANT = state(view=view(None), action=Action.WAIT)


def told(*states: AgentState) -> list[Event]:
    """All events of ``states``, one turn after the other."""
    cursor, found = EventCursor(), list[Event]()
    for turn, one in enumerate(states, 1):
        cursor, events = follow(cursor, replace(one, turn=turn), AT)
        found += events
    return found


def only(events: list[Event], kind: EventKind) -> Event:
    (found,) = [event for event in events if event.kind is kind]
    return found


def test_a_change_of_the_lead_has_one_id_at_all_agents() -> None:
    taker, watcher = told(VACANT, LEADS), told(VACANT, state(view=view(leader(NAME))))
    assert only(taker, EventKind.LEADER_ELECTED).event_id == "lead-7"
    assert only(taker, EventKind.LEADER).event_id == only(watcher, EventKind.LEADER).event_id == "lead-7"
    loser, watcher = told(LEADS, VACANT), told(state(view=view(leader(NAME))), VACANT)
    assert only(loser, EventKind.LEADER_LOST).event_id == "lead-7-lost"
    assert only(loser, EventKind.LEADER).event_id == only(watcher, EventKind.LEADER).event_id == "lead-7-lost"


def test_the_id_of_a_lead_is_not_given_again_after_zookeeper_has_forgotten() -> None:
    again = state(view=replace(view(leader(NAME)), incarnation=5, rollbacks=1), action=Action.LEAD)
    events = told(LEADS, again)
    assert only(events, EventKind.LEADER_LOST).event_id == "lead-7-lost"
    elected = [event.event_id for event in events if event.kind is EventKind.LEADER_ELECTED]
    assert elected == ["lead-7", "lead-5-7"]
    assert only(events, EventKind.LEADER).event_id == "lead-5-7"
    lost = told(again, replace(again, view=replace(view(None), incarnation=5, rollbacks=1)))
    assert only(lost, EventKind.LEADER_LOST).event_id == "lead-5-7-lost"
    assert only(lost, EventKind.LEADER).event_id == "lead-5-7-lost"


def test_everything_else_has_an_id_of_its_own() -> None:
    hung = view(
        leader("node2"), member(NAME), member("node2", MemberStatus.HUNG), member("node3", MemberStatus.HUNG)
    )
    events = told(state(view=view(leader("node2"))), state(view=hung), state(view=view(leader("node2"))))
    members = [event.event_id for event in events if event.kind is EventKind.MEMBER]
    assert len(members) == len(set(members)) == 4


def test_hook_webhook_and_log_say_the_same_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    events = told(LEADS, VACANT)
    lost = only(events, EventKind.LEADER_LOST)
    event_log.receive(LEADS, (lost,))
    line = json.loads(JsonLines({"group": "orders", "member": NAME}).format(caplog.records[-1]))
    assert line["event_id"] == environment(lost)["RABBITKEEPER_EVENT_ID"] == lost.content()["event_id"]
    assert (line["event"], line["level"], line["about"]) == ("leader_lost", "info", NAME)


def test_an_operation_is_named_by_its_own_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    record = SwitchoverRecord(
        id="ab12", kind=OperationKind.SWITCHOVER, previous=NAME, epoch=7, to="node2", by="ann", requested=AT
    )
    asked = view(leader(NAME), switchover=SwitchoverView(record, 0))
    pending = only(told(LEADS, replace(LEADS, view=asked)), EventKind.OPERATION)
    event_log.receive(LEADS, (pending,))
    line = json.loads(JsonLines().format(caplog.records[-1]))
    assert line["operation_id"] == environment(pending)["RABBITKEEPER_OPERATION_ID"] == "ab12"
    assert line["message"] == "switchover ab12 is pending: the lead goes to node2"


def test_what_the_loop_says_itself_is_not_said_twice(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (first,) = told(OTHER_LEADS)
    event_log.receive(OTHER_LEADS, (first,))
    assert caplog.records == []
    # the loop's line has the id of the event that is made of the same turn
    event_id = own_id(OTHER_LEADS.instance, 1, EventKind.STATE)
    StatusLog().tell(
        Verdict(MemberStatus.RUNNING, (), 0.0), Decision(Action.FOLLOW, "follows"), event_id=event_id
    )
    assert json.loads(JsonLines().format(caplog.records[0]))["event_id"] == first.event_id


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_is_a_sentence(kind: EventKind) -> None:
    event = Event(
        kind, AT, "orders", NAME, "node2", epoch=7, state="leads", reason="it must", operation="ab12"
    )
    assert "None" not in event_log.sentence(replace(event, cause="hung"))
