"""What differs between versions of RabbitMQ, as ``docs/versions.md`` has it: asked of the installed one."""

from collections.abc import Iterator
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import ChannelClosedByBroker, ConnectionClosedByBroker
from support.agent.rabbitmq_version import rabbitmq_version

from rabbitkeeper.agent.rabbitmq.versions import NEWEST, OLDEST, Version
from rabbitkeeper.compose.local import Local

pytestmark = [pytest.mark.rabbitmq]

LIMIT = 20  # deliveries, by default, from 4.0


@pytest.fixture(scope="module")
def version(broker: Local) -> Version:
    return rabbitmq_version(broker)


@pytest.fixture
def channel(broker: Local) -> Iterator[BlockingChannel]:
    host, port = broker.amqp("node1")
    parameters = pika.ConnectionParameters(host, port, credentials=pika.PlainCredentials(*broker.credentials))
    connection = pika.BlockingConnection(parameters)
    yield connection.channel()
    if connection.is_open:
        connection.close()


def refused(channel: BlockingChannel, **queue: Any) -> bool:
    """Whether the broker refuses to declare a queue like this."""
    try:
        channel.queue_declare("refused", **queue)
    except (ChannelClosedByBroker, ConnectionClosedByBroker):
        return True
    channel.queue_delete("refused")
    return False


def test_the_version_is_supported(version: Version) -> None:
    assert OLDEST <= version <= NEWEST


def test_mnesia_is_the_database_before_4_2_and_khepri_from_then_on(broker: Local, version: Version) -> None:
    mnesia = list(broker.settings("node1").directory.rglob("schema.DAT"))
    assert bool(mnesia) is (version < (4, 2))


def test_a_message_can_have_128_mib_before_4_0_and_16_from_then_on(broker: Local, version: Version) -> None:
    _, values = broker.ctl("node1").parameters(["rabbit.max_message_size"])
    assert values["rabbit.max_message_size"] == ("134217728" if version < (4, 0) else "16777216")


def test_a_consumer_has_half_an_hour_for_its_messages(broker: Local) -> None:
    _, values = broker.ctl("node1").parameters(["rabbit.consumer_timeout"])
    assert values["rabbit.consumer_timeout"] == "1800000"


def test_a_transient_queue_that_is_not_exclusive_is_refused_from_4_3(
    channel: BlockingChannel, version: Version
) -> None:
    assert refused(channel, arguments={"x-queue-type": "classic"}) is (version >= (4, 3))


def test_a_lazy_queue_is_refused_from_4_3(channel: BlockingChannel, version: Version) -> None:
    arguments = {"x-queue-type": "classic", "x-queue-mode": "lazy"}
    assert refused(channel, durable=True, arguments=arguments) is (version >= (4, 3))


def test_a_prefetch_of_a_whole_channel_is_refused_from_4_3(
    channel: BlockingChannel, version: Version
) -> None:
    if version < (4, 3):
        channel.basic_qos(prefetch_count=1, global_qos=True)
    else:
        with pytest.raises((ChannelClosedByBroker, ConnectionClosedByBroker)):
            channel.basic_qos(prefetch_count=1, global_qos=True)


def test_a_quorum_queue_drops_what_was_given_back_too_often_from_4_0(
    channel: BlockingChannel, version: Version
) -> None:
    channel.queue_declare("limit", durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_publish("", "limit", b"again and again")
    delivered = 0
    for method, _, _ in channel.consume("limit", inactivity_timeout=2.0):
        if method is None:
            break
        delivered += 1
        if delivered > 2 * LIMIT:
            break
        channel.basic_reject(method.delivery_tag, requeue=True)
    channel.cancel()
    channel.queue_delete("limit")
    if version < (4, 0):
        assert delivered > 2 * LIMIT
    else:
        assert LIMIT <= delivered <= LIMIT + 1
