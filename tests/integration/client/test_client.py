"""The client on a real cluster: what it publishes arrives, what it cannot publish ends in the right error."""

import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import accumulate, islice

import pika
import pytest
from support.agent.rabbitmq_version import rabbitmq_version
from support.announcer import GROUP, Announcer
from support.waiting import wait_for

from rabbitkeeper.client import (
    Binding,
    Client,
    Closed,
    Exchange,
    InvalidArgument,
    Nacked,
    NoLeader,
    NotAuthorized,
    Queue,
    Receipt,
    TopologyError,
    Unroutable,
    WrongThread,
)
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.errors import UnknownGroup, ZooKeeperUnreachable
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import LeaderRecord, MemberStatus, utcnow

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

PREFETCH = 50


class Traffic:
    """Publishes numbers one after the other and consumes them, on two clients."""

    def __init__(self, announcer: Announcer, name: str) -> None:
        self.exchange, self.queue = f"{name}-exchange", f"{name}-queue"
        self.producer, self.consumer = announcer.client(), announcer.client()
        self.producer.declare(
            Exchange(self.exchange, "fanout"), Queue(self.queue), Binding(self.exchange, self.queue)
        )
        self.may_be_late = PREFETCH if rabbitmq_version(announcer.local) >= (4, 3) else 0
        self.confirmed: list[int] = []
        self.delivered: list[int] = []
        self.errors: list[Exception] = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.produce), threading.Thread(target=self.consume)]
        for thread in self.threads:
            thread.start()

    def produce(self) -> None:
        number = 0
        while not self.stopping.wait(0.002):
            number += 1
            try:
                self.producer.publish(self.exchange, "", b"%d" % number)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                self.errors.append(error)
            else:
                self.confirmed.append(number)

    def consume(self) -> None:
        for message in self.consumer.consume(self.queue, prefetch=PREFETCH):
            self.delivered.append(int(message.body))
            message.ack()

    def flows(self, count: int = 50) -> None:
        """Wait until as many more messages are confirmed and delivered."""
        confirmed, delivered = len(self.confirmed) + count, len(self.delivered) + count
        wait_for(
            lambda: len(self.confirmed) >= confirmed and len(self.delivered) >= delivered,
            f"messages flow ({self.producer.status()}, {self.consumer.status()})",
        )

    def finish(self) -> None:
        """Stop; nothing confirmed may be missing, and first deliveries are in the order of publishing.

        But for what was on its way to a consumer that RabbitMQ 4.3 does not know yet to be gone.
        """
        self.stopping.set()
        self.threads[0].join(40)
        try:
            wait_for(lambda: set(self.confirmed) <= set(self.delivered), "everything confirmed is delivered")
        finally:
            self.producer.close(1)
            self.consumer.close(1)
            self.threads[1].join(10)
        assert self.errors == []
        first = list(dict.fromkeys(self.delivered))
        late = [number for number, last in zip(first, accumulate(first, max), strict=True) if number < last]
        assert len(late) <= self.may_be_late


@pytest.fixture
def traffic(announcer: Announcer, request: pytest.FixtureRequest) -> Iterator[Traffic]:
    traffic = Traffic(announcer, request.node.name)
    traffic.flows()
    yield traffic
    traffic.stopping.set()
    traffic.producer.close(0)
    traffic.consumer.close(0)


# -- publishing and consuming


def test_the_tutorial(client: Client) -> None:
    client.declare(Exchange("my-exchange", "fanout"), Queue("my-queue"), Binding("my-exchange", "my-queue"))
    texts = [f"Message {number}".encode() for number in range(1, 11)]
    receipts = [client.publish("my-exchange", "", text) for text in texts]
    assert len({receipt.message_id for receipt in receipts}) == 10
    messages = list(islice(client.consume("my-queue"), 10))
    assert [message.body for message in messages] == texts
    assert [message.message_id for message in messages] == [receipt.message_id for receipt in receipts]
    for message in messages:
        assert message.properties.delivery_mode == 2
        message.ack()
        message.ack()  # a second answer is none


def test_what_is_not_acked_is_delivered_again(client: Client) -> None:
    client.declare(Queue("again"))
    client.publish("", "again", b"x")
    first = next(client.consume("again"))
    assert not first.redelivered
    first.nack()
    second = next(client.consume("again"))
    assert second.redelivered
    second.ack()


def test_many_threads_and_a_window_smaller_than_the_load(announcer: Announcer) -> None:
    with announcer.client(window=50) as client:
        client.declare(Queue("window"))
        futures: list[Future[Receipt]] = []

        def publish() -> None:
            for number in range(300):
                futures.append(client.publish_nowait("", "window", b"%d" % number))
                assert client.status().unconfirmed <= 50

        threads = [threading.Thread(target=publish) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({future.result(30).message_id for future in futures}) == 1200
        bodies = []
        for message in islice(client.consume("window", prefetch=300), 1200):
            bodies.append(message.body)
            message.ack()
        assert sorted(bodies) == sorted(b"%d" % number for number in range(300) for _ in range(4))


def test_the_callers_properties_are_kept_and_not_changed(client: Client) -> None:
    client.declare(Queue("properties"))
    properties = pika.BasicProperties(headers={"a": 1}, content_type="text/plain", message_id="mine")
    client.publish("", "properties", b"", properties)
    assert properties.delivery_mode is None
    message = next(client.consume("properties"))
    message.ack()
    assert (message.message_id, message.headers, message.body) == ("mine", {"a": 1}, b"")


# -- every outcome


def test_a_float_in_a_header_goes_out_comes_in_and_comes_back(client: Client) -> None:
    headers = {"price": 1.5, "all": [0.1, {"in": -2.0}]}
    client.declare(Queue("floats"))
    client.publish("", "floats", b"", pika.BasicProperties(headers=headers))
    with client.consume("floats") as consumer:
        message = consumer.get(25)
        assert message is not None
        assert {key: message.headers[key] for key in headers} == headers
        message.ack()
    with pytest.raises(Unroutable):
        client.publish("", "no-queue-for-floats", b"", pika.BasicProperties(headers=headers))


def test_a_message_without_a_queue_is_unroutable_and_without_mandatory_it_is_not(client: Client) -> None:
    with pytest.raises(Unroutable, match=r"no-such-queue") as caught:
        client.publish("", "no-such-queue", b"x")
    assert caught.value.message_id
    client.publish("", "no-such-queue", b"x", mandatory=False)


def test_an_exchange_that_does_not_exist_refuses_its_messages_only(client: Client) -> None:
    client.declare(Queue("beside"))
    bad = client.publish_nowait("no-such-exchange", "", b"x")
    good = [client.publish_nowait("", "beside", b"%d" % number) for number in range(20)]
    with pytest.raises(Nacked, match="no-such-exchange"):
        bad.result(10)
    assert all(future.result(10).message_id for future in good)


def test_a_full_queue_that_rejects_publishes_nacks_them(client: Client) -> None:
    client.declare(
        Queue("full", type="classic", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    )
    client.publish("", "full", b"1")
    with pytest.raises(Nacked):
        client.publish("", "full", b"2")
    client.declare(Queue("not-full"))
    client.publish("", "not-full", b"1")


def test_a_future_cancelled_in_time_takes_its_message_back(client: Client) -> None:
    client.declare(Queue("cancel"))
    futures = [client.publish_nowait("", "cancel", b"%d" % number) for number in range(200)]
    cancelled = {number for number, future in enumerate(futures) if number % 2 and future.cancel()}
    client.publish("", "cancel", b"end")
    got = set()
    for message in client.consume("cancel"):
        message.ack()
        if message.body == b"end":
            break
        got.add(int(message.body))
    assert got == set(range(200)) - cancelled


def test_close_returns_what_is_unconfirmed_and_ends_its_futures(announcer: Announcer) -> None:
    client = announcer.client()
    client.declare(Queue("closing"))
    announcer.local.stop_broker("node1")
    try:
        future = client.publish_nowait("", "closing", b"x")
        left = client.close(0.3)
        assert [(one.body, one.message_id) for one in left] == [
            (b"x", future.exception(5).message_id)  # type: ignore[union-attr]
        ]
        with pytest.raises(Closed):
            future.result(0)
    finally:
        announcer.local.continue_broker("node1")
    with pytest.raises(Closed):
        client.publish("", "closing", b"y")
    with pytest.raises(Closed):
        client.declare(Queue("closing"))


# -- what is refused before anything is sent


@pytest.mark.parametrize("body", ["text", None, 7, ["x"]])
def test_a_body_that_is_not_bytes(client: Client, body: object) -> None:
    with pytest.raises(InvalidArgument, match=type(body).__name__):
        client.publish("", "my-queue", body)  # type: ignore[arg-type]


def test_headers_that_amqp_cannot_carry(client: Client) -> None:
    with pytest.raises(InvalidArgument, match="properties"):
        client.publish("", "my-queue", b"", pika.BasicProperties(headers={"x": object()}))


def test_an_unknown_group_names_those_that_exist(announcer: Announcer) -> None:
    with pytest.raises(UnknownGroup, match=rf"nowhere.*{GROUP}"):
        Client(announcer.local.zookeeper_hosts, "nowhere", announcer.local.credentials)


def test_a_zookeeper_that_is_not_there() -> None:
    with pytest.raises(ZooKeeperUnreachable, match=r"127\.0\.0\.1:1"):
        Client("127.0.0.1:1", GROUP, ("a", "b"), timeout=1.0)


def test_wrong_credentials_fail_at_once_and_are_not_told(announcer: Announcer) -> None:
    started = time.monotonic()
    with pytest.raises(NotAuthorized, match="password") as caught:
        Client(announcer.local.zookeeper_hosts, GROUP, ("app", "s3cret-word"), timeout=30.0)
    assert "s3cret-word" not in str(caught.value)
    assert time.monotonic() - started < 15, "it was tried until the deadline"


def test_a_wrong_virtual_host_fails_at_once(announcer: Announcer) -> None:
    with pytest.raises(NotAuthorized, match="virtual host"):
        Client(announcer.local.zookeeper_hosts, GROUP, announcer.local.credentials, virtual_host="nowhere")


def test_a_queue_declared_otherwise_is_refused_and_the_client_goes_on(client: Client) -> None:
    client.declare(Queue("other", type="classic"))
    with pytest.raises(TopologyError, match="other"):
        client.declare(Queue("other"))
    with pytest.raises(TopologyError, match="no-such-exchange"):
        client.declare(Binding("no-such-exchange", "other"))
    client.publish("", "other", b"x")


def test_consuming_from_a_queue_that_does_not_exist(client: Client) -> None:
    with pytest.raises(TopologyError, match=r"no-such-queue"):
        next(client.consume("no-such-queue"))


def _publish_in_child(client: Client, answers: "multiprocessing.SimpleQueue[str]") -> None:
    try:
        client.publish("", "my-queue", b"x")
    except WrongThread as error:
        answers.put(str(error))


def test_a_forked_child_is_refused(client: Client) -> None:
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
    child = context.Process(target=_publish_in_child, args=(client, answers))
    child.start()
    child.join(10)
    assert "process" in answers.get()


# -- switching


def test_the_leaders_broker_is_killed_under_load(announcer: Announcer, traffic: Traffic) -> None:
    announcer.local.kill_broker("node1")
    try:
        traffic.flows()
        assert traffic.producer.status().member in ("node2", "node3")
        announcer.status("node1", MemberStatus.STOPPED)
        announcer.lead("node2")
        wait_for(lambda: traffic.producer.status().member == "node2", "the producer is on the new leader")
        wait_for(lambda: traffic.consumer.status().member == "node2", "the consumer is on the new leader")
        traffic.flows()
        traffic.finish()
    finally:
        announcer.local.start_broker("node1")
        announcer.status("node1", MemberStatus.RUNNING)
        announcer.lead("node1")


def test_a_planned_move_of_the_lead_takes_the_clients_along(announcer: Announcer, traffic: Traffic) -> None:
    try:
        for name in ("node3", "node2", "node1"):
            announcer.lead(name)
            wait_for(lambda: traffic.producer.status().member == name, f"the producer is on {name}")  # noqa: B023
            wait_for(lambda: traffic.consumer.status().member == name, f"the consumer is on {name}")  # noqa: B023
            traffic.flows()
        traffic.finish()
        assert len(traffic.delivered) == len(set(traffic.delivered)), "a planned move repeats nothing"
    finally:
        announcer.lead("node1")


def test_a_broker_declared_hung_is_left_without_its_answer(announcer: Announcer, traffic: Traffic) -> None:
    announcer.local.stop_broker("node1")
    try:
        wait_for(lambda: traffic.producer.status().unconfirmed > 0, "a publish waits")
        announcer.status("node1", MemberStatus.HUNG)
        wait_for(lambda: traffic.producer.status().member != "node1", "the producer has left")
        announcer.local.kill_broker("node1")  # as its agent does
        traffic.flows()
        traffic.finish()
    finally:
        announcer.local.start_broker("node1")
        announcer.status("node1", MemberStatus.RUNNING)
        announcer.lead("node1")


def test_without_zookeeper_publishing_goes_on(announcer: Announcer, traffic: Traffic) -> None:
    announcer.local.stop_zookeeper()
    try:
        wait_for(lambda: not traffic.producer.status().zookeeper, "the client has seen it")
        traffic.flows(200)
    finally:
        announcer.local.start_zookeeper()
    wait_for(lambda: traffic.producer.status().zookeeper, "ZooKeeper is back")
    traffic.flows()
    traffic.finish()


def test_a_leader_that_cannot_be_reached_is_an_error_within_the_deadline(zookeeper: str) -> None:
    paths = GroupPaths("unreachable")
    session = backend_at(zookeeper)
    session.start()
    session.ensure_path(paths.members)
    record = LeaderRecord(name="n", instance="1", node="n", amqp="127.0.0.1:9", since=utcnow(), cause="test")
    session.create(paths.leader, record.to_bytes(), ephemeral=True)
    try:
        with pytest.raises(NoLeader, match=r"127\.0\.0\.1:9"):
            Client(zookeeper, "unreachable", ("a", "b"), timeout=1.5)
    finally:
        session.close()
