"""The same orders with RabbitKeeper.

python pika_after.py publish FIRST LAST
python pika_after.py consume                 until Ctrl-C
"""

import os
import sys
import time

from rabbitkeeper.client import Binding, Client, Exchange, Queue


def connected() -> Client:
    """A client with everything declared; it declares it again wherever it goes."""
    client = Client(
        os.environ["RABBITKEEPER_ZOOKEEPER"],
        os.environ["RABBITKEEPER_GROUP"],
        (os.environ["RABBITKEEPER_USER"], os.environ["RABBITKEEPER_PASSWORD"]),
    )
    client.declare(
        Exchange("shop-pika", "direct"), Queue("orders-pika"), Binding("shop-pika", "orders-pika", "order")
    )
    return client


def publish(first: int, last: int) -> None:
    """Each order until it is confirmed."""
    with connected() as client:
        for number in range(first, last + 1):
            client.publish("shop-pika", "order", f"order {number}".encode())
            print(f"confirmed: order {number}", flush=True)
            time.sleep(0.05)


def consume() -> None:
    """For ever."""
    with connected() as client:
        for message in client.consume("orders-pika", prefetch=100):
            print(f"received: {message.body.decode()}", flush=True)
            message.ack()


if __name__ == "__main__":
    if sys.argv[1] == "publish":
        publish(int(sys.argv[2]), int(sys.argv[3]))
    else:
        consume()
