"""``zookeeper``: where the group is coordinated."""

from typing import Annotated

from pydantic import Field

from rabbitkeeper.agent.config.fields import Section, Text


class ZooKeeperConfig(Section):
    """``zookeeper``: where the group is coordinated."""

    hosts: Text  # host:port, comma separated
    session_timeout: Annotated[float, Field(ge=3, le=120, allow_inf_nan=False)] = 6.0
    connect_timeout: Annotated[float, Field(ge=0.5, le=600, allow_inf_nan=False)] = 10.0  # at the start

    @property
    def asked_timeout(self) -> float:
        """What ZooKeeper is asked for: a twelfth less than ``session_timeout``.

        ZooKeeper looks for dead sessions once a tick and ends them late rather than early, so that a node
        that is gone would otherwise be noticed after ``session_timeout`` as often as within it.
        """
        return self.session_timeout * 11 / 12
