"""kombu's connections on a broker that says exactly what it is told to: no wait is without an end."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from amqp.exceptions import ConnectionForced, MessageNacked, NotFound
from pika import frame
from pika.spec import Basic, Channel, Confirm, Connection, Queue
from support.client.certificates import self_signed
from support.client.scripted_broker import ScriptedBroker
from support.waiting import PATIENCE, wait_for

from rabbitkeeper.client.kombu.connection import KombuConnection
from rabbitkeeper.client.kombu.errors import MemberLeft, NoAnswer, NotReady
from rabbitkeeper.client.routing.placement import Target
from rabbitkeeper.coordinator.model.records import MemberStatus

SOON = 0.3  # seconds for what does not come


class Reports:
    """What is told of connections."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, bool, bool]] = []
        self.ends: list[int] = []

    def failed(self, target: Target, *, silent: bool = False, ended: bool = False) -> None:
        self.failures.append((target.member, silent, ended))

    def ended(self, number: int) -> None:
        self.ends.append(number)


def said(method: Any, channel: int) -> bytes:
    """A method as bytes."""
    return bytes(frame.Method(channel, method).marshal())


def kept(channel: Any) -> Any:
    """A persistent message."""
    return channel.prepare_message(b"1", properties={"delivery_mode": 2})


def silent(_method: Any, _channel: int) -> bytes:
    return b""


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 signed by itself, and its key: its own authority."""
    return self_signed(tmp_path_factory.mktemp("pem"), "IP:127.0.0.1")


class Scene:
    """A broker and a connection to it."""

    def __init__(self, broker: ScriptedBroker, answer_timeout: float, tls: object) -> None:
        self.broker = broker
        self.reports = Reports()
        target = Target("mq1", "1", broker.address, MemberStatus.RUNNING)
        self.connection = KombuConnection(
            target,
            answer_timeout,
            userid="app",
            password="secret",
            login_method="PLAIN",
            confirm_publish=True,
            connect_timeout=PATIENCE,
            ssl=tls,
        )
        self.connection.connect()
        self.connection.report_to(self.reports, 7)


@contextmanager
def scene(
    on_method: Any = silent, *, answer_timeout: float = PATIENCE, pem: Path | None = None, **broker: Any
) -> Iterator[Scene]:
    made_broker = ScriptedBroker(on_method, **broker)
    tls: object = False
    if pem is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pem / "cert.pem", pem / "key.pem")
        made_broker._listener = context.wrap_socket(made_broker._listener, server_side=True)
        tls = {"ca_certs": str(pem / "cert.pem"), "server_hostname": "127.0.0.1"}
    with made_broker as one:
        made = Scene(one, answer_timeout, tls)
        yield made
        made.connection.collect()


# -- waits end


def test_a_message_that_is_not_confirmed_ends_the_connection_and_its_member_is_told_of() -> None:
    with scene(answer_timeout=SOON) as one:
        channel = one.connection.channel()
        with pytest.raises(NoAnswer, match=r"mq1 has not answered within 0\.3 s"):
            channel.basic_publish(kept(channel), routing_key="orders")
        assert not one.connection.connected
        assert one.reports.failures == [("mq1", True, False)]
        assert one.reports.ends == [7]


def test_a_confirm_timeout_of_the_callers_own_counts() -> None:
    with scene() as one:
        channel = one.connection.channel()
        with pytest.raises(NoAnswer):
            channel.basic_publish(kept(channel), routing_key="orders", confirm_timeout=SOON)
        assert not one.connection.connected  # a late confirm would be taken for the next message's


def test_what_is_confirmed_or_refused_is_so() -> None:
    answers = iter([Basic.Ack(1), Basic.Nack(2)])

    def on_method(method: Any, channel: int) -> bytes:
        return said(next(answers), channel) if isinstance(method, Basic.Publish) else b""

    with scene(on_method) as one:
        channel = one.connection.channel()
        channel.basic_publish(kept(channel), routing_key="orders")
        with pytest.raises(MessageNacked):
            channel.basic_publish(kept(channel), routing_key="orders")
        assert one.connection.connected
    assert one.reports.failures == []
    assert one.reports.ends == [7]


def test_what_is_not_to_be_kept_is_not_waited_for() -> None:
    heard: list[type] = []

    def on_method(method: Any, _channel: int) -> bytes:
        heard.append(type(method))
        return b""

    with scene(on_method, answer_timeout=SOON) as one:
        channel = one.connection.channel()
        passing = channel.prepare_message(b"1", properties={"delivery_mode": 1})
        channel.basic_publish(passing, routing_key="events", confirm_timeout=SOON)
        channel.close()
        assert Confirm.Select not in heard
        channel = one.connection.channel()
        with pytest.raises(NoAnswer):
            channel.basic_publish(kept(channel), routing_key="orders")
        assert heard.index(Confirm.Select) < len(heard) - 1 - heard[::-1].index(Basic.Publish)


def test_an_answer_that_does_not_come_while_others_do_is_late_too() -> None:
    def on_method(method: Any, channel: int) -> bytes:
        return b"".join([said(Channel.Flow(True), channel)] * 3) if isinstance(method, Queue.Declare) else b""

    with scene(on_method, answer_timeout=SOON) as one, pytest.raises(NoAnswer):
        one.connection.channel().queue_declare("orders")


def test_a_broker_that_does_not_answer_holds_up_no_close() -> None:
    with scene(says_goodbye=False) as one:
        began = time.monotonic()
        with pytest.raises(NoAnswer):
            one.connection.close()
        assert time.monotonic() - began < PATIENCE / 2
        assert one.reports.ends == [7]


def test_a_broker_that_hangs_holds_up_no_end_of_tls(pem: Path) -> None:
    goes_on = threading.Event()
    with scene(pem=pem) as one:
        channel = one.connection.channel()

        def hang(_method: Any, _channel: int) -> bytes:
            goes_on.wait(PATIENCE)
            return b""

        one.broker._on_method = hang
        channel.basic_ack(1)
        began = time.monotonic()
        one.connection.collect()
        assert time.monotonic() - began < PATIENCE / 4
        goes_on.set()


def test_who_waits_for_events_waits_as_long_as_is_asked_for() -> None:
    with scene(answer_timeout=SOON) as one:
        with pytest.raises(TimeoutError) as caught:
            one.connection.drain_events(timeout=2 * SOON)
        assert not isinstance(caught.value, NoAnswer)
        assert one.connection.connected


# -- it is left


@pytest.mark.parametrize("secure", [False, True])
def test_who_waits_is_woken_when_it_is_dropped(secure: bool, pem: Path) -> None:
    with scene(pem=pem if secure else None) as one:
        errors: list[BaseException] = []

        def wait() -> None:
            try:
                one.connection.drain_events()
            except MemberLeft as error:
                errors.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        one.connection.drop("mq1 hangs")
        waiting.join(PATIENCE)
        assert [str(error) for error in errors] == ["mq1 hangs"]
        one.connection.collect()
        assert one.reports.failures == []  # the agents have said so
        assert one.reports.ends == [7]


def test_who_publishes_later_finds_it_broken() -> None:
    with scene() as one:
        channel = one.connection.channel()
        one.connection.drop("mq1 hangs")
        with pytest.raises((MemberLeft, OSError)):
            channel.basic_publish(kept(channel), routing_key="orders")


def test_dropping_again_or_what_has_ended_does_nothing() -> None:
    with scene() as one:
        one.connection.drop("mq1 hangs")
        one.connection.drop("mq1 hangs")
        one.connection.collect()
        one.connection.drop("mq1 hangs")
        one.connection.collect()
        assert one.reports.ends == [7]


def test_a_connection_that_the_broker_ends_is_told_of() -> None:
    with scene(until=Channel.Open) as one:
        one.connection.channel()
        with pytest.raises(OSError, match="closed"):
            one.connection.drain_events()
        one.connection.collect()
        assert one.reports.failures == [("mq1", False, False)]


def test_a_broker_that_stops_is_told_of_as_one() -> None:
    def on_method(method: Any, channel: int) -> bytes:
        is_last = isinstance(method, Channel.Open)
        return said(Connection.Close(320, "CONNECTION_FORCED - shutdown", 0, 0), 0) if is_last else b""

    with scene(on_method) as one:
        one.connection.channel()
        with pytest.raises(ConnectionForced):
            one.connection.drain_events()
        assert one.reports.failures == [("mq1", False, True)]


# -- refusals


@pytest.mark.parametrize(
    ("code", "text", "error"),
    [
        (404, "NOT_FOUND - no queue 'orders' in vhost '/'", NotFound),
        (
            404,
            "NOT_FOUND - home node 'rabbit@mq2' of durable queue 'orders' is down or inaccessible",
            NotReady,
        ),
        (405, "RESOURCE_LOCKED - cannot obtain exclusive access", NotReady),
        (541, "INTERNAL_ERROR", NotReady),
    ],
)
def test_what_passes_is_a_connection_to_be_tried_again(code: int, text: str, error: type) -> None:
    def on_method(method: Any, channel: int) -> bytes:
        return said(Channel.Close(code, text, 50, 10), channel) if isinstance(method, Queue.Declare) else b""

    with scene(on_method) as one, pytest.raises(error):
        one.connection.channel().queue_declare("orders")


# -- forks


def test_a_child_closes_what_is_its_parents_without_a_word() -> None:
    with scene() as one:
        channel = one.connection.channel()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                one.connection.abandon()
                one.connection.collect()
                one.connection.close()
                code = 0 if not one.connection.connected else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert one.connection.connected
        assert not one.broker.wait_for_end(0.1)
        channel.close()  # the broker answers
        assert one.reports.ends == []


def test_nothing_is_left_of_one_that_could_not_connect() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    one = KombuConnection(Target("mq1", "1", address, MemberStatus.RUNNING), 1.0, connect_timeout=SOON)
    with pytest.raises(TimeoutError):
        one.connect()
    peer, _ = listening.accept()
    peer.settimeout(PATIENCE)
    wait_for(lambda: peer.recv(100) == b"", "its socket is closed")
    listening.close()
    peer.close()
