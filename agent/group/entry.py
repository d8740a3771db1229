"""The first step into a group: it is as closed as the configuration says, and it is there.

Nothing is written into a group that is refused.
"""

import logging

from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.membership import Membership
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.model.paths import ROOT, GroupPaths
from rabbitkeeper.coordinator.policy.exposure import Standing, standing

LOG = logging.getLogger("rabbitkeeper.agent")


def enter_group(config: AgentConfig, backend: Backend, membership: Membership) -> None:
    """Make the group if it is not there, and tell what is to be said of who may write it. Can be repeated.

    Args:
        config: the agent's.
        backend: started.
        membership: of the group, over it.

    Raises:
        ConfigurationError: the group is not as closed as its configuration says.
        ZooKeeperUnreachable: unknown; nothing is wrong with doing it again.
        SessionLost: the same.
    """
    _standing(config, backend)
    membership.create_group()
    for warning in _standing(config, backend).warnings:
        LOG.warning("group %s: %s", config.group, warning)


def _standing(config: AgentConfig, backend: Backend) -> Standing:
    zookeeper, root = config.zookeeper, GroupPaths(config.group).root
    identity = None if zookeeper.auth is None else zookeeper.auth.username
    found = standing(
        backend.permissions(root),
        backend.permissions(ROOT),
        identity,
        None if identity is None else tuple(zookeeper.readers),
    )
    if found.refusal is not None:
        raise ConfigurationError(f"group {config.group}: {found.refusal}")
    backend.adopt_acl(root)
    return found
