"""The SDK: producers and consumers that move to a healthy broker by themselves."""

from rabbitkeeper.client.client import Client, Receipt
from rabbitkeeper.client.errors import (
    Blocked,
    Closed,
    InvalidArgument,
    Nacked,
    NoLeader,
    NotAuthorized,
    PublishError,
    PublishUnknown,
    RabbitKeeperError,
    TopologyError,
    Unroutable,
    WrongThread,
)
from rabbitkeeper.client.message import Message
from rabbitkeeper.client.status import Leader, Status, Unconfirmed
from rabbitkeeper.client.topology import Binding, Exchange, Queue

__all__ = [
    "Binding",
    "Blocked",
    "Client",
    "Closed",
    "Exchange",
    "InvalidArgument",
    "Leader",
    "Message",
    "Nacked",
    "NoLeader",
    "NotAuthorized",
    "PublishError",
    "PublishUnknown",
    "Queue",
    "RabbitKeeperError",
    "Receipt",
    "Status",
    "TopologyError",
    "Unconfirmed",
    "Unroutable",
    "WrongThread",
]
