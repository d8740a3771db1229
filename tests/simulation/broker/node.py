"""A node of the simulated cluster: a broker that lives, dies, hangs, or turns clients away."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rabbitkeeper.client.amqp.transport import FRAME_MAX, ConnectionLost

if TYPE_CHECKING:
    from simulation.broker.connection_end import ConnectionEnd


@dataclass(slots=True, eq=False)
class Node:
    """One broker. Its cluster changes it."""

    name: str
    is_up: bool = True
    is_hung: bool = False  # the kernel still accepts connections; nothing is read or said
    is_dropped: bool = False  # it is hung, and the others do not wait for it any more
    refusal: ConnectionLost | None = None  # what it answers to whoever connects
    ends_connections: bool = False  # right after they have opened
    frame_max: int = FRAME_MAX  # bytes; that it announces
    lacks: set[str] = field(default_factory=set)  # queues of which it does not know, while others do
    connections: list["ConnectionEnd"] = field(default_factory=list)
    busy_until: float = 0.0  # with handshakes

    def work(self, now: float, seconds: float) -> float:
        """Take on ``seconds`` of work behind what there is: seconds from now until it is done."""
        self.busy_until = max(now, self.busy_until) + seconds
        return self.busy_until - now

    @property
    def address(self) -> str:
        return f"{self.name}:5672"

    @property
    def answers(self) -> bool:
        return self.is_up and not self.is_hung
