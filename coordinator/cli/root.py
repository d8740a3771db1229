"""The root of the command: options that all subcommands share, and lazy loading of the subcommands.

A subcommand that reads a group takes the :class:`ChosenGroup` with ``click.pass_obj``.
"""

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Any

import click

from rabbitkeeper.coordinator.backend.access import BackendAccess, check_identity
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.cli.output import say
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.first_line import first_line
from rabbitkeeper.coordinator.model.errors import (
    AccessDenied,
    ConfigurationError,
    RabbitKeeperError,
    UnknownGroup,
    ZooKeeperUnreachable,
)
from rabbitkeeper.coordinator.model.paths import ROOT, GroupPaths
from rabbitkeeper.coordinator.model.text import printable
from rabbitkeeper.coordinator.policy.exposure import standing
from rabbitkeeper.coordinator.tls import client_context

ENTRY_POINTS = "rabbitkeeper.commands"
CONNECT_TIMEOUT = 5.0  # seconds
FORMATS = ("table", "json", "yaml")


@dataclass(frozen=True, slots=True)
class ChosenGroup:
    """Which group is meant, and how to show it."""

    zookeeper: str | None
    group: str | None
    output: str
    access: BackendAccess = field(default_factory=BackendAccess)

    @contextmanager
    def backend(self) -> Iterator[tuple[Backend, str]]:
        """A started backend and the group's name.

        Raises:
            click.UsageError: ZooKeeper's hosts or the group were not given.
            CoordinationError: ZooKeeper did not answer.
        """
        if not self.zookeeper:
            raise click.UsageError("Which ZooKeeper? Give -z HOSTS or set RABBITKEEPER_ZOOKEEPER.")
        if not self.group:
            raise click.UsageError("Which group? Give -g GROUP or set RABBITKEEPER_GROUP.")
        backend = backend_at(self.zookeeper, name="rabbitkeeper", access=self.access)
        backend.start(CONNECT_TIMEOUT)
        try:
            backend.adopt_acl(GroupPaths(self.group).root)
            yield backend, self.group
        finally:
            backend.close()


def exposures(backend: Backend, group: str, identity: tuple[str, str] | None) -> list[str]:
    """Who may do more with the group's nodes than its agents and operators, a sentence each."""
    try:
        permissions = backend.permissions(GroupPaths(group).root)
        parent = backend.permissions(ROOT)
    except AccessDenied:
        return []  # only those who may write can see it
    if permissions is not None and permissions.open:
        return ["everybody who reaches ZooKeeper can change this group, and send its clients anywhere"]
    if permissions is None or identity is None:
        return []
    found = standing(permissions, parent, identity[0])
    return [*([found.refusal] if found.refusal else []), *found.warnings]


class Commands(click.Group):
    """Finds subcommands among the entry points, and turns our errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_entry_points())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = _entry_points().get(cmd_name)
        return None if found is None else _load(found)

    def main(self, *args: Any, **options: Any) -> Any:
        """A pipe that is broken ends it quietly (that is click's), a full disk with a line; neither in a
        traceback, nor in one when the interpreter flushes what is left."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a locale that lacks a character
        try:
            return super().main(*args, **options)
        except OSError as error:
            with contextlib.suppress(OSError):
                click.echo(f"rabbitkeeper: it cannot be written: {error.strerror or error}", err=True)
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.message = printable(error.message)  # type: ignore[misc]  # click shows what it was given
            raise
        except RabbitKeeperError as error:
            say(f"rabbitkeeper: {error}", err=True)
            bad_input = isinstance(error, ConfigurationError | UnknownGroup | ZooKeeperUnreachable)
            ctx.exit(2 if bad_input else 1)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-z",
    "--zookeeper",
    envvar="RABBITKEEPER_ZOOKEEPER",
    show_envvar=True,
    metavar="HOSTS",
    help="host:port[,host:port...][/chroot]",
)
@click.option("-g", "--group", envvar="RABBITKEEPER_GROUP", show_envvar=True, help="The group's name.")
@click.option("-o", "--output", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option(
    "--zookeeper-auth",
    envvar="RABBITKEEPER_ZOOKEEPER_AUTH_FILE",
    show_envvar=True,
    metavar="FILE",
    help="A file whose first line is USER:PASSWORD for ZooKeeper's digest scheme.",
)
@click.option(
    "--zookeeper-ca",
    envvar="RABBITKEEPER_ZOOKEEPER_CA",
    show_envvar=True,
    metavar="FILE",
    help="Connect to ZooKeeper with TLS and trust these authorities (PEM).",
)
@click.option(
    "--zookeeper-certificate",
    envvar="RABBITKEEPER_ZOOKEEPER_CERTIFICATE",
    show_envvar=True,
    metavar="FILE",
    help="The command's own certificate and key (PEM), if ZooKeeper wants one.",
)
@click.version_option(version("rabbitkeeper"), prog_name="rabbitkeeper")
@click.pass_context
def root(
    context: click.Context,
    zookeeper: str | None,
    group: str | None,
    output: str,
    zookeeper_auth: str | None,
    zookeeper_ca: str | None,
    zookeeper_certificate: str | None,
) -> None:
    """Failover for RabbitMQ, coordinated through ZooKeeper."""
    # What the session logs of a broken connection is said by the error, once.
    logging.getLogger("rabbitkeeper").addHandler(logging.NullHandler())
    context.obj = ChosenGroup(
        zookeeper, group, output, _access(zookeeper_auth, zookeeper_ca, zookeeper_certificate)
    )


def _access(auth: str | None, ca: str | None, certificate: str | None) -> BackendAccess:
    secure = ca is not None or certificate is not None
    return BackendAccess(
        identity=None if auth is None else read_identity(Path(auth)),
        tls=client_context(ca, certificate, where="--zookeeper") if secure else None,
    )


def read_identity(file: Path, option: str = "--zookeeper-auth") -> tuple[str, str]:
    """The identity in a file's first line, USER:PASSWORD.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        user, _, password = first_line(file).partition(":")
    except ValueError as error:
        raise ConfigurationError(f"{option} {file} cannot be read: {error}") from None
    return check_identity(user, password)


def _entry_points() -> dict[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=ENTRY_POINTS)}


def _load(found: EntryPoint) -> click.Command:
    try:
        command = found.load()
    except Exception as error:  # noqa: BLE001 - somebody else's module; whatever it raises, the others work
        return _broken(found.name, f"{found.value} cannot be imported: {error}")
    if not isinstance(command, click.Command):
        return _broken(found.name, f"{found.value} is not a click command")
    return command


def _broken(name: str, why: str) -> click.Command:
    def fail() -> None:
        raise click.ClickException(f"the subcommand {name} does not work: {why}")

    return click.Command(name, callback=fail, help=f"Not usable: {why}", short_help="Not usable.")
