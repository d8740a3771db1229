"""Why an agent does not run. Errors of drivers and of the cluster's formation are theirs."""

from rabbitkeeper.coordinator.errors import ConfigurationError


class WrongCredentials(ConfigurationError):
    """The broker refuses the user or the password that the agent was given."""
