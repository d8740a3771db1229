"""What goes wrong with brokers in a history: steps that touch a cluster alone, each chosen by a number."""

from collections.abc import Callable

from rabbitkeeper.client.amqp.transport import ChannelLost
from simulation.broker.cluster import BOOTING, CONNECTION_LIMIT, CREDENTIALS, SimulatedCluster
from simulation.broker.confirms import Style


def some(cluster: SimulatedCluster, choice: int) -> str:
    """A node."""
    return cluster.names[choice % len(cluster.names)]


def kill(cluster: SimulatedCluster, choice: int) -> None:
    cluster.kill(some(cluster, choice))


def start(cluster: SimulatedCluster, choice: int) -> None:
    if not cluster.is_up(some(cluster, choice)):
        cluster.start(some(cluster, choice))


def hang(cluster: SimulatedCluster, choice: int) -> None:
    if cluster.answers(some(cluster, choice)):
        cluster.hang(some(cluster, choice))


def wake(cluster: SimulatedCluster, choice: int) -> None:
    if cluster.nodes[some(cluster, choice)].is_hung:
        cluster.wake(some(cluster, choice))


def close_connections(cluster: SimulatedCluster, choice: int) -> None:
    cluster.close_connections(some(cluster, choice))


def end_connections(cluster: SimulatedCluster, choice: int) -> None:
    node = cluster.nodes[some(cluster, choice)]
    node.ends_connections = not node.ends_connections


def turn_away(cluster: SimulatedCluster, choice: int) -> None:
    """A node lets nobody in, or does so again."""
    node = cluster.nodes[some(cluster, choice)]
    node.refusal = (None, BOOTING, CREDENTIALS, CONNECTION_LIMIT)[choice // 3 % 4]


def refuse_declarations(cluster: SimulatedCluster, choice: int) -> None:
    """Something cannot be declared, or is not answered; or all can again."""
    name = ("orders", "events", "mine", "full")[choice % 4]
    match choice // 4 % 4:
        case 0:
            cluster.refusals[name] = ChannelLost(405, "RESOURCE_LOCKED")
        case 1:
            cluster.refusals[name] = ChannelLost(406, "PRECONDITION_FAILED")
        case 2:
            cluster.silent_declarations.add(name)
        case 3:
            cluster.answer_again()


def silence_consumers(cluster: SimulatedCluster, choice: int) -> None:
    if choice % 2:
        cluster.silent_consumes.add(("orders", "bills")[choice // 2 % 2])
    else:
        cluster.answer_again()


def stale_record(cluster: SimulatedCluster, choice: int) -> None:
    """A node's record of a queue names a dead node: channels that are new to it wait there."""
    cluster.queues[("orders", "bills")[choice % 2]].is_stale_at.add(some(cluster, choice // 2))


def refuse(cluster: SimulatedCluster, choice: int) -> None:
    """A queue refuses what is published to it, or takes it again."""
    queue = cluster.queues.get(("orders", "bills", "full")[choice % 3])
    if queue is not None:
        queue.refuses = choice // 3 % 3 > 0


def drain_the_full(cluster: SimulatedCluster, choice: int) -> None:
    """Somebody takes some messages from the queue that gets full."""
    queue = cluster.queues.get("full")
    if queue is not None:
        del queue.ready[: 1 + choice % 5]


def limit_channels(cluster: SimulatedCluster, choice: int) -> None:
    """Connections may have few channels, or as many as they like again."""
    cluster.channel_max = (4, 6, 2047)[choice % 3]


def silence_channels(cluster: SimulatedCluster, choice: int) -> None:
    """A node opens no channel any more, and does not say so."""
    cluster.silent_channels.add(some(cluster, choice))


def close_channels(cluster: SimulatedCluster, choice: int) -> None:
    if choice % 2:
        cluster.close_channels(406, "PRECONDITION_FAILED", consuming=True)
    else:  # over nothing that the client has done
        cluster.close_channels(506, "RESOURCE_ERROR", consuming=False)


def cancel_consumers(cluster: SimulatedCluster, choice: int) -> None:
    for queue in list(cluster.queues.values()):
        for consumer in list(queue.consumers)[choice % 2 :]:
            consumer.cancel_by_broker()


def stall_consumers(cluster: SimulatedCluster, choice: int) -> None:
    cluster.stall_consumers(("orders", "bills", "full")[choice % 3])


def alarm(cluster: SimulatedCluster, choice: int) -> None:
    if choice % 2:
        cluster.raise_alarm()
    else:
        cluster.clear_alarm()


def hold_confirms(cluster: SimulatedCluster, choice: int) -> None:
    if choice % 2:
        cluster.hold_confirms()
    else:
        cluster.release_confirms()


def lose_leader(cluster: SimulatedCluster, choice: int) -> None:
    name = ("orders", "bills")[choice % 2]
    cluster.queues[name].lose_leader((0.05, 0.5, 3.0)[choice % 3])


def confirm_in(cluster: SimulatedCluster, choice: int) -> None:
    cluster.confirm_style = list(Style)[choice % len(Style)]
    delay = (0.0, 0.0005, 0.01, 0.2)[choice % 4]
    cluster.confirm_delay = lambda: delay


FAULTS: dict[str, Callable[[SimulatedCluster, int], None]] = {
    fault.__name__: fault
    for fault in (
        kill,
        start,
        hang,
        wake,
        close_connections,
        end_connections,
        turn_away,
        refuse_declarations,
        silence_consumers,
        stale_record,
        refuse,
        drain_the_full,
        limit_channels,
        silence_channels,
        close_channels,
        cancel_consumers,
        stall_consumers,
        alarm,
        hold_confirms,
        lose_leader,
        confirm_in,
    )
}
"""By their names."""
