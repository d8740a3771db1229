"""A member as it is in production: an agent, which runs its broker itself."""

import copy
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from types import MappingProxyType
from typing import Any

from rabbitkeeper.agent.broker.drivers import node_files
from rabbitkeeper.agent.broker.drivers.node_files import NodeSettings
from rabbitkeeper.agent.broker.drivers.process_id import ProcessId
from rabbitkeeper.agent.config.strict_yaml import written
from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtl
from rabbitkeeper.agent.rabbitmq.runner import LocalRunner
from rabbitkeeper.compose.local.errors import LocalError
from rabbitkeeper.compose.local.guardian import Child, Guardian, last_lines
from rabbitkeeper.compose.local.network import InNetwork

_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH")
_GONE_WITHIN = 10.0  # seconds from SIGKILL to the end


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """What all agents of a group are told.

    Args:
        group: its name.
        zookeeper_hosts: connection string.
        session_timeout: seconds.
        server: RabbitMQ's own start script.
        extra: sections of the agents' configuration that replace what would be written, key by key.
    """

    group: str
    zookeeper_hosts: str
    session_timeout: float
    server: Path
    extra: Mapping[str, Any] = field(default_factory=dict)


class AgentMember:
    """One agent, started through the guardian, and the broker that it starts.

    Args:
        guardian: starts the agent, and inherits the broker when the agent dies.
        group: what all agents are told.
        name: the member's name.
        settings: the node's.
        extra: sections of its agent's configuration that go before the group's.
        api: host and port of its HTTP API; None: it has none.
        enter: put before commands, to run them in the member's own network.
    """

    def __init__(
        self,
        guardian: Guardian,
        group: GroupSettings,
        name: str,
        settings: NodeSettings,
        extra: Mapping[str, Any] = MappingProxyType({}),
        api: tuple[str, int] | None = None,
        enter: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.settings = settings
        self.api = api
        self.api_token = token_urlsafe(18)
        self.ctl = RabbitmqCtl(
            group.server.with_name("rabbitmqctl"),
            settings.node,
            InNetwork(LocalRunner(node_files.environment(settings)), enter),
        )
        self._enter = enter
        self._guardian = guardian
        self._group = group
        self._extra = extra
        self._child: Child | None = None

    @property
    def log(self) -> Path:
        """The agent's own log; the broker's are beside it."""
        return self.settings.logs / "agent.log"

    @property
    def api_token_file(self) -> Path:
        """What it reads :attr:`api_token` from."""
        return self.settings.directory / "secrets" / "token"

    @property
    def agent_pid(self) -> int | None:
        """The agent's pid; None when it is not running."""
        return self._child.pid if self._child is not None and self._child.running else None

    @property
    def broker_pid(self) -> int | None:
        """The broker's pid; None when it is not running."""
        broker = self._broker()
        return None if broker is None else broker.pid

    def spawn(self) -> None:
        """Start the agent, unless it runs."""
        if self.agent_pid is not None:
            return
        config = self._write_config()
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        self._child = self._guardian.spawn(
            f"the agent of {self.name}",
            [*self._enter, sys.executable, "-m", "rabbitkeeper.agent", config],
            env={**environment, "PYTHONUNBUFFERED": "1"},
            log=self.log,
            cwd=self.settings.directory,
        )

    def check(self) -> None:
        """Raise if the agent has ended by itself.

        Raises:
            LocalError: it has; with the last lines of its log.
        """
        if self._child is not None and self._child.status is not None:
            raise LocalError(
                f"{self._child.name} ended with status {self._child.status}; last lines of {self.log}:\n"
                f"{last_lines(self.log)}"
            )

    def end_agent(self, grace: float) -> None:
        """SIGTERM to the agent, after ``grace`` seconds (at once for 0) SIGKILL; returns when it is gone."""
        if self._child is not None:
            self._child.end(grace)

    def kill_broker(self) -> None:
        """SIGKILL the broker; returns when it is gone."""
        broker = self._broker()
        if broker is not None and broker.signal(signal.SIGKILL) and not broker.wait(_GONE_WITHIN):
            raise LocalError(f"the broker of {self.name} (pid {broker.pid}) is still there after SIGKILL")

    def signal_broker(self, number: signal.Signals) -> None:
        """Send the broker a signal.

        Raises:
            LocalError: it is not running.
        """
        broker = self._broker()
        if broker is None or not broker.signal(number):
            raise LocalError(f"the broker of {self.name} is not running; its agent says why in {self.log}")

    def _broker(self) -> ProcessId | None:
        broker = ProcessId.read(self.settings.pid_file)
        return broker if broker is not None and broker.alive else None

    def _write_config(self) -> Path:
        host, port = self.settings.listen
        username, password = self.settings.user
        secrets = self.settings.directory / "secrets"
        for folder in (secrets, self.settings.logs):
            folder.mkdir(parents=True, exist_ok=True)
        node_files.write_private(secrets / "password", password, 0o600)
        node_files.write_private(secrets / "cookie", self.settings.cookie or "", 0o600)
        config: dict[str, Any] = {
            "group": self._group.group,
            "name": self.name,
            "zookeeper": {
                "hosts": self._group.zookeeper_hosts,
                "session_timeout": self._group.session_timeout,
            },
            "broker": {
                "driver": "process",
                "node": self.settings.node,
                "amqp": {
                    "host": host,
                    "port": port,
                    "username": username,
                    "password_file": str(secrets / "password"),
                },
                "process": {
                    "server": str(self._group.server),
                    "directory": str(self.settings.directory),
                    "cookie_file": str(secrets / "cookie"),
                    "environment": dict(self.settings.environment),
                    "config": self.settings.config,
                },
            },
        }
        if self.api is not None:
            node_files.write_private(self.api_token_file, self.api_token, 0o600)
            config["http"] = {
                "listen": f"{self.api[0]}:{self.api[1]}",
                "token_file": str(self.api_token_file),
            }
        file = self.settings.directory / "agent.yml"
        config = _merged(_merged(config, self._group.extra), self._extra)
        file.write_text(written(config))
        return file


def _merged(config: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(dict(config))
    for key, value in extra.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if both else value
    return result
