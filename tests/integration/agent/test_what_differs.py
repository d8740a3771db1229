"""What differs between versions of RabbitMQ, as ``docs/versions.md`` has it: asked of the installed one."""

import time
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


def permits(broker: Local, feature: str) -> bool:
    """Whether the broker permits a deprecated feature."""
    asked = f"rabbit_deprecated_features:is_permitted({feature})."
    return broker.ctl("node1")._run("eval", asked).strip() == "true"


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


def test_a_transient_queue_that_is_not_exclusive_is_refused_where_it_is_not_permitted(
    broker: Local, channel: BlockingChannel, version: Version
) -> None:
    # RabbitMQ's sources of 4.3.0 to 4.3.5 do not permit it by default; Debian's 4.3.6 does.
    permitted = version < (4, 3) or permits(broker, "transient_nonexcl_queues")
    assert refused(channel, arguments={"x-queue-type": "classic"}) is not permitted


def test_a_lazy_queue_can_be_declared_on_each(channel: BlockingChannel) -> None:
    arguments = {"x-queue-type": "classic", "x-queue-mode": "lazy"}
    assert not refused(channel, durable=True, arguments=arguments)


def test_a_prefetch_of_a_whole_channel_is_one_of_each_consumer_from_4_3(
    channel: BlockingChannel, version: Version
) -> None:
    delivered = []
    channel.queue_declare("prefetch", durable=True, arguments={"x-queue-type": "classic"})
    channel.basic_qos(prefetch_count=1, global_qos=True)
    for _ in range(4):
        channel.basic_publish("", "prefetch", b"x")
    for _ in range(2):
        channel.basic_consume("prefetch", lambda *delivery: delivered.append(delivery))
    end = time.monotonic() + 2  # what should not happen has this long to happen
    while (left := end - time.monotonic()) > 0:
        channel.connection.process_data_events(left)
    channel.queue_delete("prefetch")
    assert len(delivered) == (1 if version < (4, 3) else 2)


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
