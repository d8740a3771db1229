"""What an agent says of its group is the view that its client would read from ZooKeeper."""

import json
from dataclasses import replace
from typing import Any

import pytest
from support.agent_states import NOW, leader, member, state, view

from rabbitkeeper.agent.api import answers
from rabbitkeeper.client.discovery.group_answer import PROBLEMS, GroupAnswer, parse_group
from rabbitkeeper.client.routing.listener import targets_of
from rabbitkeeper.client.routing.placement import Targets
from rabbitkeeper.coordinator.model.errors import RecordError
from rabbitkeeper.coordinator.model.records import MemberStatus, Tags
from rabbitkeeper.coordinator.model.view import GroupView


def said(seen: GroupView, **changed: Any) -> bytes:
    """As the agent's API says it."""
    return json.dumps(answers.group(state(view=seen), NOW, 0.0)[1] | changed).encode()


def parsed(seen: GroupView, **changed: Any) -> GroupAnswer:
    return parse_group(said(seen, **changed), 50.0)


def test_a_client_sees_the_same_targets_as_from_zookeeper() -> None:
    far = member("node3", MemberStatus.SPLIT)
    record = far.record.model_copy(
        update={
            "amqps": "node3:5671",
            "tags": Tags(site="south"),
            "load": {"connections": 7},
            "dropped": ("x",),
        }
    )
    seen = replace(view(leader("node2"), member("node1", MemberStatus.HUNG), member("node2")), incarnation=9)
    seen = replace(seen, members={**seen.members, "node3": replace(far, record=record)})
    answer = parsed(seen)
    assert (answer.group, answer.current) == ("orders", True)
    for secure in (False, True):
        assert targets_of(answer.view, Targets(), secure=secure) == targets_of(seen, Targets(), secure=secure)
    assert answer.view.members["node3"].record.dropped == ("x",)
    assert targets_of(answer.view, Targets()).order == ((0, 9), 7)


def test_its_age_is_that_of_the_agents_reading() -> None:
    assert parsed(view(), age=12.5).view.read_at == 37.5


@pytest.mark.parametrize(("left", "current"), [(0.0, False), (0.1, True)])
def test_without_a_lease_there_may_be_something_newer(left: float, current: bool) -> None:
    assert parsed(view(), zookeeper={"connected": False, "lease_left": left}).current is current


def test_a_leader_of_an_earlier_incarnation_or_epoch_is_older() -> None:
    def of(epoch: int | None, incarnation: int) -> GroupAnswer:
        lead = None if epoch is None else leader("node2", epoch)
        return parsed(replace(view(lead), incarnation=incarnation))

    newest = of(7, 1).order()
    assert newest == (1, 7)
    assert of(6, 1).order(newest) < newest
    assert of(9, 0).order(newest) < newest
    assert of(None, 0).order(newest) < newest
    assert of(7, 1).order(newest) == newest
    assert of(None, 1).order(newest) == newest
    assert of(1, 2).order(newest) > newest
    assert of(None, 2).order(newest) > newest


def test_what_a_newer_agent_writes_otherwise_is_left_out_and_the_rest_is_taken() -> None:
    told = json.loads(said(view(leader("node2"))))
    told["members"][0]["state"] = "enchanted"
    told["members"].append("nonsense")
    told["members"].append({"name": "\x1b[2J"})
    told["later"] = {"than": "this"}
    answer = parse_group(json.dumps(told).encode(), 0.0)
    assert sorted(answer.view.members) == ["node2", "node3"]
    assert len(answer.view.problems) == 3
    assert all(problem.isprintable() for problem in answer.view.problems)
    assert "node1" in answer.view.problems[0]


@pytest.mark.parametrize("changed", [{"leader": {"name": 7}}, {"epoch": None}])
def test_a_leader_that_cannot_be_understood_is_none(changed: dict[str, object]) -> None:
    answer = parsed(view(leader("node2")), **changed)
    assert answer.view.leader is None
    assert len(answer.view.problems) == 1


def test_problems_are_bounded() -> None:
    answer = parsed(view(), problems=["x" * 9999] * 9999, members=[{}] * 999)
    assert len(answer.view.problems) == PROBLEMS
    assert max(map(len, answer.view.problems)) < 500


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<html>", b"[]", b"7", b'{"group": 7}', b'{"group": "orders", "epoch": -1}',
        b'{"group": "orders", "age": NaN}', b'{"group": "orders", "members": {}}', b'{"reason": "starting"}',
        b'{"group": "orders", "incarnation": 1e999}', b"[" * 100_000, b'{"group": "\xff"}',
    ],
)  # fmt: skip
def test_what_says_nothing_of_a_group_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError):
        parse_group(data, 0.0)
