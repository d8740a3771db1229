"""The TLS that the HTTP API speaks: its certificate, and whose certificates it asks for."""

import ssl

from rabbitkeeper.agent.config import HttpConfig
from rabbitkeeper.coordinator.model.errors import ConfigurationError
from rabbitkeeper.coordinator.tls import restrict


def server_context(config: HttpConfig) -> ssl.SSLContext | None:
    """What a connection is wrapped in; None: it is plain HTTP.

    Args:
        config: ``http``.

    Raises:
        ConfigurationError: a file cannot be read or is not what it should be.
    """
    if config.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    restrict(context)
    try:
        # Without a passphrase OpenSSL would ask for it at the terminal, and a daemon would wait for ever.
        context.load_cert_chain(config.certificate, config.key, password="the key must have no passphrase")  # noqa: S106
        if config.client_ca is not None:
            context.load_verify_locations(config.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED if config.verify == "always" else ssl.CERT_OPTIONAL
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(
            f"http.{key} ({path})"
            for key in ("certificate", "key", "client_ca")
            if (path := getattr(config, key)) is not None
        )
        raise ConfigurationError(
            f"{files} cannot be used: {error.strerror or error}; give PEM files that belong together"
        ) from None
    return context
