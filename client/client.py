"""The client: what users of the SDK call. It checks, hands over to the engine, and waits."""

import ssl
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from os import PathLike
from random import Random
from typing import ClassVar, Self

from rabbitkeeper.client import arguments
from rabbitkeeper.client.amqp.pika_connection import PikaTransport
from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.amqp.transport import Access, Transport
from rabbitkeeper.client.assembly import assemble
from rabbitkeeper.client.declaring import Declaring
from rabbitkeeper.client.engine.asked_credentials import AskingTransport
from rabbitkeeper.client.event_dispatcher import EventDispatcher
from rabbitkeeper.client.guard import GRACE, Guard, let_others_in
from rabbitkeeper.client.model.checks import check_timeout
from rabbitkeeper.client.model.credentials import Credentials
from rabbitkeeper.client.model.errors import InvalidArgument, RabbitKeeperError
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.model.status import Unconfirmed
from rabbitkeeper.client.publish.future import PublishFuture, Receipt
from rabbitkeeper.client.publish.window import Window
from rabbitkeeper.client.receiving import Receiving
from rabbitkeeper.client.routing.placement import Spread
from rabbitkeeper.client.routing.switch import CONNECT_TIMEOUT
from rabbitkeeper.client.rpc.calling import Calling
from rabbitkeeper.client.rpc.replies import Replies
from rabbitkeeper.client.status import Leader, Status, check_reached, leader_of, status_of
from rabbitkeeper.client.telemetry.observed import Observed
from rabbitkeeper.client.telemetry.observer import Telemetry
from rabbitkeeper.client.watching import Watched, Watching, group_in_zookeeper, group_of_agents
from rabbitkeeper.coordinator.model.paths import check_name


class Client(Declaring, Receiving, Calling):
    """A connection to a group of brokers that moves by itself when its broker dies.

    Safe to use from many threads. One thread of its own does the I/O, another watches the group. In a forked
    child every call raises ``WrongThread``, but ``close``, which does nothing there.

    Args:
        zookeeper: ``host:port[,host:port…]``; or ``agents`` instead.
        group: the group's name.
        credentials: user name and password at the brokers; or a function that returns them, which is called
            at each connect, on a thread of its own, and may take 10 s. It may return ``Credentials`` that
            expire: it is called before they do, and open connections get what comes (access tokens).
        virtual_host: at the brokers.
        tls: connect to the brokers with TLS, at the addresses that they announce for it (``amqps``); True
            for the standard settings of Python, which trust the system's authorities.
        zookeeper_auth: user and password of ZooKeeper's ``digest`` scheme, for groups that not everybody may
            read.
        zookeeper_tls: for ZooKeeper's secure client port.
        timeout: seconds to find and reach a leader. No time to wait is above 1e9 s, nor infinite.
        session_timeout: of ZooKeeper's session, seconds.
        connect_timeout: seconds to reach a broker; up to 16 times as many when there was no answer before.
        heartbeat: AMQP's own, for a peer that is silently gone; seconds, 0 for none.
        window, window_bytes: publishes without an outcome at the most, and their bodies' bytes; then
            ``publish_nowait`` waits. A larger body waits until it can pass alone.
        name: shown in RabbitMQ's list of connections and in the names of threads.
        spread: ``"leader"``: be where the leader is; ``"members"``: spread over all healthy members, by what
            they carry and by chance, and again when one returns; ``"site"``: prefer members of ``site``.
        site: the client's own, as in the members' tags; for ``spread="site"``.
        shared: have one thread for I/O and one for events with all clients of the process that say so, for
            programs with many: a callback that takes long holds up all of them.
        allowed_brokers: the only hosts that get its password: names, ``*.domain``, networks; None: any.
        agents: the agents' HTTP APIs, as ``https://mq1:8008``, to ask instead of ZooKeeper.
        token: shown to the agents, for a proxy before them that wants one.
        ca: PEM file with the authorities that their certificates are of; None: the system's.
        telemetry: what traces and measures the client: ``OpenTelemetry()``, ``Prometheus()``.

    Raises:
        ZooKeeperUnreachable, AgentsUnreachable: no ZooKeeper server, or no agent, answered.
        UnknownGroup: there is no such group, or the agents are of another.
        NoLeader: the group has no broker that takes messages.
        NotAuthorized: the broker refused the credentials or the virtual host, or the agents the token.
        InvalidArgument: an argument is not valid.
    """

    _transport_type: ClassVar[Callable[..., Transport]] = PikaTransport  # tests have others
    _future_type: ClassVar[type[PublishFuture]] = PublishFuture  # a front has others

    def __init__(
        self,
        zookeeper: str | None = None,
        group: str | None = None,
        credentials: tuple[str, str] | Callable[[], tuple[str, str] | Credentials] | None = None,
        *,
        virtual_host: str = "/",
        tls: ssl.SSLContext | bool | None = None,
        zookeeper_auth: tuple[str, str] | None = None,
        zookeeper_tls: ssl.SSLContext | None = None,
        timeout: float = 10.0,
        session_timeout: float = 6.0,
        connect_timeout: float = CONNECT_TIMEOUT,
        heartbeat: int = 10,
        window: int = 1000,
        window_bytes: int = 64 * 2**20,
        name: str = "rabbitkeeper",
        spread: Spread = "leader",
        site: str | None = None,
        shared: bool = False,
        allowed_brokers: Iterable[str] | None = None,
        agents: Iterable[str] | None = None,
        token: str | None = None,
        ca: str | PathLike[str] | None = None,
        telemetry: Iterable[Telemetry] = (),
    ) -> None:
        if group is None:
            raise InvalidArgument("group is missing: name the group, as in group='orders'")
        check_name("group", group)
        ask = arguments.asks_for(credentials) if callable(credentials) else None
        username, password = ("", "") if ask else arguments.check_credentials(credentials)
        arguments.check_texts(virtual_host=virtual_host, name=name)
        arguments.check_timeouts(
            timeout=timeout, session_timeout=session_timeout, connect_timeout=connect_timeout
        )
        arguments.check_number("heartbeat", heartbeat, 0, 65535)
        arguments.check_limits(window=window, window_bytes=window_bytes)
        arguments.check_spread(spread, site)
        arguments.check_flag("shared", shared)
        context = arguments.tls_context(tls)
        observed = Observed(telemetry, group, name)
        if agents is None:
            arguments.check_absent("agents", token=token, ca=ca)
            in_zookeeper = (zookeeper_auth, zookeeper_tls, session_timeout)
            watched: Watched = group_in_zookeeper(zookeeper, group, *in_zookeeper)
        else:
            arguments.check_absent("zookeeper", zookeeper_auth=zookeeper_auth, zookeeper_tls=zookeeper_tls)
            watched = group_of_agents(agents, group, token, ca, zookeeper=zookeeper)
        self.group = group
        self._name = name
        self._events = EventDispatcher(f"{name}-events", shared=shared)
        self._access = Access(username, password, virtual_host, context, name, heartbeat, ask)
        transport = self._transport_type(shared=shared)
        random = Random()
        self._engine = assemble(
            transport if ask is None else AskingTransport(transport, ask),
            self._access,
            name=name,
            spread=spread,
            site=site,
            connect_timeout=connect_timeout,
            random=random,
            emit=self._events.emit,
        )
        self._guard = Guard(self._engine)
        room = Window(int(window), int(window_bytes))
        self._publishing = observed.publishing(self._engine, room, future_type=self._future_type)
        self._consuming = observed.consuming(self._engine, self._guard, emit=self._events.emit, name=name)
        self._replies = Replies(self._engine)
        self._group_watch = Watching(
            watched,
            publish=self._engine.view,
            emit=self._events.emit,
            secure=context is not None,
            name=name,
            allowed_brokers=allowed_brokers,
        )
        deadline = time.monotonic() + timeout
        self._group_watch.start(timeout)
        try:
            self._engine.start()
            self._engine.live.wait(max(0.0, deadline - time.monotonic()))
            check_reached(
                self._engine.snapshot,
                self._engine.failure,
                f"of group {group!r} took the client within {timeout:g} s",
                mismatch=self._group_watch.mismatch,
            )
            observed.begin(self.status, self._events.add)
        except BaseException:
            self.close(0)
            raise

    # -- publishing

    def publish(
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
            InvalidArgument: it cannot be sent, or ``timeout`` is no number up to 1e9; nothing was sent.
            WrongThread: in a forked child, or in a callback on the I/O thread.
        """
        self._guard.check_usable()
        future = self._publishing.publish(exchange, routing_key, body, properties, mandatory, timeout)
        return self._publishing.result(future)

    def publish_nowait(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: BasicProperties | None = None,
        *,
        mandatory: bool = True,
        timeout: float = 30.0,
    ) -> Future[Receipt]:
        """Hand a message over and return; the future has what :meth:`publish` returns or raises.

        Waits only while the window is full. Messages of one thread are sent in their order. A future that
        is cancelled before its message is sent takes it back; later, cancelling does nothing. Callbacks of
        the future run on the client's I/O thread: they may call this, and nothing that waits.

        Raises:
            InvalidArgument, Closed: at once; nothing was handed over.
            WrongThread: in a forked child; or on the I/O thread while the window is full.
            NoLeader, Blocked: the window stayed full until the deadline; nothing was handed over.
        """
        guard = self._guard
        if guard.is_closing or self._engine.failure is not None or guard.process.pid != guard.pid:
            guard.check_usable_in_callback()
        return self._publishing.publish(exchange, routing_key, body, properties, mandatory, timeout)

    def publish_many(
        self,
        messages: Iterable[tuple[str, str, bytes] | tuple[str, str, bytes, BasicProperties | None]],
        *,
        mandatory: bool = True,
        timeout: float = 30.0,
    ) -> list[Receipt | RabbitKeeperError]:
        """Publish every message of an iterable; returns when each has its outcome.

        As many are under way as the window allows, and no more are taken from ``messages`` than that.

        Args:
            messages: tuples (exchange, routing key, body) or (exchange, routing key, body, properties).
            mandatory: as in :meth:`publish`.
            timeout: seconds for each message, from its being taken from ``messages``.

        Returns:
            The outcomes in the order of ``messages``: a receipt, or the error that :meth:`publish` would
            have raised. A message that cannot be sent has its ``InvalidArgument`` there, too.

        Raises:
            Closed, WrongThread: the client takes nothing; from then on nothing is handed over.
            PublishInterrupted: ``messages`` raised; has the outcomes of what it had given before.
        """
        self._guard.check_usable()
        return self._publishing.publish_many(messages, mandatory, timeout, self._guard.check_usable)

    # -- looking

    def on_event(self, function: Callable[[Event], object]) -> Callable[[], None]:
        """Call ``function`` with each event from now on, on a thread for events; see :mod:`events`.

        A slow function delays other functions for events and nothing else; when 1,000 wait, further ones are
        dropped and counted (``EventsMissed``).

        Returns:
            A function that ends it.
        """
        if not callable(function):
            raise InvalidArgument(f"function {function!r} is not valid: use something that can be called")
        self._guard.check_process()
        self._events.add(function)
        return lambda: self._events.remove(function)

    @property
    def leader(self) -> Leader:
        """The leader as last seen.

        Raises:
            NoLeader: there is none.
        """
        self._guard.check_process()
        return leader_of(self._engine.snapshot, self.group, self._access)

    def status(self) -> Status:
        """Where the client is, in one object."""
        self._guard.check_process()
        return status_of(
            self._engine.snapshot,
            self._engine.consumers,
            unconfirmed=self._publishing.unconfirmed,
            zookeeper=self._group_watch.connected,
        )

    # -- the end

    def close(self, timeout: float = 10.0) -> tuple[Unconfirmed, ...]:
        """Let workers finish what they have in hand, wait for what is unconfirmed, then end everything.

        Can be called again. Messages that a consumer's user has in hand and has not answered go back to their
        queues.

        Args:
            timeout: seconds to wait.

        Returns:
            What was handed over and is still unconfirmed; its futures end with :class:`Closed`.
        """
        check_timeout("timeout", timeout, zero=True)
        if self._guard.is_foreign or not self._guard.begin_closing():
            return ()
        left: list[Unconfirmed] = []
        deadline = time.monotonic() + timeout
        with let_others_in(*self._publishing.locks):
            if threading.get_ident() != self._engine.thread.ident:
                if self._engine.thread.is_alive():
                    self._consuming.stop(deadline)
                    self._replies.stop(deadline)
                    drained = self._engine.drain(deadline)
                    with suppress(FutureTimeout):  # nothing is known of it if no answer comes
                        left = drained.result(max(0.0, deadline - time.monotonic()) + GRACE)
                self._engine.close()
                if self._engine.thread.ident is not None:
                    self._engine.thread.join(5.0)
            else:
                self._engine.close()
            self._group_watch.stop()
            self._events.close(1.0)
        return tuple(left)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
