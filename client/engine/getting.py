"""Getting: single messages that users ask queues for, without a consumer. On the I/O thread.

Each is asked for on a channel of its own, on the consumers' connection, and the channel lives until the
message is answered. So a refusal, which closes the channel, gives no other message back. What has no answer
is asked for on another channel, and what was lost with its connection over the next one: a message that had
come meanwhile is back in its queue then, unless it needed no ack.
"""

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

from rabbitkeeper.client.amqp.decoding import Delivery
from rabbitkeeper.client.amqp.transport import Channel, ChannelLost, Connection, ConnectionLost, Loop, Timer
from rabbitkeeper.client.consume.acknowledger import Acknowledger
from rabbitkeeper.client.consume.context import SubscriptionContext
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.declare.refusals import ENDS_CONNECTION, passes_for_user, patience
from rabbitkeeper.client.model.errors import Closed, NoLeader, NotAuthorized, RabbitKeeperError, TopologyError
from rabbitkeeper.client.model.retry import Retry
from rabbitkeeper.coordinator.model.reply_codes import ReplyCode


@dataclass(slots=True, eq=False)
class _Get:
    """What one user waits for."""

    queue: str  # as users know it
    no_ack: bool
    retry: Retry
    result: Future[Message | None] = field(default_factory=Future)
    connection: Connection | None = None  # over which it is asked for …
    channel: Channel | None = None  # … if it is
    error: str = "no broker was reached"
    silences: int = 0  # times it had no answer
    timer: Timer = None


@dataclass(slots=True, eq=False)
class _Unanswered:
    """A message that is not answered, by its channel."""

    connection: Connection
    channel: Channel
    acknowledger: Acknowledger


class Getting:
    """Follows the consumers from connection to connection.

    Args:
        loop: of the I/O thread.
        context: what consumers need of the engine, and this too.
        want: has the consumers' connection opened.
    """

    def __init__(self, loop: Loop, context: SubscriptionContext, want: Callable[[], None]) -> None:
        self._loop = loop
        self._context = context
        self._want = want
        self._connection: Connection | None = None
        self._waiting: list[_Get] = []
        self._held: list[_Unanswered] = []
        self._ending: RabbitKeeperError | None = None

    def ask(self, queue: str, timeout: float, *, no_ack: bool) -> Future[Message | None]:
        """One message of ``queue``; None if it has none ready. From any thread.

        What comes back ends within ``timeout`` seconds: with that, or ``NoLeader``, ``TopologyError``,
        ``NotAuthorized`` or ``Closed``. One that is cancelled gives the message back.
        """
        one = _Get(queue, no_ack, Retry(self._context.random))

        def start() -> None:
            if self._ending is not None:
                one.result.set_exception(self._ending)
                return
            self._waiting.append(one)
            one.timer = self._loop.call_later(timeout, lambda: self._expire(one))
            self._want()
            self._begin(one)

        self._context.post(start)
        return one.result

    @property
    def in_hand(self) -> int:
        """Messages delivered and not answered. From any thread."""
        return sum(held.acknowledger.open for held in list(self._held))

    # -- following the client

    def attach(self, connection: Connection) -> None:
        """Everything is asked for over ``connection`` from now on."""
        self._connection = connection
        for one in list(self._waiting):
            self._begin(one)

    def detach(self) -> None:
        """The connection is gone."""
        self._connection = None
        self.look()

    def ended(self, connection: Connection, lost: ConnectionLost) -> None:
        """``connection`` was lost, perhaps over what was asked for on it: RabbitMQ ends one over a stream."""
        if lost.code in ENDS_CONNECTION:
            for one in [one for one in self._waiting if one.connection is connection]:
                self._fail(one, TopologyError(f"cannot get from {one.queue!r}: {lost.why}"))

    def hold(self, connection: Connection) -> bool:
        """Whether something is still to be said on ``connection``, which was left."""
        return any(held.connection is connection and held.acknowledger.open for held in self._held) or any(
            one.connection is connection for one in self._waiting
        )

    def let_go(self, connection: Connection) -> None:
        """``connection``, which was left, is about to be closed."""
        for held in list(self._held):
            if held.connection is connection:
                held.acknowledger.flush()
        for one in list(self._waiting):
            if one.connection is connection:
                self._again(one)

    def look(self) -> None:
        """Something was answered, or a connection has ended."""
        for held in [held for held in self._held if not held.acknowledger.open]:
            self._held.remove(held)
            held.channel.close()
        for one in list(self._waiting):
            if one.connection is not None and not one.connection.is_open:
                self._again(one)

    def end(self, error: RabbitKeeperError | None) -> None:
        """Nothing comes any more; the answers given so far go out."""
        self._ending = error if error is not None else Closed("the client is closed")
        for held in list(self._held):
            held.acknowledger.flush()
        for one in list(self._waiting):
            self._fail(one, self._ending)

    # -- one after the other

    def _begin(self, one: _Get) -> None:
        connection = self._connection
        if connection is None or not connection.is_open or one.channel is not None or one.result.done():
            return

        def opened(channel: Channel) -> None:
            if one.channel is not channel:
                channel.close()
                return
            acknowledger = self._context.acknowledger(channel, 1, no_ack=one.no_ack)
            held = _Unanswered(connection, channel, acknowledger)
            channel.get(
                self._context.resolve(one.queue),
                no_ack=one.no_ack,
                on_got=lambda delivery: self._got(one, held, delivery),
            )

        one.connection = connection
        channel = one.channel = connection.channel(
            opened, lambda channel, lost: self._lost(one, channel, lost)
        )

        def late() -> None:
            if one.channel is channel:
                one.silences += 1
                one.error = "no answer from the broker"
                channel.close()
                self._again(one)

        self._loop.call_later(patience(one.silences), late)

    def _again(self, one: _Get) -> None:
        """What was asked for is given up."""
        one.connection = one.channel = None
        self._begin(one)

    def _got(self, one: _Get, held: _Unanswered, delivery: Delivery | None) -> None:
        if one.channel is not held.channel:
            return
        message = None
        if delivery is not None:
            held.acknowledger.delivered(delivery[0])
            message = Message(delivery, one.queue, held.acknowledger)
        self._forget(one)
        if message is None or one.no_ack:
            held.channel.close()
        else:
            held.acknowledger.on_answers = self._answered
            self._held.append(held)
        try:
            one.result.set_result(message)
        except InvalidStateError:  # it was cancelled: nobody has seen the message
            if delivery is not None:
                held.acknowledger.give_back(delivery[0])
        self._context.on_left()

    def _answered(self) -> None:
        self.look()
        self._context.on_left()

    def _lost(self, one: _Get, channel: Channel, lost: ChannelLost) -> None:
        if one.channel is not channel:
            self._answered()  # the message is back in its queue
            return
        if lost.code == ReplyCode.ACCESS_REFUSED and "exclusive use" not in lost.why:
            self._fail(one, NotAuthorized(f"getting from {one.queue!r} was refused: {lost.why}"))
        elif passes_for_user(lost.code, lost.why) or self._context.is_pending(one.queue):
            one.error, one.connection, one.channel = lost.why, None, None
            self._loop.call_later(one.retry.failed(), lambda: self._begin(one))
        else:
            self._fail(one, TopologyError(f"cannot get from {one.queue!r}: {lost.why}"))

    def _expire(self, one: _Get) -> None:
        if one in self._waiting:
            kind = NoLeader if self._connection is None else TopologyError
            channel = one.channel
            self._fail(one, kind(f"nothing was heard of {one.queue!r} in time: {one.error}"))
            if channel is not None:
                channel.close()  # what comes yet goes back
            self._context.on_left()

    def _fail(self, one: _Get, error: RabbitKeeperError) -> None:
        self._forget(one)
        try:
            one.result.set_exception(error)
        except InvalidStateError:
            return  # nobody waits

    def _forget(self, one: _Get) -> None:
        one.connection = one.channel = None
        self._loop.cancel(one.timer)
        if one in self._waiting:
            self._waiting.remove(one)
