"""How an agent starts, watches and ends its broker."""

from rabbitkeeper.agent.config import BrokerConfig
from rabbitkeeper.agent.drivers.base import (
    BrokerDriver,
    BrokerNotOwned,
    BrokerProcess,
    BrokerStartFailed,
    BrokerStopFailed,
)
from rabbitkeeper.agent.drivers.docker import DockerDriver
from rabbitkeeper.agent.drivers.external import ExternalDriver
from rabbitkeeper.agent.drivers.process import ProcessDriver
from rabbitkeeper.agent.drivers.systemd import SystemdDriver

__all__ = [
    "BrokerDriver",
    "BrokerNotOwned",
    "BrokerProcess",
    "BrokerStartFailed",
    "BrokerStopFailed",
    "driver_for",
]


def driver_for(config: BrokerConfig, *, group: str, member: str) -> BrokerDriver:
    """The driver that the configuration asks for.

    Args:
        config: of the broker.
        group, member: names, for hooks.

    Raises:
        ConfigurationError: it cannot work the way it is configured.
    """
    match config.driver:
        case "process":
            return ProcessDriver(config)
        case "systemd":
            return SystemdDriver(config)
        case "docker":
            return DockerDriver(config)
        case "external":
            return ExternalDriver(config, group=group, member=member)
