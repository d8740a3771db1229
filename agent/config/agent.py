"""The agent's configuration: one YAML file, validated as a whole before anything is touched.

Here are the sections, their units and defaults, and the contradictions between them that are refused;
``file.py`` reads the file and turns what is wrong into sentences. Nothing here opens a connection.

All times are in seconds.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rabbitkeeper.agent.config.broker import BrokerConfig
from rabbitkeeper.agent.config.election import ElectionConfig, FailbackConfig
from rabbitkeeper.agent.config.fields import Section, Text, named, problem
from rabbitkeeper.agent.config.file import read_settings, validated
from rabbitkeeper.agent.config.health import HealthConfig
from rabbitkeeper.agent.config.hooks import HooksConfig
from rabbitkeeper.agent.config.http import HttpConfig
from rabbitkeeper.agent.config.zookeeper import ZooKeeperConfig
from rabbitkeeper.coordinator.model.records import Tags

OPERATION_TIMEOUT = 2.0  # the longest that one ZooKeeper operation keeps the agent's loop waiting
WATCHDOG_MARGIN = 0.5  # what a loop may need besides, on a busy host


class TagsConfig(Section):
    """``tags``: what the election and clients should know of this member."""

    priority: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    site: Text | None = None
    no_failover: bool = False

    @property
    def record(self) -> Tags:
        return Tags(priority=self.priority, site=self.site, no_failover=self.no_failover)


class WatchdogConfig(Section):
    """``watchdog``: ends the agent when its loop has stopped.

    ``timeout`` defaults to 5 s, or to five sixths of a session timeout that is shorter than 6 s.
    """

    timeout: Annotated[float, Field(gt=0, le=120, allow_inf_nan=False)] | None = None


class LogConfig(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"


class AgentConfig(Section):
    """One agent: the whole file."""

    group: Annotated[str, named("group")]
    name: Annotated[str, named("member")]
    zookeeper: ZooKeeperConfig
    broker: BrokerConfig
    health: HealthConfig = HealthConfig()
    hooks: HooksConfig = HooksConfig()
    http: HttpConfig = HttpConfig()
    tags: TagsConfig = TagsConfig()
    election: ElectionConfig = ElectionConfig()
    failback: FailbackConfig = FailbackConfig()
    preferred_site: Text | None = None
    watchdog: WatchdogConfig = WatchdogConfig()
    log: LogConfig = LogConfig()

    @property
    def watchdog_timeout(self) -> float:
        """Seconds after which a stopped loop ends the process."""
        if self.watchdog.timeout is not None:
            return self.watchdog.timeout
        return min(5.0, self.zookeeper.session_timeout * 5 / 6)

    @model_validator(mode="after")
    def _timings_agree(self) -> Self:
        timeout, session = self.watchdog_timeout, self.zookeeper.asked_timeout
        least = OPERATION_TIMEOUT + WATCHDOG_MARGIN
        if timeout >= session:
            raise problem(
                "watchdog.timeout",
                f"is {timeout:g} s, not shorter than the {session:g} s that a ZooKeeper session lasts "
                f"(eleven twelfths of zookeeper.session_timeout, {self.zookeeper.session_timeout:g} s): "
                f"a stopped agent would outlive its lease; set it to at most {session * 10 / 11:.3g}",
            )
        if timeout < least:
            raise problem(
                "watchdog.timeout",
                f"is {timeout:g} s, shorter than the {least:g} s that a healthy loop may need "
                f"({OPERATION_TIMEOUT:g} s for one ZooKeeper operation and {WATCHDOG_MARGIN:g} s "
                f"besides); set it to {least:g} or more",
            )
        return self


def load(path: Path | str) -> AgentConfig:
    """Read and validate an agent's configuration file.

    Args:
        path: the YAML file; relative paths in it are relative to its folder.

    Raises:
        ConfigurationError: one line for each problem: the key's path, its value (never a secret's) and
            what would do.
    """
    path = Path(path)
    return validated(AgentConfig, read_settings(path), source=path)
