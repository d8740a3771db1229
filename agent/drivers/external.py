"""The driver ``external``: something else (systemd, a container) starts and ends the broker."""

import os

from rabbitkeeper.agent.config import BrokerConfig
from rabbitkeeper.agent.drivers.base import BrokerNotOwned, BrokerProcess
from rabbitkeeper.agent.rabbitmqctl import RabbitmqCtl
from rabbitkeeper.agent.runner import LocalRunner


class ExternalDriver:
    """Looks and touches nothing.

    The tools are found on the PATH and run in the agent's own environment, so the agent's user must have
    the cluster's Erlang cookie in its home (or be ``rabbitmq`` itself).
    """

    name = "external"
    owned = False

    def __init__(self, config: BrokerConfig) -> None:
        self.ctl = RabbitmqCtl(config.rabbitmqctl or "rabbitmqctl", config.node, LocalRunner(os.environ))
        self._node = config.node

    def observe(self) -> BrokerProcess:
        """Always running, as far as can be told from here: the connection to it says more."""
        return BrokerProcess(running=True)

    def start(self) -> None:
        raise self._refusal("started")

    def stop(self, timeout: float) -> None:
        raise self._refusal("stopped")

    def kill(self) -> None:
        raise self._refusal("killed")

    def _refusal(self, done: str) -> BrokerNotOwned:
        return BrokerNotOwned(
            f"{self._node} is not {done}: with broker.driver external that is for whatever runs it; "
            "use broker.driver: process to have the agent do it"
        )
