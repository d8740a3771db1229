"""``broker``: the one broker that the agent looks after, and how it gets at it."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, model_validator

from rabbitkeeper.agent.config.fields import FilePath, HostPort, Port, Section, Text, node_name, problem
from rabbitkeeper.agent.config.file import resolve_secret
from rabbitkeeper.agent.config.tls import BrokerTlsConfig


class AmqpConfig(Section):
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
    tls: BrokerTlsConfig | None = None  # for a port that speaks TLS

    @model_validator(mode="before")
    @classmethod
    def _password_from_one_place(cls, data: object, info: ValidationInfo) -> object:
        return resolve_secret(data, info.context or {})


class AdvertiseConfig(Section):
    """``broker.advertise``: what clients connect to. ``amqp`` defaults to ``broker.amqp``'s host and port."""

    amqp: HostPort | None = None
    amqps: HostPort | None = None


class ProcessConfig(Section):
    """``broker.process``: how the agent runs the broker as a child of its own."""

    server: FilePath = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the server's own script
    directory: FilePath  # home, configuration, data and logs are below it
    cookie_file: FilePath | None = None  # the Erlang cookie of the cluster; None: Erlang makes one
    environment: dict[str, str] = Field(default_factory=dict)
    config: str = ""  # lines added to the rabbitmq.conf that the agent writes
    boot_timeout: Annotated[float, Field(ge=5, le=3600, allow_inf_nan=False)] = 120.0
    stop_with_agent: bool = True  # SIGTERM to the agent stops the broker too


class BrokerConfig(Section):
    """``broker``: the one broker that this agent looks after."""

    driver: Literal["process", "external"]
    node: Annotated[str, AfterValidator(node_name)]  # Erlang node name
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
            raise problem(
                "process",
                "is missing, and driver process needs it; give at least broker.process.directory, "
                "or set broker.driver: external",
            )
        if self.driver != "process" and self.process is not None:
            raise problem(
                "process", f"is not used by driver {self.driver}; remove it or set broker.driver: process"
            )
        if self.amqp.host in ("0.0.0.0", "::") and self.advertise.amqp is None:  # noqa: S104
            raise problem(
                "amqp.host",
                f"is {self.amqp.host!r}, which no client can connect to; "
                "give an address, or set broker.advertise.amqp",
            )
        return self
