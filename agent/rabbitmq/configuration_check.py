"""Compares what a broker runs with to what is recommended: once, beside the loop, with a warning for each.

For brokers whose configuration is not the agent's to write. Nothing depends on the outcome.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from rabbitkeeper.agent.rabbitmq import recommended
from rabbitkeeper.agent.rabbitmq.versions import version_of
from rabbitkeeper.agent.runtime.job import Launch, ThreadJob
from rabbitkeeper.coordinator.model.errors import RabbitKeeperError

LOG = logging.getLogger("rabbitkeeper.agent")


class Tools(Protocol):
    """What is needed of ``rabbitmqctl``."""

    def parameters(self, names: Sequence[str]) -> tuple[str, dict[str, str]]: ...


class ConfigurationCheck:
    """One check of one broker. Belongs to the loop's thread.

    Args:
        tools: the broker's.
        launch: begins a job.
    """

    def __init__(self, tools: Tools, *, launch: Launch = ThreadJob) -> None:
        self._tools = tools
        self._launch = launch
        self._begun = False

    def begin(self, wake: Callable[[], None] = lambda: None) -> None:
        """Check, unless that was begun before; returns at once."""
        if not self._begun:
            self._begun = True
            self._launch("configuration", self._check, wake)

    def _check(self) -> None:
        try:
            version, found = self._tools.parameters(recommended.parameters())
        except RabbitKeeperError as error:
            LOG.info("the broker's configuration could not be checked: %s", error)
            return
        known = version_of(version)
        for deviation in recommended.deviations(known, found) if known is not None else ():
            LOG.warning("the broker's configuration: %s", deviation)
