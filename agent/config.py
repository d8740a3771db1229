"""The agent's configuration: one YAML file, validated as a whole before anything is touched.

Here are the settings, their units and defaults, and the contradictions that are refused; ``config_file.py``
reads the file and turns what is wrong into sentences. Nothing here opens a connection.

All times are in seconds.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from rabbitkeeper.agent.config_file import read_settings, resolve_password, validated
from rabbitkeeper.coordinator.errors import InvalidName
from rabbitkeeper.coordinator.paths import check_name
from rabbitkeeper.coordinator.records import Tags

OPERATION_TIMEOUT = 2.0  # the longest that one ZooKeeper operation keeps the agent's loop waiting
WATCHDOG_MARGIN = 0.5  # what a loop may need besides, on a busy host

_NODE = re.compile(r"[A-Za-z0-9_-]+@[A-Za-z0-9_.-]+")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):([0-9]{1,5})")


def _problem(key: str, message: str) -> PydanticCustomError:
    """A problem with ``key`` of the model that is being validated ("" for the model itself)."""
    return PydanticCustomError("setting", "{message}", {"key": key, "message": message})


def _path(value: object, info: ValidationInfo) -> object:
    """Paths are relative to the file that names them."""
    if not isinstance(value, str):
        return value
    if not value:
        raise _problem("", "is empty; give a path")
    directory = (info.context or {}).get("directory", Path())
    return Path(directory) / Path(value).expanduser()


def _named(kind: str) -> AfterValidator:
    def check(value: str) -> str:
        try:
            return check_name(kind, value)
        except InvalidName as error:
            raise _problem("", f"is not valid: {str(error).split(': ', 1)[-1]}") from None

    return AfterValidator(check)


def _node(value: str) -> str:
    if not _NODE.fullmatch(value):
        raise _problem("", "is not an Erlang node name; give it as name@host, as in rabbit@host1")
    return value


def _host_port(value: str) -> str:
    match = _HOST_PORT.fullmatch(value)
    if not match or not 1 <= int(match[2]) <= 65535:
        raise _problem("", "is not host:port; give it as in 10.0.0.1:5672 or [::1]:5672")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise _problem("", "is empty; give it a value or leave the key out")
    return value


Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=100)]
Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, AfterValidator(_not_blank)]
FilePath = Annotated[Path, BeforeValidator(_path)]
HostPort = Annotated[str, AfterValidator(_host_port)]


class _Section(BaseModel):
    # Strict: YAML has types of its own, and a port given as "yes" or a time given as true is a mistake.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=False)


class ZooKeeperConfig(_Section):
    """``zookeeper``: where the group is coordinated."""

    hosts: Text  # host:port, comma separated
    session_timeout: Annotated[float, Field(ge=3, le=120, allow_inf_nan=False)] = 6.0
    connect_timeout: Annotated[float, Field(ge=0.5, le=600, allow_inf_nan=False)] = 10.0  # at the start

    @property
    def asked_timeout(self) -> float:
        """What ZooKeeper is asked for: a twelfth less than ``session_timeout``.

        ZooKeeper looks for dead sessions once a tick and ends them late rather than early, so that a node
        that is gone would otherwise be noticed after ``session_timeout`` as often as within it.
        """
        return self.session_timeout * 11 / 12


class AmqpConfig(_Section):
    """``broker.amqp``: how the agent itself connects to its broker.

    Exactly one of ``password``, ``password_file`` and ``password_env`` is given; whichever it is,
    ``password`` holds the value.
    """

    host: Text = "127.0.0.1"
    port: Port = 5672
    username: Text
    password: SecretStr
    password_file: FilePath | None = None  # its first line
    password_env: Text | None = None  # the name of an environment variable

    @model_validator(mode="before")
    @classmethod
    def _password_from_one_place(cls, data: object, info: ValidationInfo) -> object:
        return resolve_password(data, info.context or {})


class AdvertiseConfig(_Section):
    """``broker.advertise``: what clients connect to. ``amqp`` defaults to ``broker.amqp``'s host and port."""

    amqp: HostPort | None = None
    amqps: HostPort | None = None


class ProcessConfig(_Section):
    """``broker.process``: how the agent runs the broker as a child of its own."""

    server: FilePath = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the server's own script
    directory: FilePath  # home, configuration, data and logs are below it
    cookie_file: FilePath | None = None  # the Erlang cookie of the cluster; None: Erlang makes one
    environment: dict[str, str] = Field(default_factory=dict)
    config: str = ""  # lines added to the rabbitmq.conf that the agent writes
    boot_timeout: Annotated[float, Field(ge=5, le=3600, allow_inf_nan=False)] = 120.0
    stop_with_agent: bool = True  # SIGTERM to the agent stops the broker too


class BrokerConfig(_Section):
    """``broker``: the one broker that this agent looks after."""

    driver: Literal["process", "external"]
    node: Annotated[str, AfterValidator(_node)]  # Erlang node name
    amqp: AmqpConfig
    advertise: AdvertiseConfig = AdvertiseConfig()
    vhost: Text = "rabbitkeeper"  # the agents' own, where canaries are published
    rabbitmqctl: Text | None = None  # None: the one that belongs to the driver's server, or that of PATH
    process: ProcessConfig | None = None

    @property
    def advertised(self) -> str:
        """What clients connect to, as host:port."""
        if self.advertise.amqp is not None:
            return self.advertise.amqp
        host = f"[{self.amqp.host}]" if ":" in self.amqp.host else self.amqp.host
        return f"{host}:{self.amqp.port}"

    @model_validator(mode="after")
    def _process_section_belongs_to_its_driver(self) -> Self:
        if self.driver == "process" and self.process is None:
            raise _problem(
                "process",
                "is missing, and driver process needs it; give at least broker.process.directory, "
                "or set broker.driver: external",
            )
        if self.driver != "process" and self.process is not None:
            raise _problem(
                "process", f"is not used by driver {self.driver}; remove it or set broker.driver: process"
            )
        if self.amqp.host in ("0.0.0.0", "::") and self.advertise.amqp is None:  # noqa: S104
            raise _problem(
                "amqp.host",
                f"is {self.amqp.host!r}, which no client can connect to; "
                "give an address, or set broker.advertise.amqp",
            )
        return self


class HealthConfig(_Section):
    """``health``: how the broker is probed and when it counts as ill."""

    interval: Annotated[float, Field(ge=0.05, le=60, allow_inf_nan=False)] = 0.5  # between canaries
    hung_after: Seconds = 2.0  # a canary without an answer for so long: hung
    connect_timeout: Annotated[float, Field(ge=0.1, le=60, allow_inf_nan=False)] = 1.0
    fall: Count = 1  # failed reconnections until a broken connection counts
    rise: Count = 1  # confirmed canaries until a broker counts as running again
    start_grace: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 30.0
    majority_timeout: Annotated[float, Field(ge=0.5, le=120, allow_inf_nan=False)] = 5.0  # of one campaign

    @model_validator(mode="after")
    def _timings_agree(self) -> Self:
        if self.hung_after < self.interval:
            raise _problem(
                "hung_after",
                f"is {self.hung_after:g} s, shorter than health.interval ({self.interval:g} s): a canary "
                "would be given up before the next is due; "
                f"set hung_after to at least {self.interval:g}, better {4 * self.interval:g}",
            )
        return self


class TagsConfig(_Section):
    """``tags``: what the election and clients should know of this member."""

    priority: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    site: Text | None = None
    no_failover: bool = False

    @property
    def record(self) -> Tags:
        return Tags(priority=self.priority, site=self.site, no_failover=self.no_failover)


class WatchdogConfig(_Section):
    """``watchdog``: ends the agent when its loop has stopped.

    ``timeout`` defaults to 5 s, or to five sixths of a session timeout that is shorter than 6 s.
    """

    timeout: Annotated[float, Field(gt=0, le=120, allow_inf_nan=False)] | None = None


class LogConfig(_Section):
    level: Literal["debug", "info", "warning", "error"] = "info"


class AgentConfig(_Section):
    """One agent: the whole file."""

    group: Annotated[str, _named("group")]
    name: Annotated[str, _named("member")]
    zookeeper: ZooKeeperConfig
    broker: BrokerConfig
    health: HealthConfig = HealthConfig()
    tags: TagsConfig = TagsConfig()
    watchdog: WatchdogConfig = WatchdogConfig()
    log: LogConfig = LogConfig()

    @property
    def watchdog_timeout(self) -> float:
        """Seconds after which a stopped loop ends the process."""
        if self.watchdog.timeout is not None:
            return self.watchdog.timeout
        return min(5.0, self.zookeeper.session_timeout * 5 / 6)

    @model_validator(mode="after")
    def _timings_agree(self) -> Self:
        timeout, session = self.watchdog_timeout, self.zookeeper.asked_timeout
        least = OPERATION_TIMEOUT + WATCHDOG_MARGIN
        if timeout >= session:
            raise _problem(
                "watchdog.timeout",
                f"is {timeout:g} s, not shorter than the {session:g} s that a ZooKeeper session lasts "
                f"(eleven twelfths of zookeeper.session_timeout, {self.zookeeper.session_timeout:g} s): "
                f"a stopped agent would outlive its lease; set it to at most {session * 10 / 11:.3g}",
            )
        if timeout < least:
            raise _problem(
                "watchdog.timeout",
                f"is {timeout:g} s, shorter than the {least:g} s that a healthy loop may need "
                f"({OPERATION_TIMEOUT:g} s for one ZooKeeper operation and {WATCHDOG_MARGIN:g} s "
                f"besides); set it to {least:g} or more",
            )
        return self


def load(path: Path | str) -> AgentConfig:
    """Read and validate an agent's configuration file.

    Args:
        path: the YAML file; relative paths in it are relative to its folder.

    Raises:
        ConfigurationError: one line for each problem: the key's path, its value (never a secret's) and
            what would do.
    """
    path = Path(path)
    return validated(AgentConfig, read_settings(path), source=path)
