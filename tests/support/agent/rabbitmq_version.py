"""Which RabbitMQ a test runs with: some faults are of some versions only."""

from rabbitkeeper.agent.rabbitmq.versions import Version, version_of
from rabbitkeeper.compose.local import Local


def rabbitmq_version(local: Local, member: str = "node1") -> Version:
    """The version that a member's broker has; it must be running."""
    text, _ = local.ctl(member).parameters(["rabbit.max_message_size"])
    version = version_of(text)
    assert version is not None, text
    return version
