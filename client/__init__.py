"""The SDK: producers and consumers that move to a healthy broker by themselves."""

import logging

from rabbitkeeper.client import events
from rabbitkeeper.client.aio.client import AsyncClient
from rabbitkeeper.client.aio.consuming import AsyncConsumer, AsyncWorkers
from rabbitkeeper.client.aio.publishing import PublishHandle
from rabbitkeeper.client.amqp.properties import message_properties
from rabbitkeeper.client.client import Client
from rabbitkeeper.client.consume.consumer import Consumer
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.workers import Workers
from rabbitkeeper.client.event_log import EventLog
from rabbitkeeper.client.model.backoff import Backoff
from rabbitkeeper.client.model.credentials import Credentials
from rabbitkeeper.client.model.errors import (
    AgentsUnreachable,
    Blocked,
    Closed,
    InvalidArgument,
    Nacked,
    NoLeader,
    NoReply,
    NotAuthorized,
    PublishError,
    PublishInterrupted,
    PublishUnknown,
    RabbitKeeperError,
    TopologyError,
    Unroutable,
    WrongThread,
)
from rabbitkeeper.client.model.status import LastSwitch, Unconfirmed
from rabbitkeeper.client.model.topology import Binding, Exchange, ExchangeBinding, Queue
from rabbitkeeper.client.publish.future import Receipt
from rabbitkeeper.client.status import Leader, Status
from rabbitkeeper.coordinator.json_lines import JsonLines
from rabbitkeeper.coordinator.model.errors import UnknownGroup, ZooKeeperUnreachable
from rabbitkeeper.coordinator.tls import client_context

__all__ = [
    "AgentsUnreachable",
    "AsyncClient",
    "AsyncConsumer",
    "AsyncWorkers",
    "Backoff",
    "Binding",
    "Blocked",
    "Client",
    "Closed",
    "Consumer",
    "Credentials",
    "EventLog",
    "Exchange",
    "ExchangeBinding",
    "InvalidArgument",
    "JsonLines",
    "LastSwitch",
    "Leader",
    "Message",
    "Nacked",
    "NoLeader",
    "NoReply",
    "NotAuthorized",
    "PublishError",
    "PublishHandle",
    "PublishInterrupted",
    "PublishUnknown",
    "Queue",
    "RabbitKeeperError",
    "Receipt",
    "Status",
    "TopologyError",
    "Unconfirmed",
    "UnknownGroup",
    "Unroutable",
    "Workers",
    "WrongThread",
    "ZooKeeperUnreachable",
    "client_context",
    "events",
    "message_properties",
]

# Whether and where something is logged is the application's to say; without any handler Python would print
# warnings to stderr. At the top, for the client's ZooKeeper session logs below "rabbitkeeper.coordinator".
logging.getLogger("rabbitkeeper").addHandler(logging.NullHandler())
