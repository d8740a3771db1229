"""The transport over simulated brokers, the client's end. See :mod:`rabbitkeeper.client.amqp.transport`.

It checks its user: what no client may do is a :class:`Misuse`.
"""

from collections.abc import Callable
from functools import partial

from rabbitkeeper.client.amqp import transport
from rabbitkeeper.client.amqp.transport import FRAME_MAX, Access, ChannelLost, ConnectionLost, Timer
from simulation.broker.channel import SimulatedChannel
from simulation.broker.cluster import BOOTING, CREDENTIALS, SimulatedCluster
from simulation.broker.connection_end import ConnectionEnd
from simulation.broker.node import Node
from simulation.broker.wire import Wire
from simulation.loop import VirtualLoop

PASSWORD = "secret"
HANDSHAKES = 3  # ways from there to here and back that opening a connection takes beside the first


class SimulatedTransport:
    """One client's. See the module."""

    def __init__(self, cluster: SimulatedCluster, loop: VirtualLoop) -> None:
        self.cluster = cluster
        self.loop = loop
        self.connections: list[SimulatedConnection] = []
        loop.on_stop = self._let_go

    def connect(
        self,
        address: str,
        access: Access,
        *,
        timeout: float,
        on_open: Callable[[], None],
        on_lost: Callable[[ConnectionLost], None],
        on_blocked: Callable[[str | None], None],
    ) -> "SimulatedConnection":
        connection = SimulatedConnection(self, address, access, timeout, on_open, on_lost, on_blocked)
        self.connections.append(connection)
        return connection

    @property
    def open(self) -> "list[SimulatedConnection]":
        """Connections that are open, or being opened."""
        return [connection for connection in self.connections if not connection.is_over]

    def _let_go(self) -> None:
        """The process closes its sockets."""
        for connection in self.connections:
            connection.abort()


class SimulatedConnection:
    """See :class:`transport.Connection`."""

    def __init__(
        self,
        owner: SimulatedTransport,
        address: str,
        access: Access,
        timeout: float,
        on_open: Callable[[], None],
        on_lost: Callable[[ConnectionLost], None],
        on_blocked: Callable[[str | None], None],
    ) -> None:
        self.cluster = owner.cluster
        self.loop = owner.loop
        self.address = address
        self.number = self.cluster.new_connection_number()
        self.is_over = False  # nothing is reported any more
        self.is_open = False
        self.channels: list[SimulatedChannel] = []
        self._secret = access.password  # that the broker has
        self.consumes = access.name.endswith("(consuming)")  # it is for consumers; others publish
        self._on_open = on_open
        self._on_lost = on_lost
        self._on_blocked = on_blocked
        self._timeout = timeout
        self._timer: Timer | None = self.loop.call_later(timeout, self._timed_out)
        self.wire = Wire(self.cluster.time, self.loop, self.cluster.latency)
        self.end: ConnectionEnd | None = None
        node = self.cluster.node_at(address)
        self._node = node
        self.node = "" if node is None else node.name
        self.cluster.journal.opened.append((self.cluster.time.now, self.node))
        if node is None or not node.is_up:
            self.wire.down.send(lambda: self.lost(ConnectionLost("connection refused")))
            return
        self.end = ConnectionEnd(self.cluster, node, self.number, self, self.wire)
        if node.is_hung:
            self.end.hang()
        if self.cluster.handshake_time:
            self._take_a_step(node, self.cluster.handshake_answers)
        else:
            self.wire.up.send(partial(self._greeted, node), delay=2 * HANDSHAKES * self.cluster.latency())

    @property
    def frame_max(self) -> int:
        return FRAME_MAX if self._node is None else self._node.frame_max

    @property
    def version(self) -> tuple[int, int]:
        return self.cluster.version

    def channel(
        self,
        on_open: Callable[[transport.Channel], None],
        on_lost: Callable[[transport.Channel, ChannelLost], None],
    ) -> SimulatedChannel:
        if not self.is_open or self.end is None:
            raise self.cluster.journal.misuse("a channel of a connection that is not open")
        taken = sum(not channel.is_over for channel in self.channels)
        channel = SimulatedChannel(self, self.end, len(self.channels) + 1, on_open, on_lost)
        self.channels.append(channel)
        if taken < self.cluster.channel_max:
            channel.open()
        else:
            why = ChannelLost(506, f"no channel is free: the connection has {taken} of them (channel_max)")
            self.loop.call_later(0.0, partial(channel.closed, why))
        return channel

    def send(self, call: Callable[[], None], size: int = 64) -> None:
        """Say something to the broker."""
        self.wire.up.send(call, size)

    @property
    def unread(self) -> int:
        """Bytes that the broker has not read."""
        return self.wire.up.unread

    def update_secret(self, secret: str, on_done: Callable[[], None]) -> None:
        if self.is_open:
            self.send(partial(self._take_secret, secret, on_done))

    def abort(self) -> None:
        self._forget()
        self.wire.down.end()
        if self.end is not None:
            self.wire.up.send(self.end.end)

    def close(self) -> None:
        self.abort()  # what was handed over goes out in either case, and nothing is heard of the rest

    # -- what the broker and the network say

    def _take_a_step(self, node: Node, left: int) -> None:
        """The client's side: ask for one of the answers that opening takes; the broker works on it after all
        that it was asked before."""
        work = node.work(self.cluster.time.now, self.cluster.handshake_time / self.cluster.handshake_answers)
        self.wire.up.send(partial(self._answered, node, left - 1), delay=self.cluster.latency() + work)

    def _answered(self, node: Node, left: int) -> None:
        """The broker's side: so many answers are left, the last of which opens the connection."""
        assert self.end is not None
        if left:
            self.end.send(partial(self._heard, node, left))
        else:
            self._greeted(node)

    def _heard(self, node: Node, left: int) -> None:
        if self.is_over:
            return
        self._stop_timer()
        self._timer = self.loop.call_later(self._timeout, self._timed_out)
        self._take_a_step(node, left)

    def _greeted(self, node: Node) -> None:
        """The broker's side: somebody wants to come in."""
        assert self.end is not None
        lost = node.refusal
        if not self._is_good(self._secret):
            lost = CREDENTIALS
        if lost is not None:
            self.end.send(partial(self.lost, lost))
            self.end.end()
            return
        self.end.send(self.opened)
        self._note_expiry()
        if node.ends_connections:
            self.end.send(partial(self.lost, BOOTING))
            self.end.end()

    def _is_good(self, secret: str) -> bool:
        if self.cluster.tokens:
            return self.cluster.tokens.get(secret, 0.0) > self.cluster.time.now
        return secret == (self.cluster.password or PASSWORD)

    def _take_secret(self, secret: str, on_done: Callable[[], None]) -> None:
        """The broker's side: another one for this connection."""
        assert self.end is not None
        if self._is_good(secret):
            self._secret = secret
            self._note_expiry()
            self.end.send(lambda: None if self.is_over else on_done())
        else:
            self._end_over("NOT_ALLOWED - the new secret is refused", 530)

    def _note_expiry(self) -> None:
        """The broker's side: look at the token when it is over."""
        if self.cluster.tokens:
            time = self.cluster.time
            time.after(self.cluster.tokens[self._secret] - time.now, self._token_over)

    def _token_over(self) -> None:
        assert self.end is not None
        if self.end.is_open and not self._is_good(self._secret):
            self.cluster.journal.expired.append(self._secret)
            self._end_over("CONNECTION_FORCED - the token has expired", 320)

    def _end_over(self, why: str, code: int) -> None:
        assert self.end is not None
        self.end.send(partial(self.lost, ConnectionLost(why, code=code)))
        self.end.end()

    def opened(self) -> None:
        if self.is_over:
            return
        self._stop_timer()
        self.is_open = True
        self._on_open()

    def lost(self, lost: ConnectionLost) -> None:
        if self.is_over:
            return
        self._forget()
        self.wire.down.end()
        if self.end is not None:
            self.wire.up.send(self.end.end)
        self._on_lost(lost)

    def blocked(self, why: str | None) -> None:
        if not self.is_over:
            self._on_blocked(why)

    def _timed_out(self) -> None:
        self._timer = None
        self.lost(ConnectionLost(f"no answer in {self._timeout:g} s"))

    def _forget(self) -> None:
        self.is_over = True
        self.is_open = False
        self._stop_timer()
        for channel in self.channels:
            channel.silence()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self.loop.cancel(self._timer)
            self._timer = None
