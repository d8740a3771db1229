"""``broker``: the one broker that the agent looks after, and how it gets at it."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, model_validator

from rabbitkeeper.agent.config.fields import (
    FilePath,
    HostPort,
    Port,
    Section,
    Text,
    check_url,
    host_of,
    node_name,
    problem,
    unit_name,
)
from rabbitkeeper.agent.config.file import resolve_secret
from rabbitkeeper.agent.config.tls import BrokerTlsConfig
from rabbitkeeper.coordinator.model.addresses import is_unspecified

# Each driver's section has the driver's name; here is the key that it cannot do without, if there is one.
_SECTIONS = {"process": "directory", "systemd": None, "docker": "container", "external": None}

CallTimeout = Annotated[float, Field(ge=1, le=60, allow_inf_nan=False)]


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
    """``broker.advertise``: what clients connect to.

    ``broker.amqp``'s host and port are the default of ``amqps`` if that port speaks TLS, else of ``amqp``.
    """

    amqp: HostPort | None = None
    amqps: HostPort | None = None


class ProcessConfig(Section):
    """``broker.process``: how the agent runs the broker as a child of its own."""

    server: FilePath = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the server's own script
    directory: FilePath  # home, configuration, data and logs are below it
    cookie_file: FilePath | None = None  # the Erlang cookie of the cluster; None: Erlang makes one
    environment: dict[str, str] = Field(default_factory=dict)
    config: str = ""  # lines added to the rabbitmq.conf that the agent writes
    stop_with_agent: bool = True  # SIGTERM to the agent stops the broker too


class SystemdConfig(Section):
    """``broker.systemd``: the broker is a unit."""

    unit: Annotated[str, AfterValidator(unit_name)] = "rabbitmq-server.service"
    systemctl: FilePath = Path("/usr/bin/systemctl")
    sudo: bool = False  # for start, stop and kill; without it polkit must allow this user to
    timeout: CallTimeout = 10.0  # of one systemctl
    stop_with_agent: bool = False


class DockerConfig(Section):
    """``broker.docker``: the broker is a container of its own, which exists already."""

    container: Text  # its name or id
    url: Text | None = None  # of the engine; None: by the environment, else the usual socket
    user: Text | None = None  # as whom the tools are run inside; None: the container's own
    timeout: CallTimeout = 10.0  # of one call to the engine
    stop_with_agent: bool = False


def _http_url(value: str) -> str:
    return check_url(value, "https://host:15671")


class HookConfig(Section):
    """A command of the operator's: a list, which no shell looks at, and how long it may take."""

    command: Annotated[list[Text], Field(min_length=1)]
    timeout: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)] = 30.0


class ExternalConfig(Section):
    """``broker.external``: what the agent may do to a broker that something else runs."""

    fence: HookConfig | None = None  # ends a hung broker by force
    restart: HookConfig | None = None  # has it started again


class ManagementConfig(Section):
    """``broker.management``: RabbitMQ's management API, asked with the agents' credentials.

    ``port`` is one on this host, which the driver ``process`` also has the broker listen on; ``url`` is for
    all else.
    """

    port: Port | None = None
    url: Annotated[str, AfterValidator(_http_url)] | None = None
    ca_file: FilePath | None = None  # certificates to trust, for https
    poll_interval: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)] = 12.0
    timeout: Annotated[float, Field(ge=0.1, le=60, allow_inf_nan=False)] = 5.0  # for one answer

    @property
    def address(self) -> str:
        return self.url or f"http://127.0.0.1:{self.port}"

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.port is None) == (self.url is None):
            raise problem("", "needs either port (on this host) or url, and not both")
        return self


class BrokerConfig(Section):
    """``broker``: the one broker that this agent looks after."""

    driver: Literal["process", "systemd", "docker", "external"]
    node: Annotated[str, AfterValidator(node_name)]  # Erlang node name
    amqp: AmqpConfig
    advertise: AdvertiseConfig = AdvertiseConfig()
    vhost: Text = "rabbitkeeper"  # the agents' own, where canaries are published
    rabbitmqctl: Text | None = None  # None: the one that belongs to the driver's server, or that of PATH
    boot_timeout: Annotated[float, Field(ge=5, le=3600, allow_inf_nan=False)] = 120.0
    restart_limit: Annotated[int, Field(ge=1, le=1000)] = 10  # in a row
    management: ManagementConfig | None = None
    process: ProcessConfig | None = None
    systemd: SystemdConfig | None = None
    docker: DockerConfig | None = None
    external: ExternalConfig | None = None

    @property
    def made_by_agent(self) -> bool:
        """Whether the agent writes the broker's configuration, and with it the user that it logs in as."""
        return self.driver == "process"

    @property
    def stop_with_agent(self) -> bool:
        """Whether SIGTERM to the agent stops the broker too."""
        section = self.process or self.systemd or self.docker
        return section is not None and section.stop_with_agent

    @property
    def advertised_amqp(self) -> str | None:
        """What clients connect to without TLS, as host:port; None if they cannot."""
        return self.advertise.amqp or (None if self.amqp.tls is not None else self._own_address)

    @property
    def advertised_amqps(self) -> str | None:
        """The same with TLS."""
        return self.advertise.amqps or (self._own_address if self.amqp.tls is not None else None)

    @property
    def _own_address(self) -> str:
        host = f"[{self.amqp.host}]" if ":" in self.amqp.host else self.amqp.host
        return f"{host}:{self.amqp.port}"

    @model_validator(mode="after")
    def _section_belongs_to_its_driver(self) -> Self:
        for driver, needs in _SECTIONS.items():
            given = getattr(self, driver) is not None
            if driver == self.driver and not given and needs is not None:
                others = ", ".join(name for name in _SECTIONS if name != driver)
                raise problem(
                    driver,
                    f"is missing, and driver {driver} needs it; give at least broker.{driver}.{needs}, "
                    f"or set broker.driver to one of {others}",
                )
            if driver != self.driver and given:
                raise problem(
                    driver, f"is not used by driver {self.driver}; remove it or set broker.driver: {driver}"
                )
        return self

    @model_validator(mode="after")
    def _clients_can_connect(self) -> Self:
        kind = "amqp" if self.amqp.tls is None else "amqps"
        for key in ("amqp", "amqps"):
            address = getattr(self.advertise, key)
            if address is not None and is_unspecified(host_of(address)):
                raise problem(
                    f"advertise.{key}",
                    f"is {address!r}, which no client can connect to; give the address that they reach it by",
                )
        if is_unspecified(self.amqp.host) and getattr(self.advertise, kind) is None:
            raise problem(
                "amqp.host",
                f"is {self.amqp.host!r}, which no client can connect to; "
                f"give an address, or set broker.advertise.{kind}",
            )
        return self
