"""What a snapshot says of the lead."""

from rabbitkeeper.coordinator.model.records import LeaderRecord
from rabbitkeeper.coordinator.model.view import GroupView, LeaderView


def held_by(owner: int) -> GroupView:
    record = LeaderRecord(
        name="a",
        instance="1",
        node="rabbit@a",
        amqp="a:5672",
        since="2026-01-01T00:00:00Z",
        cause="first leader",
    )
    return GroupView(read_at=0.0, leader=LeaderView(record, epoch=7, version=0, owner=owner))


def test_the_session_that_holds_the_lead_leads_and_no_other() -> None:
    assert held_by(17).leads(17)
    assert not held_by(17).leads(18)
    assert not GroupView(read_at=0.0).leads(17)


def test_who_has_no_session_does_not_lead_even_if_somebody_made_a_leader_that_belongs_to_none() -> None:
    assert not held_by(0).leads(0)
