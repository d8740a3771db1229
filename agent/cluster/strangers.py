"""Whether the record of the cluster names the nodes that RabbitMQ names: what differs hits at a failure.

A node that is gone and still counts makes a majority harder to reach; one that is recorded and not in the
cluster is missed for nothing. Pure; nothing is mended here, since what is gone for good only a person knows.
"""

from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus
from rabbitkeeper.coordinator.model.view import GroupView


def strangers(status: ClusterStatus | None, view: GroupView | None) -> tuple[str, ...]:
    """What differs, a sentence each with what would help.

    Args:
        status: what our node has said of its cluster last; None if it has not been asked.
        view: the last snapshot; None if there is none.
    """
    if status is None or view is None or view.cluster is None:
        return ()
    recorded = view.cluster.record.nodes
    registered = {member.record.node for member in view.members.values()}
    unknown = status.nodes - recorded.keys() - registered
    missing = recorded.keys() - status.nodes
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
