"""How an agent starts, watches and ends its broker."""

from rabbitkeeper.agent.config import BrokerConfig
from rabbitkeeper.agent.drivers.base import (
    BrokerDriver,
    BrokerNotOwned,
    BrokerProcess,
    BrokerStartFailed,
    BrokerStopFailed,
)
from rabbitkeeper.agent.drivers.external import ExternalDriver
from rabbitkeeper.agent.drivers.process import ProcessDriver

__all__ = [
    "BrokerDriver",
    "BrokerNotOwned",
    "BrokerProcess",
    "BrokerStartFailed",
    "BrokerStopFailed",
    "driver_for",
]


def driver_for(config: BrokerConfig) -> BrokerDriver:
    """The driver that the configuration asks for.

    Raises:
        ConfigurationError: it cannot work the way it is configured.
    """
    return ProcessDriver(config) if config.driver == "process" else ExternalDriver(config)
