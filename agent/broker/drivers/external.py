"""The driver ``external``: something else starts and ends the broker.

By itself it looks and touches nothing. Two commands of the operator's can lend it a hand: ``fence`` ends a
broker by force (it may act on another machine, on a power switch), ``restart`` brings it up again.
"""

import os
import threading

from rabbitkeeper.agent.broker.drivers.base import (
    BrokerNotOwned,
    BrokerProcess,
    BrokerStartFailed,
    BrokerStopFailed,
)
from rabbitkeeper.agent.config import BrokerConfig, HookConfig
from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtl
from rabbitkeeper.agent.rabbitmq.runner import CommandNotRunnable, CommandTimedOut, LocalRunner
from rabbitkeeper.agent.runtime.child import fitting
from rabbitkeeper.coordinator.model.errors import RabbitKeeperError


class ExternalDriver:
    """Can do what there are hooks for.

    The tools are found on the PATH and run in the agent's own environment, so the agent's user must have
    the cluster's Erlang cookie in its home (or be ``rabbitmq`` itself).

    Args:
        config: of the broker, with driver ``external``.
        group: the group's name, for the hooks.
        member: the member's name, for the hooks.
    """

    name = "external"
    can_stop = False

    def __init__(self, config: BrokerConfig, *, group: str, member: str) -> None:
        self.ctl = RabbitmqCtl(config.rabbitmqctl or "rabbitmqctl", config.node, LocalRunner(os.environ))
        external = config.external
        self._fence = external.fence if external is not None else None
        self._restart = external.restart if external is not None else None
        self._node = config.node
        self._told = {
            "RABBITKEEPER_GROUP": group,
            "RABBITKEEPER_MEMBER": member,
            "RABBITKEEPER_NODE": config.node,
        }
        self._changing = threading.Lock()
        self._fenced = False  # and not restarted since
        self._restarts = 0

    @property
    def can_start(self) -> bool:
        return self._restart is not None

    @property
    def can_kill(self) -> bool:
        return self._fence is not None

    def observe(self) -> BrokerProcess:
        """Whether it runs cannot be told from here (the connection to it says more), except that it does not
        when it has just been fenced and is to be restarted."""
        if self._fenced and self.can_start:
            return BrokerProcess(running=False, exited=f"{self._node} was fenced")
        identity = f"restart-{self._restarts}" if self.can_start else None
        return BrokerProcess(running=None, identity=identity)

    def start(self, reason: str = "") -> None:
        if self._restart is None:
            raise self._refusal("started", "restart")
        with self._changing:
            self._run("restart", self._restart, reason, BrokerStartFailed)
            self._restarts += 1
            self._fenced = False

    def stop(self, timeout: float) -> None:
        raise BrokerNotOwned(
            f"{self._node} is not stopped: with broker.driver external its own supervisor does"
        )

    def kill(self, reason: str = "") -> None:
        if self._fence is None:
            raise self._refusal("killed", "fence")
        with self._changing:
            self._run("fence", self._fence, reason, BrokerStopFailed)
            self._fenced = True

    def _run(self, name: str, hook: HookConfig, reason: str, error: type[RabbitKeeperError]) -> None:
        what = f"broker.external.{name} ({hook.command[0]}) for {self._node}"
        runner = LocalRunner({**os.environ, **self._told, "RABBITKEEPER_REASON": fitting(reason)})
        try:
            done = runner.run(hook.command, timeout=hook.timeout)
        except CommandTimedOut:
            raise error(f"{what} did not end within {hook.timeout:g} s and was killed") from None
        except CommandNotRunnable as failure:
            raise error(f"{what} cannot be run: {failure}") from None
        if done.code != 0:
            raise error(f"{what} failed with exit code {done.code}: {done.said}")

    def _refusal(self, done: str, hook: str) -> BrokerNotOwned:
        return BrokerNotOwned(
            f"{self._node} is not {done}: with broker.driver external that is for whatever runs it, unless "
            f"there is a broker.external.{hook}"
        )
