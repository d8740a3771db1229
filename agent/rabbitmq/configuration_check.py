"""Compares what a broker runs with to what is recommended: once, beside the loop, with a warning for each.

For brokers whose configuration is not the agent's to write. Nothing depends on the outcome.
"""

import logging
from collections.abc import Callable

from rabbitkeeper.agent.rabbitmq import recommended
from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtl
from rabbitkeeper.agent.runtime.job import Launch, ThreadJob
from rabbitkeeper.coordinator.model.errors import RabbitKeeperError

LOG = logging.getLogger("rabbitkeeper.agent")


class ConfigurationCheck:
    """One check of one broker. Belongs to the loop's thread.

    Args:
        ctl: the broker's tools.
        launch: begins a job.
    """

    def __init__(self, ctl: RabbitmqCtl, *, launch: Launch = ThreadJob) -> None:
        self._ctl = ctl
        self._launch = launch
        self._begun = False

    def begin(self, wake: Callable[[], None] = lambda: None) -> None:
        """Check, unless that was begun before; returns at once."""
        if not self._begun:
            self._begun = True
            self._launch("configuration", self._check, wake)

    def _check(self) -> None:
        try:
            version, found = self._ctl.parameters(recommended.parameters())
        except RabbitKeeperError as error:
            LOG.info("the broker's configuration could not be checked: %s", error)
            return
        known = recommended.version_of(version)
        for deviation in recommended.deviations(known, found) if known is not None else ():
            LOG.warning("the broker's configuration: %s", deviation)
