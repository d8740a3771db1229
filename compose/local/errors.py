"""What can go wrong when servers are run on this machine."""

from rabbitkeeper.coordinator.model.errors import RabbitKeeperError


class LocalError(RabbitKeeperError):
    """A local server is not installed, did not start, or is not there. Names it, and what would do."""
