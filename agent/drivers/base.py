"""How an agent gets at its broker's process: the interface, and what is seen through it.

A driver starts, finds and ends one broker. When it should do so is not its business, nor is whether the
broker is well: see ``supervision.py`` and ``health.py``.
"""

from dataclasses import dataclass
from typing import Protocol

from rabbitkeeper.agent.rabbitmqctl import RabbitmqCtl
from rabbitkeeper.coordinator.errors import RabbitKeeperError


class BrokerStartFailed(RabbitKeeperError):
    """The broker's server could not be started. Names the script and the reason."""


class BrokerStopFailed(RabbitKeeperError):
    """The broker's process is still there after SIGKILL: the kernel waits for a disk, as a rule."""


class BrokerNotOwned(RabbitKeeperError):
    """This agent only looks after the broker; something else starts and stops it."""


@dataclass(frozen=True, slots=True)
class BrokerProcess:
    """The broker's process at one moment.

    Attributes:
        running: it is there (which does not say that it is well).
        pid: its number while it is there; None also when the driver cannot tell.
        since: when it was started, seconds monotonic; None when that is not known.
        exited: how it ended, a sentence; None while it runs, or when nothing is known of an earlier one.
        log_tail: the last lines that it wrote before it ended.
        identity: tells this process from any other that there has been or will be; None while there is
            none, or when it cannot be told.
    """

    running: bool
    pid: int | None = None
    since: float | None = None
    exited: str | None = None
    log_tail: tuple[str, ...] = ()
    identity: str | None = None


class BrokerDriver(Protocol):
    """One broker. ``observe`` may be called from one thread while another starts or ends the broker."""

    @property
    def name(self) -> str:
        """``process`` or ``external``, as in the configuration."""

    @property
    def owned(self) -> bool:
        """Whether this agent may start and kill it. If not, ``start``, ``stop`` and ``kill`` raise."""

    @property
    def ctl(self) -> RabbitmqCtl:
        """The node's command-line tools."""

    def observe(self) -> BrokerProcess:
        """How it is now. Cheap; waits for nothing."""

    def start(self) -> None:
        """Start it unless it runs; returns once it is spawned, long before it serves.

        Raises:
            ConfigurationError: a setting does not allow it; trying again will not help.
            BrokerStartFailed: the system did not allow it.
        """

    def stop(self, timeout: float) -> None:
        """End it in order; what is still there after ``timeout`` seconds is killed. Returns when it is gone.

        Raises:
            BrokerStopFailed: it did not go.
        """

    def kill(self) -> None:
        """SIGKILL it and what it started, also when it is stopped (SIGSTOP). Returns when it is gone.

        Raises:
            BrokerStopFailed: it did not go.
        """
