"""``hooks``: what is run or called when something happens."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from rabbitkeeper.agent.config.fields import Section, Text, check_url

# A program and its arguments; there is no shell.
Command = Annotated[list[Text], Field(min_length=1)]


class HooksConfig(Section):
    """``hooks``: commands as lists of arguments, and one URL for all events."""

    leader_elected: Command | None = None  # on the agent that has taken the lead
    leader_lost: Command | None = None  # on the agent that has it no more
    member_down: Command | None = None  # on the leader
    member_up: Command | None = None  # on the leader
    webhook: SecretStr | None = None  # gets each of these events as JSON; it may hold a secret
    timeout: Annotated[float, Field(ge=1, le=600, allow_inf_nan=False)] = 30.0  # for each, then it is killed

    @field_validator("webhook")
    @classmethod
    def _is_a_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_url(value.get_secret_value(), "https://host/path", secrets=True)
        return value

    def command(self, event: str) -> list[str] | None:
        """What is run at ``event``."""
        command: list[str] | None = getattr(self, event)
        return command
