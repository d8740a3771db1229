"""What a container of the demo is told: environment variables, and secrets as files."""

import os
import sys
import time
from pathlib import Path

from rabbitkeeper.client import Client, NoLeader, NotAuthorized
from rabbitkeeper.coordinator.backend.access import BackendAccess
from rabbitkeeper.coordinator.cli.root import read_identity
from rabbitkeeper.coordinator.model.errors import UnknownGroup, ZooKeeperUnreachable

SECRETS = Path("/run/secrets")
APPLICATION = "app"  # the application's user
PATIENCE = 300.0  # seconds for the group to be formed and the user to be made
RETRY = 1.0  # seconds


def group() -> str:
    return os.environ["GROUP"]


def zookeeper() -> str:
    """The connection string."""
    return os.environ["ZOOKEEPER"]


def access() -> BackendAccess:
    """Who this container is to ZooKeeper."""
    return BackendAccess(read_identity(Path(os.environ["RABBITKEEPER_ZOOKEEPER_AUTH_FILE"])))


def members() -> tuple[str, ...]:
    """The names of all members."""
    return tuple(os.environ["MEMBERS"].split(","))


def secret(name: str) -> str:
    return (SECRETS / name).read_text().strip()


def application() -> tuple[str, str]:
    """The application's user and password."""
    return APPLICATION, secret("app_password")


def connect(name: str) -> Client:
    """A client of the group, as soon as there is a group and the application's user in it.

    Raises:
        RabbitKeeperError: not in time.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return Client(zookeeper(), group(), application(), zookeeper_auth=access().identity, name=name)
        except (NoLeader, NotAuthorized, UnknownGroup, ZooKeeperUnreachable) as error:
            if time.monotonic() > deadline:
                raise
            wait_because(error)


def wait_because(error: Exception) -> None:
    """Say why this has to wait, and wait a little."""
    print(f"waiting: {error}", file=sys.stderr, flush=True)  # noqa: T201
    time.sleep(RETRY)
