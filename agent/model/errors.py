"""Why an agent does not run. Errors of drivers and of the cluster's formation are theirs."""

from rabbitkeeper.coordinator.model.errors import ConfigurationError, RabbitKeeperError


class WrongCredentials(ConfigurationError):
    """The broker refuses the user or the password that the agent was given."""


class AddressTaken(RabbitKeeperError):
    """An address cannot be listened on yet: another process has it, or the host has not. That passes."""


class DisruptionRefused(RabbitKeeperError):
    """The broker must not be taken down now. Says why; trying again later may help."""


class FormationRefused(RabbitKeeperError):
    """The node may not join the group's cluster. Names the node, what was found and what would do.

    Trying again does not help until somebody has done something about it. Nothing has been changed.
    """
