"""The transport: AMQP as the client's engine sees it. An interface, and the values that go with it.

A :class:`Transport` opens a :class:`Connection` to a broker, a connection opens a :class:`Channel`. They
report through plain callbacks and decide nothing: what to open, what to send and what to send again is for
the engine and what it holds. The implementation that speaks to brokers is :mod:`pika_connection`; tests have
one that is a broker itself. Nothing here imports pika.

What every implementation keeps to:

* **One thread.** Everything is called on the thread of the transport's :class:`Loop`, callbacks too, except
  :meth:`Loop.call_soon_threadsafe`.
* **No callback from within a call**, except where it is said (:meth:`Channel.stop_consuming`): who opens
  something has it in hand before it hears of it.
* **The broker's order.** What a broker says on one channel is reported in its order; so a returned message
  is reported before its confirm. Between channels of one connection too: it is one stream of bytes. Between
  connections there is no order.
* **One end.** The end of a connection or channel is reported once, and nothing of it afterwards. A lost
  connection is reported by itself alone; its channels say nothing, they are only not open any more.
* **Silence.** After ``abort`` or ``close`` nothing is reported any more, of a connection nor of its channels:
  an answer of a connection that was given up cannot be taken for one of its successor.
* **No errors.** On a connection or channel that is not open a method does nothing, unless it says otherwise:
  its end has been reported, or will be in a moment. What cannot even be begun (an address that is none, no
  free descriptor, no free channel) is reported as lost a moment later, as if a broker had refused it.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rabbitkeeper.client.amqp.decoding import Answer, Delivery
from rabbitkeeper.client.amqp.frames import Outgoing
from rabbitkeeper.client.model.credentials import Credentials
from rabbitkeeper.client.model.requests import Request
from rabbitkeeper.client.model.topology import Entity

FRAME_MAX = 131_072  # bytes; what clients propose, and a broker may lower

Timer = object
"""What :meth:`Loop.call_later` gives, for :meth:`Loop.cancel`."""

CallLater = Callable[[float, Callable[[], None]], Timer]
"""As :meth:`Loop.call_later`: for those who need nothing else of a loop."""


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """Why a connection could not be opened, or broke."""

    why: str
    refused: bool = False  # credentials, virtual host or permissions: trying again would not help
    code: int = 0  # AMQP's, when the broker closed it


@dataclass(frozen=True, slots=True)
class ChannelLost:
    """Why a channel was closed by the broker. ``code`` as in AMQP 0-9-1: 404, 405, 406, …"""

    code: int
    why: str


@dataclass(frozen=True, slots=True)
class Access:
    """How to get in. The password is in no representation."""

    username: str
    password: str = field(repr=False)
    virtual_host: str = "/"
    tls: ssl.SSLContext | None = None
    name: str = "rabbitkeeper"  # shown in RabbitMQ's list of connections
    heartbeat: int = 10  # seconds; the last resort behind the agents' word, for a peer that is silently gone
    ask: Callable[[], Credentials] | None = field(default=None, repr=False)  # for the first two, each time


class Hosted(Protocol):
    """What lives on an I/O thread."""

    def run(self) -> None:
        """Begin, run the loop until it is stopped or something is raised, and be over."""

    def begin(self) -> None:
        """The thread is there. On it."""

    def over(self, error: BaseException | None) -> None:
        """Nothing is called on the thread any more; ``error`` is why, if nobody wished it."""


class IoThread(Protocol):
    """An I/O thread, as ``threading.Thread`` has it; its own, or one that several share."""

    @property
    def ident(self) -> int | None: ...
    def start(self) -> None: ...
    def is_alive(self) -> bool: ...
    def join(self, timeout: float | None = None) -> None: ...


class Loop(Protocol):
    """The I/O thread's loop, and its clock."""

    def thread(self, hosted: Hosted, name: str) -> IoThread:
        """The thread on which the loop will call back for ``hosted``, not started yet."""

    def now(self) -> float:
        """Seconds, monotonic. From any thread."""

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called soon, in the order of such calls. From any thread; dropped when the loop
        has ended."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Have ``callback`` called once, ``delay`` seconds from now (below 0: as 0), never at once. Dropped
        when the loop has ended."""

    def cancel(self, timer: Timer) -> None:
        """Call it no more. A timer that has been called already is no error."""

    def run(self) -> None:
        """Call back until :meth:`stop`. What a callback raises comes out here, and ends it."""

    def stop(self) -> None:
        """End :meth:`run`, soon. On the loop's thread."""

    def release(self) -> None:
        """Let go of what the loop holds, after :meth:`run`, and after all connections were given up."""


class Transport(Protocol):
    """Where connections come from."""

    @property
    def loop(self) -> Loop:
        """On which everything happens."""

    def connect(
        self,
        address: str,
        access: Access,
        *,
        timeout: float,
        on_open: Callable[[], None],
        on_lost: Callable[[ConnectionLost], None],
        on_blocked: Callable[[str | None], None],
    ) -> "Connection":
        """Begin to open a connection.

        Args:
            address: of the broker, host:port.
            access: how to get in.
            timeout: seconds for each answer of the broker until it is open; when one does not come, it is
                lost. A broker that is slow because many connect to it is not left while it answers.
            on_open: called once when it is open; not if it is lost before.
            on_lost: called once when it could not be opened or broke, for whatever reason but ``abort`` and
                ``close``. It is not open any more then.
            on_blocked: while it is open, any number of times: the broker blocks publishers (with its
                reason) or does so no longer (None). A connection that ends while it is blocked does not
                say so.
        """


class Connection(Protocol):
    """One AMQP connection, from the attempt to open it on."""

    @property
    def is_open(self) -> bool:
        """From just before ``on_open`` until it is lost, aborted or closed."""

    @property
    def frame_max(self) -> int:
        """Bytes of a frame at the most, as agreed with the broker. Of an open connection."""

    @property
    def version(self) -> tuple[int, int]:
        """The broker's, as (4, 3); (0, 0) if it has not said."""

    def channel(
        self, on_open: Callable[["Channel"], None], on_lost: Callable[["Channel", ChannelLost], None]
    ) -> "Channel":
        """Open a channel, on an open connection.

        Args:
            on_open: called once with the channel, when it can be used.
            on_lost: called once when the broker closes it, be it over what was done on it. Not when the
                connection is lost, and not after :meth:`Channel.close`.
        """

    def update_secret(self, secret: str, on_done: Callable[[], None]) -> None:
        """Give the broker another password, or token, for this connection. One that it refuses ends the
        connection.

        Args:
            on_done: called once when the broker has taken it.
        """

    def abort(self) -> None:
        """Drop the socket without a closing handshake: a dead or hung broker would not answer it. Can be
        called at any time, and again."""

    def close(self) -> None:
        """Close in an orderly way, for a second at the most, after which the socket is dropped. What was
        handed over before goes out. One that is not open yet is aborted. Can be called again."""


class Channel(Protocol):
    """One channel: for publishing (:meth:`confirm` first), for consuming (:meth:`consume`), or to declare."""

    @property
    def is_open(self) -> bool:
        """From just before ``on_open`` until it is closed, by the broker or here, or its connection ends."""

    def close(self) -> None:
        """Give the channel up; nothing of it is reported any more. What a consumer had delivered on it and
        was not answered goes back to its queue. Can be called before it is open, and again."""

    # -- publishing

    def confirm(
        self,
        on_ready: Callable[[], None],
        on_answers: Callable[[list[Answer]], None],
        on_returned: Callable[[str | None, str, str, str], None],
    ) -> None:
        """Put the channel into confirm mode. Once, on an open channel.

        Args:
            on_ready: called once: it is, and :meth:`publish` may be called.
            on_answers: called with the broker's answers that have come together, at least one, in their
                order. Tags count what was published on this channel from 1 on; of an answer that stands for
                all up to its tag, 0 stands for all.
            on_returned: called with message id, exchange, routing key and the reason for each mandatory
                message that no queue takes, before its ack.
        """

    @property
    def room(self) -> int:
        """Bytes that may be published now; 0 while the socket takes less than it is given, and on a channel
        that is not open. What is published beyond it waits in memory."""

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish all of them, in order. On a channel that is open and in confirm mode."""

    # -- declaring

    def declare(
        self, entity: Entity, resolve: Callable[[str], str], on_done: Callable[[str | None], None] | None
    ) -> None:
        """Declare ``entity``, on an open channel; a refusal closes the channel, or the connection.

        Args:
            resolve: tells the broker's name of a queue.
            on_done: called once when it is there, with the broker's name of a queue, or None. Without it no
                answer is asked for, and the next one can be sent at once: the broker takes them in order.
        """

    def request(
        self, request: Request, resolve: Callable[[str], str], on_done: Callable[[int], None]
    ) -> None:
        """As :meth:`declare`, for what else is asked. ``on_done``: called with how many messages a queue
        has, or had; 0 where that means nothing."""

    # -- consuming

    def look(self, queue: str, on_seen: Callable[[int, int], None]) -> None:
        """Ask how a queue is, on an open channel (a passive declaration). If it cannot be said, that closes
        the channel.

        Args:
            queue: by the broker's name.
            on_seen: called once with the number of messages that the queue could deliver, and that of its
                consumers.
        """

    @property
    def is_receiving(self) -> bool:
        """Whether a delivery is on its way that is not here as a whole."""

    def consume(
        self,
        queue: str,
        prefetch: int,
        arguments: Mapping[str, object],
        *,
        exclusive: bool = False,
        no_ack: bool = False,
        on_ready: Callable[[], None],
        on_deliveries: Callable[[list[Delivery]], None],
        on_cancelled: Callable[[], None],
    ) -> None:
        """Set the prefetch, then consume. Once, on an open channel; a refusal closes it.

        Args:
            queue: by the broker's name.
            prefetch: unanswered deliveries at the most, 1 to 65,535.
            arguments: of the consumer, as RabbitMQ takes them.
            exclusive: only if there is no other consumer; nor is there another one meanwhile.
            no_ack: no answer is expected, nor may there be one; the prefetch limits nothing.
            on_ready: called once: the broker has taken the consumer on.
            on_deliveries: called with what has come together, at least one. Tags count from 1 on each
                channel, without gaps. Before ``on_ready`` nothing comes.
            on_cancelled: called once if the broker ends the consumer (its queue was deleted, or moved). The
                channel stays open, for answers.
        """

    def get(self, queue: str, *, no_ack: bool, on_got: Callable[[Delivery | None], None]) -> None:
        """Ask for one message of a queue. Once, on an open channel that does not consume; a refusal closes
        it.

        Args:
            queue: by the broker's name.
            no_ack: as in :meth:`consume`.
            on_got: called once with the message, whose tag is 1; None if the queue has none ready.
        """

    def stop_consuming(self, on_stopped: Callable[[], None]) -> None:
        """Cancel the consumer and leave the channel open for answers to what was delivered.

        Deliveries may still come until then. A consumer that was asked for and is not there yet is not
        started. Can be called again.

        Args:
            on_stopped: called once: nothing more will be delivered. At once, from within this call, when
                the channel has no consumer or is not open; never, when the channel or its connection ends
                before the broker's answer.
        """

    def ack(self, tag: int, *, multiple: bool) -> None:
        """Ack a delivery, with ``multiple`` all up to it. A tag that is not open closes the channel."""

    def nack(self, tag: int, *, requeue: bool) -> None:
        """Refuse a delivery, with ``requeue`` back to its queue, which counts it towards a delivery limit. A
        tag that is not open closes the channel."""

    def give_back(self, tag: int) -> None:
        """Give a delivery that nobody has seen back to its queue. Where the broker can tell the two apart
        (RabbitMQ from 4.3 on), it does not count towards a delivery limit. A tag that is not open closes the
        channel."""
