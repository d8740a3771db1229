"""Another address of ZooKeeper, before an agent goes there: its session and its lead are at stake."""

from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.errors import ConfigurationError, CoordinationError
from rabbitkeeper.coordinator.model.paths import GroupPaths


def check_address(config: AgentConfig) -> None:
    """See whether the group is at ``zookeeper.hosts``. Takes as long as a connection is tried for.

    Raises:
        ConfigurationError: it is not, or nobody answers.
    """
    hosts = config.zookeeper.hosts
    backend = backend_at(hosts, name=config.name, access=config.zookeeper.access)
    try:
        backend.start(config.zookeeper.connect_timeout)
        there = backend.stat(GroupPaths(config.group).root) is not None
    except CoordinationError as error:
        raise ConfigurationError(f"zookeeper.hosts ({hosts}): {error}") from None
    finally:
        backend.close()
    if not there:
        raise ConfigurationError(
            f"zookeeper.hosts ({hosts}): group {config.group} is not there: bring it there first, with "
            "rabbitkeeper export and import"
        )
