"""ZooKeeper, RabbitMQ and agents as child processes on loopback: for tests, benchmarks and the demo."""

from rabbitkeeper.compose.local.errors import LocalError
from rabbitkeeper.compose.local.group import Local

__all__ = ["Local", "LocalError"]
