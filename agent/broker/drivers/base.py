"""How an agent gets at its broker's process: the interface, and what is seen through it.

A driver starts, finds and ends one broker. When it should do so is not its business, nor is whether the
broker is well: see ``policy.py`` and ``judge.py``.
"""

from dataclasses import dataclass
from typing import Protocol

from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtl
from rabbitkeeper.coordinator.model.errors import RabbitKeeperError


class BrokerStartFailed(RabbitKeeperError):
    """The broker's server could not be started. Names the script and the reason."""


class BrokerStopFailed(RabbitKeeperError):
    """The broker could not be ended: it is still there after SIGKILL (as a rule the kernel waits for a
    disk), or what would end it (Docker, systemd, a hook) failed. Says which."""


class BrokerNotOwned(RabbitKeeperError):
    """This agent has no means to do that to the broker; something else does it."""


@dataclass(frozen=True, slots=True)
class BrokerProcess:
    """The broker's process at one moment.

    Attributes:
        running: it is there, be it stopped or paused (which does not say that it is well); None: it cannot be
            told now.
        pid: its number while it is there; None also when the driver cannot tell.
        since: when it was started, seconds monotonic; None when that is not known.
        exited: how it ended, a sentence; None while it runs, or when nothing is known of an earlier one.
        log_tail: the last lines that it wrote before it ended.
        identity: tells this process from any other that there has been or will be; None while there is
            none, or when it cannot be told. A driver that never sees the process gives a new word after
            each restart of its own.
    """

    running: bool | None
    pid: int | None = None
    since: float | None = None
    exited: str | None = None
    log_tail: tuple[str, ...] = ()
    identity: str | None = None


class ProcessControl(Protocol):
    """One broker's process. ``observe`` may be called from one thread while another starts or ends it.

    What cannot be done raises ``BrokerNotOwned``; ``can_start``, ``can_stop`` and ``can_kill`` tell.
    """

    @property
    def can_start(self) -> bool:
        """Whether ``start`` has a way to bring the broker up."""

    @property
    def can_stop(self) -> bool:
        """Whether ``stop`` has a way to end it in order."""

    @property
    def can_kill(self) -> bool:
        """Whether ``kill`` has a way to end it by force."""

    def observe(self) -> BrokerProcess:
        """How it is now, or was a moment ago. Cheap; waits for nothing."""

    def start(self, reason: str = "") -> None:
        """Start it unless it runs; returns once it is spawned, long before it serves.

        A driver that cannot see whether it runs has it restarted.

        Args:
            reason: why, for a hook.

        Raises:
            ConfigurationError: a setting does not allow it; trying again will not help.
            BrokerStartFailed: the system did not allow it.
            BrokerNotOwned: see there.
        """

    def stop(self, timeout: float) -> None:
        """End it in order; what is still there after ``timeout`` seconds is killed. Returns when it is gone.

        Raises:
            BrokerStopFailed: it did not go.
            BrokerNotOwned: see there.
        """

    def kill(self, reason: str = "") -> None:
        """SIGKILL it and what it started, also when it is stopped or paused. Returns when it is gone.

        Args:
            reason: why, for a hook.

        Raises:
            BrokerStopFailed: it did not go.
            BrokerNotOwned: see there.
        """


class BrokerDriver(ProcessControl, Protocol):
    """One way to run a broker: its process, and the tools of its node."""

    @property
    def name(self) -> str:
        """As in the configuration, ``broker.driver``."""

    @property
    def ctl(self) -> RabbitmqCtl:
        """The node's command-line tools."""
