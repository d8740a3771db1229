"""Orders with pika: a list of brokers, and what a program does by itself when one goes.

python pika_before.py publish FIRST LAST
python pika_before.py consume                until Ctrl-C
"""

import os
import sys
import time
from uuid import uuid4

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

BROKERS = [pika.URLParameters(url) for url in os.environ["AMQP_URLS"].split(",")]


def connected() -> BlockingChannel:
    """A channel at the first broker that answers, with everything declared."""
    while True:
        try:
            channel = pika.BlockingConnection(BROKERS).channel()
            channel.exchange_declare("shop-pika", "direct", durable=True)
            channel.queue_declare("orders-pika", durable=True, arguments={"x-queue-type": "quorum"})
            channel.queue_bind("orders-pika", "shop-pika", "order")
            channel.confirm_delivery()
            channel.basic_qos(prefetch_count=100)
        except AMQPError:
            time.sleep(1)
        else:
            return channel


def publish(first: int, last: int) -> None:
    """Each order until it is confirmed."""
    channel = connected()
    for number in range(first, last + 1):
        properties = pika.BasicProperties(delivery_mode=2, message_id=str(uuid4()))
        while True:
            try:
                channel.basic_publish(
                    "shop-pika", "order", f"order {number}".encode(), properties, mandatory=True
                )
                break
            except AMQPError:
                time.sleep(1)
                channel = connected()
        print(f"confirmed: order {number}", flush=True)
        time.sleep(0.05)
    channel.connection.close()


def consume() -> None:
    """For ever."""
    while True:
        channel = connected()
        try:
            for method, _properties, body in channel.consume("orders-pika"):
                print(f"received: {body.decode()}", flush=True)
                channel.basic_ack(method.delivery_tag)
        except AMQPError:
            time.sleep(1)


if __name__ == "__main__":
    if sys.argv[1] == "publish":
        publish(int(sys.argv[2]), int(sys.argv[3]))
    else:
        consume()
