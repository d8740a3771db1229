"""What a RabbitMQ node needs around it to run as a foreground child: folders, settings, environment.

Every path that RabbitMQ would otherwise look for below /etc and /var is set, so that nodes on one host
share nothing and a package's own configuration has no say. Nothing is started here.

The layout below the node's directory: ``home`` (the Erlang cookie), ``etc`` (rabbitmq.conf), ``data``,
``log``, ``run`` (who runs, see ``process_id.py``).
"""

import errno
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rabbitkeeper.agent.broker.drivers.base import BrokerStartFailed
from rabbitkeeper.agent.rabbitmq.recommended import advanced_config, conf_lines
from rabbitkeeper.agent.rabbitmq.versions import Version
from rabbitkeeper.coordinator.model.errors import ConfigurationError, RabbitKeeperError

# Taken from the agent's own environment; all else would let one node's settings leak into another's.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE")

_OURS = "%% Written by RabbitKeeper at each start; take this line away to keep your own.\n"

_PRIVATE = 0o700

_MISTAKES = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ELOOP,
        errno.ENAMETOOLONG,
    }
)
"""Errors of a folder that is the wrong one; all others are of the disk, or of this host, and may pass."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

_KEY = re.compile(r"^\s*([A-Za-z0-9_.$-]+)\s*=", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """One RabbitMQ node, as much as its files depend on.

    Args:
        node: Erlang node name.
        directory: where its folders are.
        listen: host and port that it listens on for AMQP; a host that is no IP address: all interfaces.
        user: the agents' user and password, made on the first boot of an empty node.
        cookie: the cluster's Erlang cookie; None: Erlang makes one.
        version: of the server, which says what it is best configured with; None: not known.
        config: lines added to rabbitmq.conf; a key given here replaces the line that would be written.
        environment: added to the environment, and stronger than what would be set.
        management_port: of the management API, on loopback; None: its plugin is left as it is.
    """

    node: str
    directory: Path
    listen: tuple[str, int]
    user: tuple[str, str] = field(repr=False)
    cookie: str | None = field(default=None, repr=False)
    version: Version | None = None
    config: str = field(default="", repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)
    management_port: int | None = None

    @property
    def home(self) -> Path:
        return self.directory / "home"

    @property
    def config_file(self) -> Path:
        return self.directory / "etc" / "rabbitmq.conf"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def logs(self) -> Path:
        return self.directory / "log"

    @property
    def output(self) -> Path:
        """Standard output and error of the server."""
        return self.logs / "output.log"

    @property
    def pid_file(self) -> Path:
        return self.directory / "run" / "broker"


def environment(settings: NodeSettings) -> dict[str, str]:
    """The environment of the server and of its command-line tools."""
    etc = settings.config_file.parent
    host = settings.node.partition("@")[2]
    return {
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
        "HOME": str(settings.home),
        "RABBITMQ_NODENAME": settings.node,
        "RABBITMQ_USE_LONGNAME": "true" if "." in host else "false",
        "RABBITMQ_CONF_ENV_FILE": str(etc / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(settings.config_file),
        "RABBITMQ_CONFIG_FILES": str(etc / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(etc / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(etc / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(settings.data),
        "RABBITMQ_LOG_BASE": str(settings.logs),
        "RABBITMQ_PID_FILE": str(settings.pid_file.with_name("rabbitmq.pid")),
        # Foreground without a shell around it: the process that is started is the server itself.
        "RUNNING_UNDER_SYSTEMD": "true",
        "ERL_CRASH_DUMP": str(settings.logs / "erl_crash.dump"),
        **settings.environment,
    }


def rabbitmq_conf(settings: NodeSettings) -> str:
    """The text of rabbitmq.conf.

    Raises:
        ConfigurationError: the user's name or password cannot be written in that format.
    """
    given = set(_KEY.findall(settings.config))
    for what, value in zip(("username", "password"), settings.user, strict=True):
        if not _writable(value):
            raise ConfigurationError(
                f"broker.amqp.{what} is empty or has a character that rabbitmq.conf cannot hold ('#', a "
                "quote, a backslash, a control character, a blank at an end); choose another"
            )
    host, port = settings.listen
    name, password = settings.user
    lines = [
        ("default_user", name),
        ("default_pass", password),
        # "guest" is not made, so nothing needs to be kept to loopback
        ("loopback_users", "none"),
        ("log.console", "false"),
        # RabbitMQ never rotates its log by itself, and nobody else does for a node of ours.
        ("log.file.rotation.size", str(10 * 1024 * 1024)),
        ("log.file.rotation.count", "5"),
        *conf_lines(settings.version),
    ]
    if any(key.startswith("log.file.rotation") for key in given):
        lines = [(key, value) for key, value in lines if not key.startswith("log.file.rotation")]
    if not any(key.startswith("listeners.tcp") for key in given):
        lines.append(_listener(host, port))
    if settings.management_port is not None and not any(key.startswith("management.") for key in given):
        lines += [("management.tcp.ip", "127.0.0.1"), ("management.tcp.port", str(settings.management_port))]
    written = [f"{key} = {value}" for key, value in lines if key not in given]
    return "\n".join([*written, *settings.config.splitlines(), ""])


def write(settings: NodeSettings) -> None:
    """Make the folders and write the files. Data and logs that are there stay.

    Raises:
        ConfigurationError: a folder or file cannot be written with these settings, or see
            :func:`rabbitmq_conf`.
        BrokerStartFailed: one cannot be written now: the disk is full, or ill.
    """
    text = rabbitmq_conf(settings)
    etc = settings.config_file.parent
    try:
        settings.directory.mkdir(_PRIVATE, parents=True, exist_ok=True)
        etc.mkdir(exist_ok=True)
        etc.chmod(_PRIVATE)
        for folder in (settings.home, etc / "conf.d", settings.data, settings.logs, settings.pid_file.parent):
            folder.mkdir(parents=True, exist_ok=True)
            # Data and logs hold messages and names, home the cookie, run what could have us signal anybody.
            folder.chmod(_PRIVATE)
        write_private(settings.config_file, text, 0o600)
        (etc / "rabbitmq-env.conf").write_text("")
        _write_advanced(etc / "advanced.config", advanced_config(settings.version))
        if not (etc / "enabled_plugins").exists():
            _replace(etc / "enabled_plugins", "[].\n")
        if settings.management_port is not None:
            _enable(etc / "enabled_plugins", "rabbitmq_management")
        if settings.cookie is not None:
            write_private(settings.home / ".erlang.cookie", settings.cookie, 0o400)
    except OSError as error:
        raise unwritable(settings.directory, error) from None


def unwritable(directory: Path, error: OSError) -> RabbitKeeperError:
    """What it means that something in the broker's folder cannot be written.

    Args:
        directory: ``broker.process.directory``.
        error: why not.

    Returns:
        A ``ConfigurationError`` if the folder is not one that can be written to, a ``BrokerStartFailed`` if
        that may pass: the disk is full, or ill, or this host is out of something.
    """
    what = f"{error.filename or 'a file'} in it cannot be written: {error.strerror}"
    said = f"broker.process.directory is {str(directory)!r}, and {what}"
    if error.errno in _MISTAKES:
        return ConfigurationError(f"{said}; give a folder that this user can write to")
    if error.errno in _FULL:
        return BrokerStartFailed(f"{said}; make room, and it is started")
    return BrokerStartFailed(said)


def _write_advanced(path: Path, terms: str | None) -> None:
    """Write advanced.config, or remove what we wrote before; one that an operator has put there stays."""
    if path.exists() and not path.read_text().startswith(_OURS):
        return
    if terms is None:
        path.unlink(missing_ok=True)
    else:
        _replace(path, _OURS + terms)


def _enable(file: Path, plugin: str) -> None:
    """Add a plugin to those that are enabled, which are one Erlang list of atoms."""
    enabled = re.findall(r"[a-z][a-z0-9_]*", file.read_text())
    if plugin not in enabled:
        _replace(file, f"[{','.join([*enabled, plugin])}].\n")


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all: one that a full disk has cut off would be read like any other."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


def _listener(host: str, port: int) -> tuple[str, str]:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "listeners.tcp.default", str(port)
    return "listeners.tcp.1", f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _writable(value: str) -> bool:
    return value != "" and value.isprintable() and value == value.strip() and not set(value) & set("#'\"\\")


def write_private(path: Path, text: str, mode: int) -> None:
    """Write a file that others cannot read, not even for a moment, and replace the old one at once."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.replace(path)
