"""Consume from a queue and ack by hand. Kill the leader's broker meanwhile: it goes on.

python consumer.py ZOOKEEPER GROUP USER          (the password is taken from RABBITKEEPER_PASSWORD)
"""

import os
import sys

from rabbitkeeper.client import Binding, Client, Exchange, Queue

zookeeper, group, user = sys.argv[1:4]

with Client(zookeeper, group, (user, os.environ["RABBITKEEPER_PASSWORD"])) as client:
    client.declare(
        Exchange("my-exchange", "fanout"),
        Queue("my-queue"),
        Binding("my-exchange", "my-queue"),
    )
    print("waiting for messages; Ctrl-C ends", flush=True)
    try:
        for message in client.consume("my-queue", prefetch=100):
            again = " (delivered again)" if message.redelivered else ""
            print(f"received: {message.body.decode()}{again}", flush=True)
            message.ack()
    except KeyboardInterrupt:
        print("done")
