"""Publish ten messages to a durable fanout exchange. Kill the leader's broker meanwhile: it goes on.

python producer.py ZOOKEEPER GROUP USER          (the password is taken from RABBITKEEPER_PASSWORD)
"""

import os
import sys
import time

from rabbitkeeper.client import Binding, Client, Exchange, Queue

zookeeper, group, user = sys.argv[1:4]

with Client(zookeeper, group, (user, os.environ["RABBITKEEPER_PASSWORD"])) as client:
    client.declare(
        Exchange("my-exchange", "fanout"),  # durable
        Queue("my-queue"),  # durable, and a quorum queue: on a majority of the brokers
        Binding("my-exchange", "my-queue"),
    )
    for number in range(1, 11):
        text = f"Message {number}"
        client.publish("my-exchange", "", text.encode())  # returns when it is confirmed
        print(f"confirmed by {client.status().member}: {text}", flush=True)
        time.sleep(1)
