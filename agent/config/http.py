"""``http``: the agent's HTTP API. Off unless ``http.listen`` is given."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, SecretStr, ValidationInfo, model_validator

from rabbitkeeper.agent.config.fields import (
    FilePath,
    HostPort,
    Section,
    Text,
    check_url,
    problem,
)
from rabbitkeeper.agent.config.file import resolve_secret
from rabbitkeeper.coordinator.model.addresses import is_unspecified

LEAST_TOKEN = 16  # characters: what is shorter can be guessed over a network


def _url(value: str) -> str:
    return check_url(value, "http://10.0.0.1:8008").rstrip("/")


class HttpConfig(Section):
    """``http``: where the API answers, and who may ask for operations.

    At most one of ``token``, ``token_file`` and ``token_env`` is given; whichever it is, ``token`` holds the
    value. Without one, operations are off.
    """

    listen: HostPort | None = None  # None: no HTTP API
    advertise: Annotated[str, AfterValidator(_url)] | None = None  # None: from ``listen``
    token: SecretStr | None = None
    token_file: FilePath | None = None  # its first line
    token_env: Text | None = None  # the name of an environment variable
    certificate: FilePath | None = None  # PEM, with its chain: TLS instead of plain HTTP
    key: FilePath | None = None  # PEM; None: it is in ``certificate``
    client_ca: FilePath | None = None  # PEM: only clients with a certificate of this authority
    verify: Literal["always", "writes"] = "always"  # with ``client_ca``: who needs one

    @property
    def host(self) -> str:
        return (self.listen or "").rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int((self.listen or "0").rpartition(":")[2])

    @property
    def url(self) -> str | None:
        """What is written into the member's record; None without an API."""
        if self.listen is None:
            return None
        return self.advertise or f"{'http' if self.certificate is None else 'https'}://{self.listen}"

    @model_validator(mode="before")
    @classmethod
    def _token_from_one_place(cls, data: object, info: ValidationInfo) -> object:
        return resolve_secret(data, info.context or {}, "token", required=False)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.listen is None:
            for key in ("advertise", "token", "certificate"):
                if getattr(self, key) is not None:
                    raise problem("listen", f"is missing, and http.{key} is of no use without it")
        elif is_unspecified(self.host) and self.advertise is None:
            raise problem(
                "advertise",
                f"is missing, and {self.listen} is an address that nobody can connect to; "
                f"give the URL that others reach this agent by, as in http://10.0.0.1:{self.port}",
            )
        token = "" if self.token is None else self.token.get_secret_value()
        if self.token is not None and len(token) < LEAST_TOKEN:
            raise problem("token", f"is shorter than {LEAST_TOKEN} characters, so that it could be guessed")
        if not (token.isascii() and token.isprintable() and token == token.strip()):
            raise problem(
                "token", "has characters that do not fit into a header; use letters, digits and -._~"
            )
        if self.client_ca is None and self.verify != "always":
            raise problem("client_ca", "is missing, and http.verify is of no use without it")
        for key in ("key", "client_ca"):
            if self.certificate is None and getattr(self, key) is not None:
                raise problem("certificate", f"is missing, and http.{key} is of no use without it")
        return self
