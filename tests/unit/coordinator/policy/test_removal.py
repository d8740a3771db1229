"""Who may be forgotten by the cluster, and what those are told who may not."""

from dataclasses import replace

import pytest
from support.group_views import MINE, THIRD, A, B, C, member, view

from rabbitkeeper.coordinator.model.records import FORGET_NODES, ClusterNode, ClusterRecord, MemberStatus
from rabbitkeeper.coordinator.model.view import ClusterView, GroupView, MemberView
from rabbitkeeper.coordinator.policy.removal import (
    Removal,
    reinit_of,
    removal_of_member,
    removal_of_node,
    replacement_of,
    too_old_for,
)

STARTING = MemberStatus.STARTING


def group(*members: MemberView, **former: str) -> GroupView:
    """a, b and c are recorded, and ``former``: member by node's host."""
    nodes = {f"rabbit@{name}": ClusterNode(member=name, joined="") for name in "abc"}
    nodes |= {f"rabbit@{host}": ClusterNode(member=name, joined="") for host, name in former.items()}
    record = ClusterRecord(founder="rabbit@a", formed="", nodes=nodes)
    return view(*members, cluster=ClusterView(record, 0))


def targets(removal: Removal | str) -> tuple[str, ...]:
    assert isinstance(removal, Removal), removal
    return removal.targets


def refusal(removal: Removal | str) -> str:
    assert isinstance(removal, str)
    return removal


def test_a_member_that_is_gone_is_removed() -> None:
    assert targets(removal_of_member(group(A, B), "c")) == ("c",)
    assert "is registered" in refusal(removal_of_member(group(A, B, C), "c"))
    assert "recorded are: a, b, c" in refusal(removal_of_member(group(A, B, C), "d"))
    assert "only 1 of 3 brokers would serve" in refusal(removal_of_member(group(A), "c"))


def knowing(name: str, owner: int, *knows: str) -> MemberView:
    there = member(name, owner)
    return replace(there, record=there.record.model_copy(update={"knows": knows}))


def test_agents_that_would_do_nothing_and_say_that_it_is_done_are_named_first() -> None:
    new = [knowing(name, owner, FORGET_NODES, "more") for owner, name in enumerate("abc", 1)]
    node, gone = Removal(("rabbit@old",), ""), Removal(("c",), "")
    assert too_old_for(group(*new), node) is None
    mixed = group(*new[:2], knowing("c", THIRD))
    assert too_old_for(mixed, gone) is None, "all agents know members"
    said = too_old_for(mixed, node)
    assert said is not None
    assert said.startswith("too old to forget nodes are the agents of c (1): ")
    assert "upgrade them first" in said


def test_a_node_that_belongs_to_nobody_is_removed_recorded_or_not() -> None:
    assert targets(removal_of_node(group(A, B, C), "rabbit@phantom")) == ("rabbit@phantom",)
    assert targets(removal_of_node(group(A, B, C, old="c"), "rabbit@old")) == ("rabbit@old",)
    assert "is the node of c" in refusal(removal_of_node(group(A, B, C), "rabbit@c"))
    assert "no node's name" in refusal(removal_of_node(group(A, B, C), "old"))
    assert "majority" in refusal(removal_of_node(group(A), "rabbit@b"))


def test_the_nodes_that_a_member_had_before_are_replaced_once_the_new_one_serves() -> None:
    assert targets(replacement_of(group(A, B, C, old="c"), "c")) == ("rabbit@old",)
    assert "no other node" in refusal(replacement_of(group(A, B, C), "c"))
    assert "not registered" in refusal(replacement_of(group(A, B, old="c"), "c"))
    boots = member("c", THIRD, STARTING)
    assert "must run first" in refusal(replacement_of(group(A, B, boots, old="c"), "c"))


@pytest.mark.parametrize("state", [STARTING, MemberStatus.STOPPED, MemberStatus.UNREACHABLE])
def test_a_member_that_has_lost_its_disk_is_made_anew(state: MemberStatus) -> None:
    assert targets(reinit_of(group(A, B, member("c", THIRD, state)), "c")) == ("rabbit@c",)


def test_a_member_that_has_what_it_had_is_not_made_anew() -> None:
    assert "nothing is to be done" in refusal(reinit_of(group(A, B, C), "c"))
    assert "not registered" in refusal(reinit_of(group(A, B), "c"))
    assert "joins by itself" in refusal(reinit_of(view(A, member("d", MINE, STARTING)), "d"))
    assert "majority" in refusal(reinit_of(group(A, member("c", THIRD, STARTING)), "c"))
