"""The broker's end of a connection: what it reads, when it does not, and what ends with it."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from rabbitkeeper.client.amqp.transport import ConnectionLost
from simulation.broker.channel_end import ChannelEnd, ClientChannel
from simulation.broker.wire import Wire

if TYPE_CHECKING:
    from simulation.broker.cluster import SimulatedCluster
    from simulation.broker.node import Node


class ClientConnection(Protocol):
    """The client's end: what a broker, or the network, can say."""

    def opened(self) -> None: ...
    def lost(self, lost: ConnectionLost) -> None: ...
    def blocked(self, why: str | None) -> None: ...


class ConnectionEnd:
    """See the module. It exists from the client's first byte on.

    Args:
        number: of the connection in its cluster.
        client: the other end.
    """

    def __init__(
        self,
        cluster: "SimulatedCluster",
        node: "Node",
        number: int,
        client: ClientConnection,
        wire: Wire,
    ) -> None:
        self.cluster = cluster
        self.node = node
        self.number = number
        self.client = client
        self.wire = wire
        self.is_open = True
        self.is_blocked = False
        self.channels: list[ChannelEnd] = []
        self._publishes = False
        self._unsent: list[Callable[[], None]] = []  # what a hung broker would say
        node.connections.append(self)

    def channel(self, number: int, client: ClientChannel) -> ChannelEnd:
        channel = ChannelEnd(self, number, client)
        self.channels.append(channel)
        return channel

    def send(self, call: Callable[[], None]) -> None:
        """Say something to the client."""
        if self.node.is_hung:
            self._unsent.append(call)
        elif self.is_open:
            self.wire.down.send(call)

    def end(self) -> None:
        """The client has gone, or is to go: what is its own ends with it."""
        if not self.is_open:
            return
        self.is_open = False
        if self in self.node.connections:
            self.node.connections.remove(self)
        self.wire.up.end()
        for channel in self.channels:
            channel.close()
        for queue in list(self.cluster.queues.values()):
            if queue.owner is self:
                self.cluster.remove_queue(queue)

    def close_by_broker(self, code: int, text: str, *, refused: bool = False) -> None:
        """``connection.close``: says so and ends it."""
        self.send(
            partial(self.client.lost, ConnectionLost(f"closed by the broker: {code} {text}", refused, code))
        )
        self.end()

    def break_off(self, why: str, after: float) -> None:
        """The node has died: what it had sent still arrives, then the client notices."""
        self._unsent.clear()
        self.wire.down.send(partial(self.client.lost, ConnectionLost(why)), delay=after)
        self.end()

    # -- not reading

    def hang(self) -> None:
        self.wire.up.pause()

    def wake(self) -> None:
        """The node was hung, and goes on."""
        unsent, self._unsent = self._unsent, []
        for call in unsent:
            self.wire.down.send(call)
        if not self.is_blocked:
            self.wire.up.resume()

    def has_published(self) -> None:
        """A message has come: in an alarm that is the last thing that is read."""
        self._publishes = True
        self.look_for_alarm()

    def look_for_alarm(self) -> None:
        """Block it or let it go on, as there is an alarm or not."""
        alarm = self.cluster.alarm
        if alarm is not None and self._publishes and not self.is_blocked:
            self.is_blocked = True
            self.send(partial(self.client.blocked, alarm))
            self.wire.up.pause()
        elif alarm is None and self.is_blocked:
            self.is_blocked = False
            self.send(partial(self.client.blocked, None))
            if not self.node.is_hung:
                self.wire.up.resume()
