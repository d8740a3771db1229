"""What a node has to do to be in the group's RabbitMQ cluster: one pure decision.

The rules, in their order:

- who finds no cluster recorded founds one, with what it holds; but not an empty node while others say that
  they are formed, or the group has had a leader: then there is a cluster, whose record is gone, and it waits
  for that to be written again (``record_keeper.py``);
- who is in a cluster with a recorded node belongs to it;
- who is in a cluster with none of them is refused: two clusters cannot be made one;
- who is alone and *was* recorded has lost its disk, and is refused: under its old name, without its old
  log, it could vote for a second time on what a majority has settled already;
- who is alone and holds anything is refused, because joining a cluster destroys what a node holds;
- who is alone and holds nothing joins.

A refusal changes nothing anywhere and says what an operator can do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from rabbitkeeper.coordinator.model.records import ClusterRecord, MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView


class FormationStep(StrEnum):
    NOTHING = "nothing"  # it is in the cluster, and recorded
    FOUND = "found"
    RECORD = "record"  # it is in the cluster, and not recorded as this member's
    JOIN = "join"
    REFUSE = "refuse"
    WAIT = "wait"  # for a record that others have yet to write


@dataclass(frozen=True, slots=True)
class FormationPlan:
    """A step, and one sentence for a person; ``through``: the nodes to join by, the best first."""

    step: FormationStep
    reason: str
    through: tuple[str, ...] = ()


def plan(
    member: str,
    node: str,
    nodes: frozenset[str],
    record: ClusterRecord | None,
    held: Sequence[str] | None,
    seen: str | None = None,
) -> FormationPlan:
    """Decide the next step.

    Args:
        member: the member's name.
        node: its Erlang node.
        nodes: the RabbitMQ cluster that the node is in, as it says itself; itself at least.
        record: the group's, as it was read last.
        held: what the node would lose by joining, see ``definitions.holdings``; may be None (not known)
            if the node is recorded.
        seen: why it is known that the group has a cluster, though none is recorded; see :func:`cluster_seen`.
    """
    others = nodes - {node}
    if record is None and not others and not held and seen is not None:
        return FormationPlan(
            FormationStep.WAIT,
            f"{node} is empty and no cluster is recorded, but {seen}: it founds none, and waits until a "
            "member of the cluster has written the record again (is there none any more: delete the group's "
            "znode history)",
        )
    if record is None:
        reason = f"{node} founds the cluster" + (f", with {_named(others)}" if others else "")
        return FormationPlan(FormationStep.FOUND, reason)
    known = frozenset(record.nodes) - {node}
    recorded = record.nodes.get(node)
    if others & known or not known:
        if recorded is not None and recorded.member == member:
            return FormationPlan(FormationStep.NOTHING, f"{node} is in the cluster")
        return FormationPlan(FormationStep.RECORD, f"{node} is in the cluster already")
    if others:
        return FormationPlan(
            FormationStep.REFUSE,
            f"{node} is in a cluster with {_named(others)}, and the group's is that of {_named(known)}; two "
            f"clusters cannot be made one: use an empty node, or give this one a group of its own",
        )
    if recorded is not None:
        return FormationPlan(
            FormationStep.REFUSE,
            f"{node} is recorded as a member of the cluster of {_named(known)}, and its own data is gone; "
            f"rabbitkeeper member reinit {member} has the cluster forget it, then it joins as a new one",
        )
    if held is None:
        raise ValueError(f"{node} is not recorded, so what it holds must be known")
    if held:
        return FormationPlan(
            FormationStep.REFUSE,
            f"{node} holds {', '.join(held)}, and joining the cluster of {_named(known)} would destroy that; "
            "move it away and reset the node (rabbitmqctl stop_app, reset, start_app), or found the cluster "
            "with this node by starting its agent first in a new group",
        )
    through = (
        (record.founder, *sorted(known - {record.founder})) if record.founder in known else sorted(known)
    )
    return FormationPlan(FormationStep.JOIN, f"{node} joins {_named(known)}", tuple(through))


def cluster_seen(view: GroupView, member: str) -> str | None:
    """Why a group must have a cluster though none is recorded, a clause; None if nothing speaks for it.

    Args:
        view: a snapshot.
        member: who asks.
    """
    for name, other in view.members.items():
        if name != member and (other.record.state.serves or other.record.state is MemberStatus.DRAINING):
            return f"{name} is {other.record.state}"
    last = view.last_change
    return None if last is None else f"{last.to} has led the group"


def _named(nodes: frozenset[str]) -> str:
    return ", ".join(sorted(nodes))
