"""What can keep the demo from running in containers."""

from rabbitkeeper.coordinator.model.errors import RabbitKeeperError


class DemoError(RabbitKeeperError):
    """The demo cannot run in containers, or something in them went wrong. Says what to do."""
