"""Many clients of one simulated group, on brokers that can take only so many connections in a second."""

from collections.abc import Callable
from itertools import pairwise
from statistics import median

from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.routing.switch import Phase
from simulation.broker.cluster import SimulatedCluster
from simulation.client import SimulatedClient
from simulation.group import SimulatedGroup
from simulation.loop import VirtualTime


class Crowd:
    """So many clients, each of which publishes twice a second to one quorum queue.

    Args:
        count: of clients. All are where the lead is when this returns.
        handshake_time: seconds of a broker's work for each connection; one after the other.
        tells_loads: whether the members say how many connections they carry.
    """

    def __init__(self, count: int, *, handshake_time: float = 0.01, tells_loads: bool = True) -> None:
        self.time = VirtualTime()
        self.cluster = SimulatedCluster(self.time)
        self.cluster.handshake_time = handshake_time
        self.group = SimulatedGroup()
        self._tells_loads = tells_loads
        self.clients = [SimulatedClient(self.cluster, self.group, seed=seed) for seed in range(count)]
        self._confirmed: list[list[float]] = [[] for _ in self.clients]
        self.time.run_until(lambda: self.all_live, 600.0)
        self.time.run_until(lambda: {client.member for client in self.clients} == {"a"}, 600.0)
        self.clients[0].declare(Queue("orders"))
        self._tell_loads()
        for number in range(count):
            self.time.after(0.5 * number / count, self._publisher(number))

    @property
    def all_live(self) -> bool:
        return all(client.phase is Phase.LIVE for client in self.clients)

    @property
    def opened(self) -> int:
        """Attempts to connect, so far."""
        return len(self.cluster.journal.opened)

    def run(self, seconds: float) -> None:
        self.time.advance(seconds)

    def lead(self, name: str) -> None:
        """``name`` leads; what members carry is as it was before."""
        self.group.lead(name)

    def gaps(self, since: float) -> list[float]:
        """The longest pause between two confirms of each client, after ``since`` (seconds), ascending."""
        gaps: list[float] = []
        for moments in self._confirmed:
            before = [moment for moment in moments if moment <= since][-1:]
            times = [*before, *(moment for moment in moments if moment > since), self.time.now]
            gaps.append(max(later - earlier for earlier, later in pairwise(times)))
        return sorted(gaps)

    def close(self) -> None:
        for client in self.clients:
            client.close()

    def _tell_loads(self) -> None:
        if self._tells_loads:
            self.group.loads = {name: len(node.connections) for name, node in self.cluster.nodes.items()}
            self.group.show()

    def _publisher(self, number: int) -> Callable[[], None]:
        client, moments = self.clients[number], self._confirmed[number]

        def confirmed(future: PublishFuture) -> None:
            if future.exception(0) is None:
                moments.append(self.time.now)

        def publish() -> None:
            if not client.loop.is_stopped:
                client.publish(timeout=60.0).add_done_callback(confirmed)  # type: ignore[arg-type]
                self.time.after(0.5, publish)

        return publish


def middle(values: list[float]) -> float:
    """The median."""
    return median(values)
