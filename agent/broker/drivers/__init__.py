"""How an agent starts, watches and ends its broker."""

from rabbitkeeper.agent.broker.drivers.base import (
    BrokerDriver,
    BrokerNotOwned,
    BrokerProcess,
    BrokerStartFailed,
    BrokerStopFailed,
    ProcessControl,
)
from rabbitkeeper.agent.broker.drivers.docker import DockerDriver
from rabbitkeeper.agent.broker.drivers.external import ExternalDriver
from rabbitkeeper.agent.broker.drivers.process import ProcessDriver
from rabbitkeeper.agent.broker.drivers.systemd import SystemdDriver
from rabbitkeeper.agent.config import BrokerConfig

__all__ = [
    "BrokerDriver",
    "BrokerNotOwned",
    "BrokerProcess",
    "BrokerStartFailed",
    "BrokerStopFailed",
    "ProcessControl",
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
