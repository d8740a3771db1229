"""What ``publish`` and ``consume`` share: the options that name the user, and the client made of them."""

import os
from collections.abc import Callable
from pathlib import Path

import click

from rabbitkeeper.client.client import Client
from rabbitkeeper.coordinator.cli.root import ChosenGroup
from rabbitkeeper.coordinator.first_line import first_line
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.tls import client_context


def connects(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options; the password comes from a file or the environment, as command lines are no secret."""
    for option in (
        click.option("--ca", metavar="FILE", help="Connect with TLS and trust these authorities (PEM)."),
        click.option(
            "--allow",
            "allowed",
            multiple=True,
            metavar="HOST",
            help="Connect to this broker or network only; can be repeated.",
        ),
        click.option("--vhost", default="/", show_default=True, help="The virtual host."),
        click.option(
            "--password-file",
            envvar="RABBITKEEPER_PASSWORD_FILE",
            show_envvar=True,
            metavar="FILE",
            help="A file whose first line is the password; or set RABBITKEEPER_PASSWORD.",
        ),
        click.option(
            "-u",
            "--user",
            envvar="RABBITKEEPER_USER",
            show_envvar=True,
            default="guest",
            show_default=True,
            help="The user at the brokers.",
        ),
    ):
        command = option(command)
    return command


def connect(
    chosen: ChosenGroup,
    *,
    user: str,
    password_file: str | None,
    vhost: str,
    ca: str | None,
    allowed: tuple[str, ...] = (),
) -> Client:
    """A client of the group that is meant.

    Raises:
        click.UsageError: ZooKeeper's hosts, the group or the password were not given.
        ConfigurationError: the password's file cannot be read.
        RabbitKeeperError: what :class:`Client` raises.
    """
    if not chosen.zookeeper:
        raise click.UsageError("Which ZooKeeper? Give -z HOSTS or set RABBITKEEPER_ZOOKEEPER.")
    if not chosen.group:
        raise click.UsageError("Which group? Give -g GROUP or set RABBITKEEPER_GROUP.")
    return Client(
        chosen.zookeeper,
        chosen.group,
        (user, _password(password_file)),
        virtual_host=vhost,
        zookeeper_auth=chosen.access.identity,
        zookeeper_tls=chosen.access.tls,
        tls=None if ca is None else client_context(ca, None, where="--ca"),
        allowed_brokers=allowed or None,
    )


def _password(file: str | None) -> str:
    if file is not None:
        try:
            first = first_line(Path(file))
        except ValueError as error:
            raise ConfigurationError(
                f"--password-file {file}: no password can be read: {error}; its first line is the password"
            ) from None
        if not first:
            raise ConfigurationError(f"--password-file {file}: its first line is empty, and is the password")
        return first
    password = os.environ.get("RABBITKEEPER_PASSWORD")
    if password is None:
        raise click.UsageError("Which password? Give --password-file FILE or set RABBITKEEPER_PASSWORD.")
    return password
