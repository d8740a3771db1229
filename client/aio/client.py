"""The client for asyncio: the names of :class:`Client`, to await. A front: all is done by a client behind it.

What its tasks hand over goes to the same I/O thread, and what has become of it comes back many at a time. So
a loop that is held up holds up no heartbeat and no switch, and there is one engine for both.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from functools import partial
from os import PathLike
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack
from weakref import WeakSet

from rabbitkeeper.client.aio.bridge import Bridge, say
from rabbitkeeper.client.aio.calling import AsyncCalling
from rabbitkeeper.client.aio.declaring import AsyncDeclaring
from rabbitkeeper.client.aio.publishing import AsyncPublishing, PublishHandle
from rabbitkeeper.client.aio.receiving import AsyncReceiving
from rabbitkeeper.client.aio.retrying import AsyncRetries
from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.client import Client
from rabbitkeeper.client.consuming import Consuming
from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.guard import Guard
from rabbitkeeper.client.model.backoff import Backoff
from rabbitkeeper.client.model.checks import check_timeout
from rabbitkeeper.client.model.credentials import Credentials
from rabbitkeeper.client.model.errors import Closed, InvalidArgument, RabbitKeeperError, WrongThread
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.model.status import Unconfirmed
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.client.publish.future import Receipt
from rabbitkeeper.client.publishing import Publishing
from rabbitkeeper.client.retrying.retries import Retries
from rabbitkeeper.client.routing.placement import Spread
from rabbitkeeper.client.rpc.replies import Replies
from rabbitkeeper.client.status import Leader, Status
from rabbitkeeper.client.telemetry.observer import Telemetry

AsyncMessages = Iterable[tuple[Any, ...]] | AsyncIterable[tuple[Any, ...]]


class Options(TypedDict, total=False):
    """What a client takes besides; see :class:`Client`."""

    virtual_host: str
    tls: SSLContext | bool | None
    zookeeper_auth: tuple[str, str] | None
    zookeeper_tls: SSLContext | None
    timeout: float
    session_timeout: float
    connect_timeout: float
    heartbeat: int
    window: int
    window_bytes: int
    name: str
    spread: Spread
    site: str | None
    shared: bool
    allowed_brokers: Iterable[str] | None
    agents: Iterable[str] | None
    token: str | None
    ca: str | PathLike[str] | None
    telemetry: Iterable[Telemetry]


class AsyncClient(AsyncDeclaring, AsyncReceiving, AsyncCalling):
    """A :class:`Client` whose calls are awaited, on the event loop that it was begun on and no other.

    ``async with AsyncClient("zk1:2181", group="orders", credentials=("app", "secret")) as client: …``, or
    :meth:`start` and :meth:`close`. Every call can be cancelled; what has become of a publish whose task was
    cancelled too late to take the message back is told in a ``CancelledPublish`` event.

    Args:
        zookeeper, group, credentials, options: as :class:`Client` takes them; refused at :meth:`start`.
    """

    def __init__(
        self,
        zookeeper: str | None = None,
        group: str | None = None,
        credentials: tuple[str, str] | Callable[[], tuple[str, str] | Credentials] | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._make = partial(_Behind, zookeeper, group, credentials, **options)
        self._behind: _Behind | None = None
        self._bridge: Bridge | None = None
        self._workers = WeakSet()
        self._has_begun = False
        self._closing: asyncio.Task[tuple[Unconfirmed, ...]] | None = None

    async def start(self) -> Self:
        """Find the group and reach a broker.

        Raises:
            RabbitKeeperError: as ``Client`` does.
            WrongThread: it has been begun before.
        """
        if self._has_begun:
            raise WrongThread("this client has been begun already; make another one")
        self._has_begun = True
        bridge = Bridge(asyncio.get_running_loop())
        self._behind = await bridge.in_thread(self._make, undo=lambda made: made.close(0))
        self._bridge = bridge
        self._publishing = AsyncPublishing(
            self._behind.publishing,
            self._behind.guard,
            bridge,
            emit=self._behind.emit,
            check_usable=self._check_usable,
        )
        return self

    # -- publishing

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: BasicProperties | None = None,
        *,
        mandatory: bool = True,
        timeout: float = 30.0,
    ) -> Receipt:
        """Publish a message; returns when it is confirmed, and always by the deadline.

        A task that is cancelled meanwhile takes the message back, if it has not been sent; else a
        ``CancelledPublish`` event tells what becomes of it.

        Arguments and errors are those of ``Client.publish``.
        """
        self._check_begun()
        return await self._publishing.publish(exchange, routing_key, body, properties, mandatory, timeout)

    async def publish_nowait(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: BasicProperties | None = None,
        *,
        mandatory: bool = True,
        timeout: float = 30.0,
    ) -> PublishHandle:
        """Hand a message over; what is returned is awaited for what :meth:`publish` returns or raises.

        Waits only while the window is full, behind those who came before, and a task that is cancelled
        meanwhile has handed over nothing. Messages of one task are sent in their order.

        Arguments and errors are those of ``Client.publish_nowait``.
        """
        self._check_begun()
        return await self._publishing.publish_nowait(
            exchange, routing_key, body, properties, mandatory, timeout
        )

    async def publish_many(
        self, messages: AsyncMessages, *, mandatory: bool = True, timeout: float = 30.0
    ) -> list[Receipt | RabbitKeeperError]:
        """Publish every message of an iterable, asynchronous or not; returns when each has its outcome.

        As many are under way as the window allows, and no more are taken from ``messages`` than that. One
        that waits for something must be asynchronous, for it would hold up the loop.

        Arguments, what is returned and errors are those of ``Client.publish_many``.
        """
        self._check_begun()
        return await self._publishing.publish_many(messages, mandatory, timeout)

    # -- looking

    def on_event(self, function: Callable[[Event], object]) -> Callable[[], None]:
        """Call ``function`` with each event from now on, on the event loop; see ``Client.on_event``.

        Returns:
            A function that ends it.
        """
        behind, bridge = self._usable()
        if not callable(function):
            raise InvalidArgument(f"function {function!r} is not valid: use something that can be called")
        return behind.on_event(lambda event: bridge.post(partial(say, function, event)))

    @property
    def group(self) -> str:
        """The group's name."""
        return self._check_begun().group

    @property
    def leader(self) -> Leader:
        """The leader as last seen.

        Raises:
            NoLeader: there is none.
        """
        return self._check_begun().leader

    def status(self) -> Status:
        """Where the client is, in one object."""
        return self._check_begun().status()

    def queue_name(self, queue: Queue) -> str:
        """The broker's name of a declared queue: of one that the broker names, the present one."""
        return self._check_begun().queue_name(queue)

    # -- the end

    async def close(self, timeout: float = 10.0) -> tuple[Unconfirmed, ...]:
        """Let workers finish what they have in hand, wait for what is unconfirmed, then end everything.

        Can be called again. A task that is cancelled meanwhile changes nothing of that: it goes on. When the
        loop that it was begun on is closed, it can be called on another one.

        Args:
            timeout: seconds to wait.

        Returns:
            What was handed over and is still unconfirmed; it ends with :class:`Closed`.
        """
        check_timeout("timeout", timeout, zero=True)
        if self._behind is None or self._bridge is None:
            return ()
        if self._bridge.loop.is_closed():  # and its tasks with it
            return await Bridge(asyncio.get_running_loop()).in_thread(partial(self._behind.close, timeout))
        self._check_loop()
        if self._closing is not None:
            await asyncio.shield(self._closing)
            return ()
        caller = asyncio.current_task()
        self._closing = asyncio.create_task(self._close(self._behind, self._bridge, caller, timeout))
        return await asyncio.shield(self._closing)

    async def _close(
        self, behind: "_Behind", bridge: Bridge, caller: "asyncio.Task[Any] | None", timeout: float
    ) -> tuple[Unconfirmed, ...]:
        began = bridge.loop.time()
        if self._workers:
            await asyncio.gather(*(one.stop_for(caller, timeout) for one in self._workers))
        left = max(0.0, timeout - (bridge.loop.time() - began))
        return await bridge.in_thread(partial(behind.close, left))

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # -- inside

    def _parts(self) -> tuple[Engine, Bridge]:
        behind, bridge = self._usable()
        return behind.engine, bridge

    def _retries(self, queue: str, backoff: Backoff) -> AsyncRetries:
        behind, bridge = self._usable()
        retries = Retries(behind.engine, behind.publishing, queue, backoff, behind.emit)
        return AsyncRetries(retries, self._publishing, bridge)

    def _calling(self) -> tuple[Replies, AsyncPublishing, Bridge]:
        behind, bridge = self._usable()
        return behind.replies, self._publishing, bridge

    def _receiving(self) -> tuple[Consuming, Bridge, Callable[[Event], None]]:
        behind, bridge = self._usable()
        return behind.consuming, bridge, behind.emit

    def _usable(self) -> "tuple[_Behind, Bridge]":
        behind = self._check_begun()
        self._check_usable()
        assert self._bridge is not None  # noqa: S101 - it is there with what is behind
        return behind, self._bridge

    def _check_begun(self) -> "_Behind":
        if self._behind is None:
            raise Closed("the client has not begun: use it with 'async with', or await its start()")
        return self._behind

    def _check_usable(self) -> None:
        behind = self._check_begun()
        behind.guard.check_usable_in_callback()
        self._check_loop()

    def _check_loop(self) -> None:
        """Refuse another event loop than the one that waits for what comes.

        Raises:
            WrongThread: this is another one.
        """
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if self._bridge is None or running is not self._bridge.loop:
            raise WrongThread(
                "this client belongs to the event loop that it was begun on; make another one here"
            )


class _Behind(Client):
    """The client behind the front, and what the front uses of it."""

    _future_type = PublishHandle

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def guard(self) -> Guard:
        return self._guard

    @property
    def replies(self) -> Replies:
        return self._replies

    @property
    def publishing(self) -> Publishing:
        return self._publishing

    @property
    def consuming(self) -> Consuming:
        return self._consuming

    @property
    def emit(self) -> Callable[[Event], None]:
        return self._events.emit
