"""Which nodes the RabbitMQ cluster may be asked to forget, and why not. Pure.

Forgetting a node takes away its replicas, so it is done only to one that is gone, or whose data is, and only
while the others are a majority.
"""

from collections.abc import Collection
from dataclasses import dataclass

from rabbitkeeper.coordinator.model.records import FORGET_NODES
from rabbitkeeper.coordinator.model.view import GroupView


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to be forgotten: a member's name, or nodes; and what is said to who asked, a sentence."""

    targets: tuple[str, ...]
    said: str


def removal_of_member(view: GroupView, member: str) -> Removal | str:
    """A member that is gone for good; or why not, a sentence."""
    names = sorted({node.member for node in view.nodes.values()})
    if member not in names:
        return f"{member} is not recorded in the cluster; recorded are: {', '.join(names) or 'none'}"
    if member in view.members:
        return (
            f"{member} is registered ({view.members[member].record.state}): stop its agent and broker "
            f"first; only a member that is gone can be removed (a lost disk: member reinit {member}; a node "
            f"that it had before: member replace {member})"
        )
    said = f"the cluster forgets {member} and what is on it; its node can join again only when it is empty"
    return _without_majority(view, _nodes_of(view, member)) or Removal((member,), said)


def removal_of_node(view: GroupView, node: str) -> Removal | str:
    """A node that belongs to nobody any more; or why not, a sentence. Whether it is there, RabbitMQ knows."""
    if "@" not in node:
        return f"{node} is no node's name: those have an @, as in rabbit@host1"
    for name, member in view.members.items():
        if member.record.node == node:
            return (
                f"{node} is the node of {name}, which is registered ({member.record.state}): stop its agent "
                f"and broker first; if it has lost its disk: rabbitkeeper member reinit {name}"
            )
    return _without_majority(view, {node}) or Removal(
        (node,), f"the cluster forgets {node} and what is on it"
    )


def replacement_of(view: GroupView, member: str) -> Removal | str:
    """The nodes that a member had before it came on another machine; or why not, a sentence."""
    there, recorded = view.members.get(member), _nodes_of(view, member)
    if there is None:
        return (
            f"{member} is not registered: start the agent of the new machine first, with this name; it "
            "replaces the old node by itself if that is gone"
        )
    former = sorted(recorded - {there.record.node})
    if not former:
        return f"{member} has had no other node than {there.record.node}"
    if not there.record.state.serves:
        return (
            f"{member} is {there.record.state}: its new node must run first, so that it takes over replicas"
        )
    said = f"the cluster forgets {', '.join(former)}, which {member} had before {there.record.node}"
    return _without_majority(view, former) or Removal(tuple(former), said)


def reinit_of(view: GroupView, member: str) -> Removal | str:
    """The node of a member that has lost its disk; or why not, a sentence."""
    there = view.members.get(member)
    if there is None:
        return (
            f"{member} is not registered: start its agent and its broker, which must be empty; if it is gone "
            f"for good: rabbitkeeper member remove {member}"
        )
    node = there.record.node
    if node not in view.nodes:
        return f"{node} is not recorded in the cluster: it joins by itself, if it is empty"
    if there.record.state.serves:
        return f"{member} is {there.record.state}: it has what it had, and nothing is to be done"
    said = f"the cluster forgets {node} and what was on it; then it joins again, empty as it is"
    return _without_majority(view, {node}) or Removal((node,), said)


def too_old_for(view: GroupView, removal: Removal) -> str | None:
    """Whose agents would say that nodes were forgotten, and do nothing; None if all know such a request.

    Whoever leads carries it out, and who leads can change meanwhile.
    """
    if not any("@" in target for target in removal.targets):
        return None  # a member's name, which all agents know
    records = [view.members[name].record for name in sorted(view.members)]
    old = [f"{each.name} ({each.versions.agent})" for each in records if FORGET_NODES not in each.knows]
    if not old:
        return None
    return (
        f"too old to forget nodes are the agents of {', '.join(old)}: whichever of them leads would say that "
        "it is done, and do nothing; upgrade them first"
    )


def _nodes_of(view: GroupView, member: str) -> frozenset[str]:
    return frozenset(node for node, its in view.nodes.items() if its.member == member)


def _without_majority(view: GroupView, gone: Collection[str]) -> str | None:
    """Why the others are too few to have a majority without these nodes; None if they are not."""
    nodes = view.nodes
    there = {member.record.node for member in view.members.values() if member.record.state.serves}
    left = sorted(there & (nodes.keys() - set(gone)))
    majority = len(nodes) // 2 + 1
    if len(left) >= majority:
        return None
    return (
        f"only {len(left)} of {len(nodes)} brokers would serve, and a majority is {majority}: bring the "
        "others back first"
    )
