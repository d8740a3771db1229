"""TLS contexts for those who connect: to ZooKeeper, to a broker. Reads the files, opens no connection."""

import ssl
from collections.abc import Callable
from pathlib import Path

from rabbitkeeper.coordinator.model.errors import ConfigurationError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL"
"""TLS 1.2's suites with forward secrecy and authenticated encryption (RFC 9325, section 4.2); those of TLS
1.3 all have both, and are the library's to choose."""


def restrict(context: ssl.SSLContext) -> None:
    """Speak TLS from 1.2 on, with :data:`CIPHERS`, and no renegotiation."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def client_context(
    ca: Path | str | None = None,
    certificate: Path | str | None = None,
    key: Path | str | None = None,
    *,
    where: str = "tls",
) -> ssl.SSLContext:
    """A context that checks the server's certificate and its name, from TLS 1.2 on.

    Args:
        ca: PEM file with the authorities to trust; None: the system's.
        certificate: PEM file with one's own certificate, for servers that ask for it.
        key: PEM file with its key, without a passphrase; None: it is in ``certificate``.
        where: the setting that these belong to, for errors.

    Raises:
        ConfigurationError: a file cannot be read or is not what it should be.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the system's authorities
    restrict(context)
    if ca is not None:
        _load(lambda: context.load_verify_locations(ca), f"{where}.ca", ca, "certificates of authorities")
    if key is not None and certificate is None:
        raise ConfigurationError(f"{where}.key is given without {where}.certificate; give both or neither")
    if certificate is not None:
        _load(
            lambda: context.load_cert_chain(certificate, key, password=_no_passphrase),
            f"{where}.certificate" if key is None else f"{where}.certificate and {where}.key",
            certificate if key is None else f"{certificate}, {key}",
            "a certificate and its key",
        )
    return context


def _no_passphrase() -> str:
    # Without this OpenSSL would ask at the terminal, and a daemon would wait for ever.
    raise ValueError("the key is protected by a passphrase")


def _load(load: Callable[[], object], name: str, value: object, should: str) -> None:
    try:
        load()
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{name} ({value}) does not hold {should} in PEM: {why}") from None
