"""What a node has to do to be in the group's RabbitMQ cluster: one pure decision.

The rules, in their order:

- who finds no cluster recorded founds one, with what it holds;
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

from rabbitkeeper.coordinator.model.records import ClusterRecord


class FormationStep(StrEnum):
    NOTHING = "nothing"  # it is in the cluster, and recorded
    FOUND = "found"
    RECORD = "record"  # it is in the cluster, and not recorded as this member's
    JOIN = "join"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class FormationPlan:
    """A step, and one sentence for a person; ``through``: the nodes to join by, the best first."""

    step: FormationStep
    reason: str
    through: tuple[str, ...] = ()


def plan(
    member: str, node: str, nodes: frozenset[str], record: ClusterRecord | None, held: Sequence[str] | None
) -> FormationPlan:
    """Decide the next step.

    Args:
        member: the member's name.
        node: its Erlang node.
        nodes: the RabbitMQ cluster that the node is in, as it says itself; itself at least.
        record: the group's, as it was read last.
        held: what the node would lose by joining, see ``definitions.holdings``; may be None (not known)
            if the node is recorded.
    """
    others = nodes - {node}
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
            f"remove it there (rabbitmqctl -n {min(known)} forget_cluster_node {node}) and from the group's "
            "record (rabbitkeeper member remove), then it can join as a new one",
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


def _named(nodes: frozenset[str]) -> str:
    return ", ".join(sorted(nodes))
