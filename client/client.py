"""The client: what users of the SDK call. It checks, hands over to the engine, and waits."""

import logging
import os
import ssl
import threading
import time
import uuid
from collections.abc import Generator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Any, Self

from rabbitkeeper.client.discovery import Discovery
from rabbitkeeper.client.engine import Engine
from rabbitkeeper.client.errors import (
    Blocked,
    Closed,
    InvalidArgument,
    Nacked,
    NoLeader,
    PublishUnknown,
    RabbitKeeperError,
    Unroutable,
    WrongThread,
)
from rabbitkeeper.client.ledger import Entry, Outcome, Settled
from rabbitkeeper.client.message import Message
from rabbitkeeper.client.publisher import Content
from rabbitkeeper.client.status import Leader, Status, Unconfirmed
from rabbitkeeper.client.switch import Phase
from rabbitkeeper.client.topology import Binding, Entity, Exchange, Queue
from rabbitkeeper.client.window import Window
from rabbitkeeper.client.wire import Access, message_properties
from rabbitkeeper.coordinator.access import ZooKeeperAccess, check_identity
from rabbitkeeper.coordinator.paths import check_name

log = logging.getLogger(__name__)

GRACE = 1.0  # seconds beyond its own deadline for which a caller waits for the I/O thread's word


@dataclass(frozen=True, slots=True)
class Receipt:
    """A confirmed publish: the broker has the message, on a majority of the nodes if its queues are quorum
    queues."""

    message_id: str
    attempts: int  # times it was sent; above 1 the queue may hold it twice, under the same id


class Client:
    """A connection to a group of brokers that moves by itself when its broker dies.

    Safe to use from many threads. One thread of its own does the I/O, another watches ZooKeeper.

    Args:
        zookeeper: ``host:port[,host:port…]``.
        group: the group's name.
        credentials: user name and password at the brokers.
        virtual_host: at the brokers.
        tls: for brokers that want it.
        zookeeper_auth: user and password of ZooKeeper's ``digest`` scheme, for groups that not everybody may
            read.
        zookeeper_tls: for ZooKeeper's secure client port.
        timeout: seconds to find and reach a leader.
        session_timeout: of ZooKeeper's session, seconds.
        window: publishes without an outcome at the most; then ``publish_nowait`` waits.
        window_bytes: their bodies' bytes at the most.
        name: shown in RabbitMQ's list of connections and in the names of threads.

    Raises:
        ZooKeeperUnreachable: no ZooKeeper server answered.
        UnknownGroup: ZooKeeper has no such group.
        NoLeader: the group has no broker that takes messages.
        NotAuthorized: the broker refused the credentials or the virtual host.
        InvalidArgument: an argument is not valid.
    """

    def __init__(
        self,
        zookeeper: str,
        group: str,
        credentials: tuple[str, str],
        *,
        virtual_host: str = "/",
        tls: ssl.SSLContext | None = None,
        zookeeper_auth: tuple[str, str] | None = None,
        zookeeper_tls: ssl.SSLContext | None = None,
        timeout: float = 10.0,
        session_timeout: float = 6.0,
        window: int = 1000,
        window_bytes: int = 64 * 2**20,
        name: str = "rabbitkeeper",
    ) -> None:
        check_name("group", group)
        username, password = _check_credentials(credentials)
        for key, value in (("timeout", timeout), ("window", window), ("window_bytes", window_bytes)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise InvalidArgument(f"{key} {value!r} is not valid: use a number above 0")
        self.group = group
        self._pid = os.getpid()
        self._window = Window(int(window), int(window_bytes))
        self._closing = False
        self._close_lock = threading.Lock()
        self._access = Access(username, password, virtual_host, tls, name)
        random = Random()
        self._engine = Engine(self._access, name=f"{name}-io", random=random)
        self._discovery = Discovery(
            zookeeper,
            group,
            session_timeout=session_timeout,
            publish=self._engine.view,
            random=random,
            name=name,
            access=ZooKeeperAccess(
                identity=None if zookeeper_auth is None else check_identity(*zookeeper_auth),
                tls=zookeeper_tls,
            ),
        )
        deadline = time.monotonic() + timeout
        self._discovery.start(timeout)
        self._engine.start()
        try:
            self._await_live(deadline, timeout)
        except BaseException:
            self.close(0)
            raise

    # -- publishing

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: Any = None,
        *,
        mandatory: bool = True,
        timeout: float = 30.0,
    ) -> Receipt:
        """Publish a message; returns when it is confirmed, and always by the deadline.

        Args:
            exchange: ``""`` for the default exchange.
            routing_key: as the exchange's type wants it.
            body: bytes.
            properties: ``pika.BasicProperties``; persistent and with a message id unless set.
            mandatory: a message that no queue takes is an error.
            timeout: seconds to the deadline.

        Raises:
            Unroutable, Nacked, Blocked, NoLeader: it is not there.
            PublishUnknown: the deadline passed without an answer; it may or may not be there.
            Closed: the client was closed.
            InvalidArgument: it cannot be sent.
        """
        future = self.publish_nowait(
            exchange, routing_key, body, properties, mandatory=mandatory, timeout=timeout
        )
        try:
            return future.result(timeout + GRACE)
        except FutureTimeout:  # the I/O thread did not settle it: it must not be waited for in silence
            raise PublishUnknown(f"no outcome within {timeout:g} s, and no word of the I/O thread") from None

    def publish_nowait(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: Any = None,
        *,
        mandatory: bool = True,
        timeout: float = 30.0,
    ) -> Future[Receipt]:
        """Hand a message over and return; the future has what :meth:`publish` returns or raises.

        Waits only while the window is full. Messages of one thread are sent in their order. A future that
        is cancelled before its message is sent takes it back.

        Raises:
            InvalidArgument, Closed, WrongThread: at once; nothing was handed over.
            NoLeader, Blocked: the window stayed full until the deadline; nothing was handed over.
        """
        self._check_usable()
        if not isinstance(body, bytes | bytearray | memoryview):
            raise InvalidArgument(
                f"body of type {type(body).__name__} is not valid: use bytes, as in text.encode()"
            )
        for what, value in (("exchange", exchange), ("routing_key", routing_key)):
            if not isinstance(value, str) or len(value.encode()) > 255:
                raise InvalidArgument(f"{what} {value!r} is not valid: use a string of at most 255 bytes")
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
            raise InvalidArgument(f"timeout {timeout!r} is not valid: use seconds above 0")
        prepared = message_properties(properties, lambda: uuid.uuid4().hex)
        deadline = time.monotonic() + timeout
        size = len(body)
        if not self._window.acquire(size, deadline):
            raise self._never_sent(f"the window stayed full for {timeout:g} s", prepared.message_id)
        future: Future[Receipt] = Future()

        def settle(settled: Settled) -> None:
            self._window.release(size)
            self._resolve(future, settled)

        def start() -> bool:
            if future.set_running_or_notify_cancel():
                return True
            self._window.release(size)
            return False

        content = Content(bytes(body), prepared, mandatory, start, settle)
        self._engine.publish(Entry(prepared.message_id, exchange, routing_key, content, size, deadline))
        return future

    # -- consuming

    def consume(self, queue: str, prefetch: int = 100) -> Generator[Message, None, None]:
        """The messages of ``queue``, as they come, until the client is closed or the loop is left.

        Each is to be acked by hand. The consumer is restored after every switch.

        Args:
            queue: its name.
            prefetch: unacked messages that the broker may have out to this consumer.

        Raises:
            TopologyError: the queue does not exist, or cannot be consumed from.
            NotAuthorized: the broker refused.
        """
        self._check_usable()
        if not isinstance(queue, str) or not queue:
            raise InvalidArgument(f"queue {queue!r} is not valid: use the name of a queue")
        if isinstance(prefetch, bool) or not isinstance(prefetch, int) or not 1 <= prefetch <= 65535:
            raise InvalidArgument(f"prefetch {prefetch!r} is not valid: use a number from 1 to 65535")
        subscription = self._engine.subscribe(queue, prefetch)

        def messages() -> Generator[Message, None, None]:
            try:
                while (message := subscription.get(timeout=None)) is not None:
                    yield message
            finally:
                self._engine.unsubscribe(subscription)

        return messages()

    # -- declaring

    def declare(self, *entities: Entity, timeout: float = 30.0) -> None:
        """Declare exchanges, queues and bindings, in the order given; they are declared again after a switch.

        Raises:
            TopologyError: one is refused (it exists with other settings, or names what does not exist), or
                was not answered by the deadline; those before it are declared.
            NoLeader: no broker was reached.
            NotAuthorized: the broker refused.
        """
        self._check_usable()
        for entity in entities:
            if not isinstance(entity, Exchange | Queue | Binding):
                raise InvalidArgument(f"{entity!r} cannot be declared: use Exchange, Queue or Binding")
        deadline = time.monotonic() + timeout
        for entity in entities:
            left = max(0.001, deadline - time.monotonic())
            try:
                self._engine.declare(entity, left).result(left + GRACE)
            except FutureTimeout:
                raise NoLeader(f"{entity!r}: no answer within {timeout:g} s") from None

    # -- looking

    @property
    def leader(self) -> Leader:
        """The leader as last seen in ZooKeeper.

        Raises:
            NoLeader: there is none.
        """
        snapshot = self._engine.snapshot
        if snapshot.leader is None:
            raise NoLeader(f"group {self.group!r} has no leader at the moment")
        return Leader(snapshot.leader.member, snapshot.leader.address, snapshot.epoch, self._access)

    def status(self) -> Status:
        """Where the client is, in one object."""
        snapshot = self._engine.snapshot
        target = snapshot.target
        return Status(
            phase=snapshot.phase,
            member=None if target is None else target.member,
            address=None if target is None else target.address,
            since=snapshot.since,
            epoch=snapshot.epoch,
            leader=None if snapshot.leader is None else snapshot.leader.member,
            unconfirmed=snapshot.unconfirmed,
            consumers=snapshot.consumers,
            blocked=snapshot.blocked,
            zookeeper=self._discovery.connected,
            error=snapshot.error,
        )

    # -- the end

    def close(self, timeout: float = 10.0) -> tuple[Unconfirmed, ...]:
        """Wait for what is unconfirmed, then end everything. Can be called again.

        Args:
            timeout: seconds to wait for confirms.

        Returns:
            What was handed over and is still unconfirmed; its futures end with :class:`Closed`.
        """
        if os.getpid() != self._pid:
            return ()
        with self._close_lock:
            already, self._closing = self._closing, True
        if already:
            return ()
        left: list[Unconfirmed] = []
        if threading.current_thread() is not self._engine.thread:
            if self._engine.thread.is_alive():
                left = self._engine.drain(time.monotonic() + timeout)
            self._engine.close()
            if self._engine.thread.ident is not None:
                self._engine.thread.join(5.0)
        else:
            self._engine.close()
        self._discovery.stop()
        return tuple(left)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside

    def _await_live(self, deadline: float, timeout: float) -> None:
        self._engine.live.wait(max(0.0, deadline - time.monotonic()))
        if self._engine.failure is not None:
            raise self._engine.failure
        snapshot = self._engine.snapshot
        if snapshot.phase is Phase.CONNECTING:
            seen = (
                "it has no leader" if snapshot.leader is None else f"its leader is {snapshot.leader.member}"
            )
            raise NoLeader(
                f"no broker of group {self.group!r} took the client within {timeout:g} s: {seen}; "
                f"last error: {snapshot.error or 'none'}"
            )

    def _check_usable(self) -> None:
        if os.getpid() != self._pid:
            raise WrongThread(
                "this client belongs to the process that made it; make another one after the fork"
            )
        if threading.current_thread() is self._engine.thread:
            raise WrongThread("a call from the client's own I/O thread would wait for itself")
        if self._engine.failure is not None:
            raise self._engine.failure
        if self._closing:
            raise Closed("the client is closed")

    def _never_sent(self, what: str, message_id: str | None) -> RabbitKeeperError:
        snapshot = self._engine.snapshot
        if snapshot.blocked:
            return Blocked(f"{what}: the broker blocks publishers ({snapshot.blocked})", message_id)
        where = (
            "no broker is reached" if snapshot.target is None else f"connected to {snapshot.target.member}"
        )
        last = f"; last error: {snapshot.error}" if snapshot.error else ""
        return NoLeader(f"{what}: {where}{last}", message_id)

    def _resolve(self, future: Future[Receipt], settled: Settled) -> None:
        entry = settled.entry
        name, where = entry.message_id, f"to exchange {entry.exchange!r} with key {entry.routing_key!r}"
        error: RabbitKeeperError
        match settled.outcome:
            case Outcome.CONFIRMED:
                future.set_result(Receipt(name, entry.attempts))
                return
            case Outcome.RETURNED:
                error = Unroutable(f"no queue took the message {where}: {settled.detail}", name)
            case Outcome.NACKED:
                error = Nacked(f"message {where}: {settled.detail or 'refused until its deadline'}", name)
            case Outcome.UNKNOWN:
                error = PublishUnknown(f"no answer by the deadline for the message {where}", name)
            case Outcome.UNSENT:
                error = self._never_sent(f"the message {where} was not sent by its deadline", name)
            case Outcome.CLOSED:
                sent = "it may or may not be there" if entry.attempts else "it was not sent"
                error = Closed(
                    f"the client was closed before the message {where} was confirmed: {sent}", name
                )
        if not entry.attempts and not future.set_running_or_notify_cancel():
            return
        future.set_exception(error)


def _check_credentials(credentials: object) -> tuple[str, str]:
    match credentials:
        case (str(username), str(password)):
            return username, password
    raise InvalidArgument("credentials are not valid: use a pair of strings, (user name, password)")
