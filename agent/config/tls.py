"""``tls`` sections: for connections that the agent makes."""

import ssl
from typing import Self

from pydantic import model_validator

from rabbitkeeper.agent.config.fields import FilePath, Section, Text, problem
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.tls import client_context


class TlsConfig(Section):
    """Whom to trust, and who one is. All files are PEM."""

    ca: FilePath | None = None  # the authorities; None: the system's
    certificate: FilePath | None = None  # the agent's own, for servers that ask for one
    key: FilePath | None = None  # None: it is in ``certificate``

    @model_validator(mode="after")
    def _files_hold_what_they_should(self) -> Self:
        try:
            self.context("")
        except ConfigurationError as error:
            key, _, says = str(error).removeprefix(".").partition(" ")
            raise problem(key, says.replace(" .", " ")) from None
        return self

    def context(self, where: str) -> ssl.SSLContext:
        """What the connection is made with.

        Args:
            where: the section, for errors.

        Raises:
            ConfigurationError: a file does not hold what it should.
        """
        return client_context(self.ca, self.certificate, self.key, where=where)


class BrokerTlsConfig(TlsConfig):
    """``broker.amqp.tls``."""

    server_name: Text | None = None  # as in the broker's certificate; None: ``broker.amqp.host``
