"""The group as JSON: the command and the API say the same of it."""

from support.agent_states import NOW, leader, member, state, view

from rabbitkeeper.agent.api import answers
from rabbitkeeper.coordinator.cli.commands import list as listing
from rabbitkeeper.coordinator.model.records import (
    MaintenanceRecord,
    MemberStatus,
    OperationKind,
    SwitchoverRecord,
)
from rabbitkeeper.coordinator.model.view import MaintenanceView, SwitchoverView

ASKED = "2026-01-31T12:00:00.000Z"
MOVE = SwitchoverRecord(
    id="1", kind=OperationKind.SWITCHOVER, previous="node2", epoch=7, to="node1", by="ops", requested=ASKED
)
WORK = MaintenanceRecord(id="2", kind=OperationKind.RESTART, members=("node1",), by="ops", requested=ASKED)


def test_the_command_and_the_api_show_a_group_alike() -> None:
    seen = view(
        leader("node2"),
        member("node2"),
        member("node1", MemberStatus.ALARMED, "publishers are blocked"),
        switchover=SwitchoverView(MOVE, version=0),
        maintenance=MaintenanceView(WORK, version=0),
    )
    _, told = answers.group(state(view=seen), NOW, 0.0)
    listed = listing.content("orders", seen)
    for key in ("members", "switchover", "maintenance", "epoch"):
        assert told[key] == listed[key]
    assert [(one["name"], one["state"], one["leader"]) for one in told["members"]] == [
        ("node1", "alarmed", False),
        ("node2", "running", True),
    ]
    assert told["switchover"]["from"] == "node2"  # the name that it has in the znode
    assert "v" not in told["leader"] | told["members"][0] | told["switchover"]


def test_what_there_is_not_is_null() -> None:
    _, told = answers.group(state(view=view()), NOW, 0.0)
    assert (told["leader"], told["switchover"], told["maintenance"], told["pause"]) == (None,) * 4
