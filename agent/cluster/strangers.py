"""Whether the record of the cluster names the nodes that RabbitMQ names: what differs hits at a failure.

A node that is gone and still counts makes a majority harder to reach; one that is recorded and not in the
cluster is missed for nothing. Pure; nothing is mended here, since what is gone for good only a person knows.
"""

from collections.abc import Set as AbstractSet

from rabbitkeeper.coordinator.model.view import GroupView


def strangers(nodes: AbstractSet[str], view: GroupView) -> tuple[str, ...]:
    """What differs, a sentence each with what would help.

    Args:
        nodes: those of RabbitMQ's cluster, as our node says.
        view: the snapshot of that moment.
    """
    if view.cluster is None:
        return ()
    recorded = view.cluster.record.nodes
    registered = {member.record.node for member in view.members.values()}
    unknown = nodes - recorded.keys() - registered
    missing = recorded.keys() - nodes
    return (
        *(
            f"{node} is in RabbitMQ's cluster and belongs to no member: if it is gone for good, "
            f"rabbitkeeper member remove --node {node}"
            for node in sorted(unknown)
        ),
        *(
            f"{node} is recorded for {recorded[node].member} and not in RabbitMQ's cluster: start it again, "
            f"or, if it is gone for good, rabbitkeeper member remove --node {node}"
            for node in sorted(missing)
        ),
    )
