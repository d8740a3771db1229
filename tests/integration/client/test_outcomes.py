"""Every way in which a publish can end, on one real broker, over TCP and over TLS."""

import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pika
import pytest
from support.announcer import GROUP, Announcer
from support.other_pika import OtherPika, uses_private_parts
from support.queues import bodies
from support.waiting import wait_for

from rabbitkeeper.client import (
    Binding,
    Blocked,
    Client,
    Closed,
    Exchange,
    InvalidArgument,
    Nacked,
    NoLeader,
    PublishUnknown,
    Queue,
    Receipt,
    Unroutable,
    WrongThread,
)
from rabbitkeeper.client.amqp import pika_connection
from rabbitkeeper.compose.local import Local
from rabbitkeeper.compose.local.guardian import last_lines
from rabbitkeeper.compose.local.ports import Ports
from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable
from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

LARGEST = 1_000_000  # bytes of a message that the broker takes


@pytest.fixture(scope="module")
def announcer(certificates: Path) -> Iterator[Announcer]:
    ports = Ports()
    port = ports.reserve()
    config = f"""
max_message_size = {LARGEST}
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {certificates / "ca.pem"}
ssl_options.certfile = {certificates / "127.0.0.1.crt"}
ssl_options.keyfile = {certificates / "127.0.0.1.key"}
"""
    with Local(zookeepers=1, members=1, agents=False, broker_config=config) as local:
        announcer = Announcer(local, amqps=f"127.0.0.1:{port}")
        yield announcer
        announcer.session.close()
    ports.close()


@pytest.fixture(params=["plain", "tls", "without pika's private parts"])
def client(
    announcer: Announcer, certificates: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """A client each way to the broker that there is."""
    options: dict[str, Any] = {}
    if request.param == "tls":
        options["tls"] = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    if request.param.startswith("without"):
        monkeypatch.setattr(pika_connection, "SelectConnection", OtherPika)
    try:
        made = announcer.client(**options)
    except NoLeader as error:
        error.add_note("\n".join(map(last_lines, announcer.local.logs("node1").glob("*.log"))))
        raise
    with made as client:
        assert uses_private_parts(client) is not request.param.startswith("without")
        yield client


@pytest.fixture
def plain(announcer: Announcer) -> Iterator[Client]:
    with announcer.client() as client:
        yield client


# -- confirmed


def test_bodies_of_all_sizes_arrive_in_order(client: Client) -> None:
    client.declare(Queue("sizes", type="classic"))
    frame = client._engine.frame_max
    assert frame == 131_072, "the broker's own: from 4.1 on one below 8 KiB is refused"
    sizes = [0, 1, 255, 4096, frame - 9, frame - 8, frame - 7, 2 * frame, LARGEST, 0]
    sent = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    outcomes = client.publish_many(("", "sizes", body) for body in sent)
    assert all(isinstance(outcome, Receipt) for outcome in outcomes), outcomes
    assert bodies(client, "sizes", len(sent)) == sent


def test_many_messages_have_their_outcomes_in_their_order(client: Client) -> None:
    client.declare(Queue("many"))

    def messages() -> Iterator[Any]:
        for number in range(3000):
            body = b"%d" % number
            if number % 1000 == 7:
                yield "", "no-such-queue", body
            elif number % 1000 == 8:
                yield "", "many", body, pika.BasicProperties(headers={"x": object()})
            elif number % 1000 == 9:
                yield "", "many"
            else:
                yield (
                    "",
                    "many",
                    body,
                    pika.BasicProperties(content_type="text/plain", headers={"n": [number]}),
                )

    outcomes = client.publish_many(messages())
    kinds = Counter(type(outcome) for outcome in outcomes)
    assert kinds == {Receipt: 2991, Unroutable: 3, InvalidArgument: 6}
    assert [type(outcomes[1000 + at]) for at in (6, 7, 8, 9, 10)] == [
        Receipt,
        Unroutable,
        InvalidArgument,
        InvalidArgument,
        Receipt,
    ]
    expected = [b"%d" % number for number in range(3000) if number % 1000 not in (7, 8, 9)]
    assert bodies(client, "many", len(expected)) == expected
    assert client.status().unconfirmed == 0


def test_a_future_can_publish_the_next_message_and_cannot_wait(announcer: Announcer) -> None:
    with announcer.client(window=2) as client:
        client.declare(Queue("chain", type="classic"))
        done = threading.Event()
        errors: list[BaseException] = []
        left = iter(range(20))

        def next_one(_future: Future[Receipt]) -> None:
            try:
                client.publish("", "chain", b"blocks")
            except WrongThread as error:
                errors.append(error)
            if next(left, None) is None:
                done.set()
            else:
                client.publish_nowait("", "chain", b"next").add_done_callback(next_one)

        client.publish_nowait("", "chain", b"first").add_done_callback(next_one)
        assert done.wait(20)
        assert len(bodies(client, "chain", 21)) == len(errors) == 21


def test_a_full_window_on_the_io_thread_is_an_error_not_a_deadlock(announcer: Announcer) -> None:
    with announcer.client(window=1) as client:
        client.declare(Queue("full-window", type="classic"))
        caught: list[BaseException] = []
        done = threading.Event()

        def two_more(_future: Future[Receipt]) -> None:
            client.publish_nowait("", "full-window", b"fits")
            try:
                client.publish_nowait("", "full-window", b"does not")
            except WrongThread as error:
                caught.append(error)
            done.set()

        client.publish_nowait("", "full-window", b"first").add_done_callback(two_more)
        assert done.wait(20)
        assert "window is full" in str(caught[0])


def test_properties_and_headers_of_all_types_arrive_as_pika_sends_them(
    client: Client, announcer: Announcer
) -> None:
    headers = {
        "text": "gr\u00fcn",
        "bytes": b"\x00\xff",
        "yes": True,
        "small": -1,
        "large": 2**40,
        "price": Decimal("1.25"),
        "when": datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
        "nothing": None,
        "list": [1, "x", None, {"deep": False}],
        "table": {"inner": {"a": [b"b"]}},
        "": "",
    }
    properties = pika.BasicProperties(
        content_type="text/plain",
        content_encoding="utf-8",
        headers=headers,
        delivery_mode=1,
        priority=3,
        correlation_id="c",
        reply_to="r",
        expiration="600000",
        message_id="m",
        timestamp=1_800_000_000,
        type="t",
        user_id=announcer.local.credentials[0],
        app_id="a",
        cluster_id="k",
    )
    client.declare(Exchange("types", "topic"), Queue("types", type="classic"), Binding("types", "types", "#"))
    with announcer.stranger() as stranger:
        for _ in range(2):
            stranger.basic_publish("types", "a.b", b"body", properties)
            client.publish("types", "a.b", b"body", properties)
        as_pika_reads = [stranger.basic_get("types", auto_ack=True) for _ in range(2)]
    as_we_read = list(islice(client.consume("types"), 2))
    for message in as_we_read:
        message.ack()
    places = [(method.exchange, method.routing_key) for method, _properties, _body in as_pika_reads]
    assert (
        places + [(message.exchange, message.routing_key) for message in as_we_read] == [("types", "a.b")] * 4
    )
    found = [properties for _method, properties, _body in as_pika_reads]
    found += [message.properties for message in as_we_read]
    assert [vars(one) for one in found] == [vars(found[0])] * 4
    assert found[0].headers.keys() == headers.keys()
    assert as_we_read[1].body == as_pika_reads[1][2] == b"body"


# -- refused


def test_returned_messages_are_found_among_equals(client: Client) -> None:
    client.declare(Queue("routable"))
    same = pika.BasicProperties(message_id="same")
    futures = [
        client.publish_nowait("", "routable" if number % 3 else "nowhere", b"x", same) for number in range(90)
    ]
    kinds = [type(future.exception(20)) for future in futures]
    assert kinds == [type(None) if number % 3 else Unroutable for number in range(90)]


def test_a_body_over_the_brokers_limit_ends_its_own_message_only(client: Client) -> None:
    client.declare(Queue("limit"))
    futures = [
        client.publish_nowait("", "limit", b"x" * (LARGEST + 1 if number == 5 else number))
        for number in range(10)
    ]
    outcomes = [future.exception(20) for future in futures]
    assert [number for number, error in enumerate(outcomes) if error is not None] == [5]
    assert isinstance(outcomes[5], Nacked)
    assert "406" in str(outcomes[5]) or "PRECONDITION_FAILED" in str(outcomes[5])


def test_a_missing_exchange_ends_all_its_messages_soon_and_no_others(client: Client) -> None:
    client.declare(Queue("beside-missing"))
    started = time.monotonic()
    futures = [
        client.publish_nowait("missing" if number % 2 else "", "beside-missing", b"%d" % number)
        for number in range(600)
    ]
    kinds = [type(future.exception(25)) for future in futures]
    assert kinds == [Nacked if number % 2 else type(None) for number in range(600)]
    assert time.monotonic() - started < 25


def test_somebody_elses_user_id_and_an_internal_exchange_are_refused(plain: Client) -> None:
    plain.declare(Exchange("inner", "fanout", internal=True), Queue("own"))
    with pytest.raises(Nacked, match="user_id"):
        plain.publish("", "own", b"x", pika.BasicProperties(user_id="somebody-else"))
    with pytest.raises(Nacked, match="inner"):
        plain.publish("inner", "", b"x")
    plain.publish("", "own", b"x")


def test_a_full_queue_does_not_hold_up_the_others(plain: Client) -> None:
    plain.declare(
        Queue("brim", type="classic", arguments={"x-max-length": 1, "x-overflow": "reject-publish"}),
        Queue("beside-brim"),
    )
    plain.publish("", "brim", b"1")
    refused = [plain.publish_nowait("", "brim", b"2") for _ in range(200)]
    good = [plain.publish_nowait("", "beside-brim", b"3") for _ in range(200)]
    assert {type(future.exception(25)) for future in refused} == {Nacked}
    assert {type(future.exception(25)) for future in good} == {type(None)}
    assert bodies(plain, "brim", 1) == [b"1"]


def test_headers_larger_than_a_frame_are_refused_before_they_cost_the_connection(plain: Client) -> None:
    with pytest.raises(InvalidArgument, match="frame_max"):
        plain.publish("", "q", b"", pika.BasicProperties(headers={"a": "x" * 200_000}))
    with pytest.raises(InvalidArgument, match=r"headers\['a'\]"):
        plain.publish("", "q", b"", pika.BasicProperties(headers={"a": float("nan")}))
    assert plain.status().unconfirmed == 0


# -- not answered


def test_an_alarm_blocks_what_is_not_sent_yet(announcer: Announcer) -> None:
    ctl = announcer.local.ctl("node1")
    with announcer.client(window=3) as client:
        client.declare(Queue("alarmed", type="classic"))
        ctl._run("set_vm_memory_high_watermark", "0.0001")
        try:
            early = client.publish_nowait("", "alarmed", b"tells us")  # a broker blocks who publishes
            wait_for(lambda: client.status().blocked is not None, "the client knows that it is blocked")
            late = client.publish_nowait("", "alarmed", b"never sent", timeout=0.5)
            assert isinstance(late.exception(10), Blocked)
            taken_back = client.publish_nowait("", "alarmed", b"taken back")
            assert taken_back.cancel()
            waits = [client.publish_nowait("", "alarmed", b"waits", timeout=60.0)]
            while client.status().unconfirmed < 3:
                waits.append(client.publish_nowait("", "alarmed", b"waits", timeout=60.0))
            with pytest.raises(Blocked, match=r"window.*alarm|window.*memory"):
                client.publish_nowait("", "alarmed", b"no room", timeout=0.2)
        finally:
            ctl._run("set_vm_memory_high_watermark", "absolute", "512MB")
        assert early.result(30).message_id
        assert all(future.result(30) for future in waits)
        assert bodies(client, "alarmed", 1 + len(waits)) == [b"tells us"] + [b"waits"] * len(waits)


def test_a_broker_that_hangs_leaves_nothing_open_beyond_its_deadline(announcer: Announcer) -> None:
    with announcer.client(window=5) as client:
        client.declare(Queue("hung", type="classic"))
        client.publish("", "hung", b"well")
        announcer.local.stop_broker("node1")
        try:
            started = time.monotonic()
            with pytest.raises(PublishUnknown):
                client.publish("", "hung", b"x", timeout=0.5)
            outcomes = client.publish_many((("", "hung", b"y") for _ in range(12)), timeout=0.7)
            assert {type(outcome) for outcome in outcomes} <= {PublishUnknown, Blocked}
            assert len(outcomes) == 12
            assert time.monotonic() - started < 20
            open_still = [client.publish_nowait("", "hung", b"z", timeout=60.0) for _ in range(3)]
            left = client.close(0.3)
            assert [one.body for one in left] == [b"z"] * 3
            assert all(isinstance(future.exception(0), Closed) for future in open_still)
        finally:
            announcer.local.continue_broker("node1")


def test_without_any_broker_a_publish_ends_and_the_client_comes_back(announcer: Announcer) -> None:
    with announcer.client() as client:
        client.declare(Queue("away"))
        announcer.status("node1", MemberStatus.STOPPED)
        try:
            wait_for(lambda: client.status().member is None, "the client has left")
            future = client.publish_nowait("", "away", b"later", timeout=60.0)
            with pytest.raises(NoLeader):
                client.publish("", "away", b"x", timeout=0.4)
        finally:
            announcer.status("node1", MemberStatus.RUNNING)
        assert future.result(30).attempts == 1
        assert bodies(client, "away", 1) == [b"later"]


def test_a_zookeeper_that_takes_connections_and_never_answers(announcer: Announcer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        started = time.monotonic()
        with pytest.raises(ZooKeeperUnreachable):
            Client(f"127.0.0.1:{mute.getsockname()[1]}", GROUP, announcer.local.credentials, timeout=1.5)
        assert time.monotonic() - started < 15


def test_a_broker_whose_certificate_nobody_vouches_for(announcer: Announcer) -> None:
    with pytest.raises(NoLeader, match=r"certificate|CERTIFICATE"):
        announcer.client(tls=True, timeout=2.0)


def test_publishing_while_the_client_is_closed_ends_everything(announcer: Announcer) -> None:
    client = announcer.client(window=100)
    client.declare(Queue("race"))
    futures: list[Future[Receipt]] = []
    refused = threading.Event()

    def publish() -> None:
        try:
            while True:
                futures.append(client.publish_nowait("", "race", b"x"))
        except Closed:
            refused.set()

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(futures) > 1000, "it is under way")
    client.close(10)
    for thread in threads:
        thread.join(20)
    assert refused.is_set()
    assert {type(future.exception(5)) for future in futures} <= {type(None), Closed}
