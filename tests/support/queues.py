"""What is in a queue of a real broker, and putting it there."""

from itertools import islice

from rabbitkeeper.client import Client
from rabbitkeeper.client.consume.consumer import Consumer
from support.announcer import Announcer
from support.waiting import wait_for


def publish(client: Client, name: str, count: int) -> None:
    for future in [client.publish_nowait("", name, b"%d" % number) for number in range(count)]:
        future.result(30)


def depth(announcer: Announcer, name: str) -> int:
    """Messages that are ready or unacked, as the broker counts them."""
    with announcer.stranger("node2") as channel:
        found: int = channel.queue_declare(name, passive=True).method.message_count
        return found


def empties(client: Client, announcer: Announcer, name: str) -> None:
    """Everything was acked: with no consumer left, nothing is ready."""
    wait_for(lambda: client.status().in_hand == 0, "everything is answered")
    wait_for(lambda: depth(announcer, name) == 0, "the queue is empty")


def bodies(client: Client, queue: str, count: int) -> list[bytes]:
    """Take and ack as many messages; what they hold."""
    got = []
    for message in islice(client.consume(queue, prefetch=1000), count):
        got.append(message.body)
        message.ack()
    return got


def take(consumer: Consumer, count: int) -> list[bytes]:
    """Take and ack as many messages, each of which comes within 20 seconds; what they hold."""
    bodies: list[bytes] = []
    for _ in range(count):
        message = consumer.get(20)
        assert message is not None
        bodies.append(message.body)
        message.ack()
    return bodies


def take_all(consumer: Consumer, wanted: set[bytes]) -> None:
    """Take and ack until each of ``wanted`` has come, and nothing else. Some come again after a move."""
    missing = set(wanted)
    while missing:
        (body,) = take(consumer, 1)
        assert body in wanted
        missing.discard(body)
