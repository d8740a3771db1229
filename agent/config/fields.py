"""What all sections of the configuration are made of: kinds of values, and how a problem is said."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from rabbitkeeper.agent.rabbitmq.node_name import NODE_NAME
from rabbitkeeper.coordinator.model.addresses import is_ipv6, is_unspecified
from rabbitkeeper.coordinator.model.errors import InvalidName
from rabbitkeeper.coordinator.model.paths import check_name
from rabbitkeeper.coordinator.model.text import is_plain

_UNIT = re.compile(r"[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*\.service")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._~-]+)?\]|[^\s:/@\[\]]+):([0-9]{1,5})")


def problem(key: str, message: str) -> PydanticCustomError:
    """A problem with ``key`` of the model that is being validated ("" for the model itself)."""
    return PydanticCustomError("setting", "{message}", {"key": key, "message": message})


def _path(value: object, info: ValidationInfo) -> object:
    """Paths are relative to the file that names them."""
    if not isinstance(value, str):
        return value
    if not value:
        raise problem("", "is empty; give a path")
    if "\0" in value:
        raise problem("", "has a NUL character; give a path")
    directory = (info.context or {}).get("directory", Path())
    try:
        return Path(directory) / Path(value).expanduser()
    except RuntimeError:  # the home of a user whom there is not
        raise problem("", "has a home that is not known; give the whole path") from None


def named(kind: str) -> AfterValidator:
    def check(value: str) -> str:
        try:
            return check_name(kind, value)
        except InvalidName as error:
            raise problem("", f"is not valid: {str(error).split(': ', 1)[-1]}") from None

    return AfterValidator(check)


def node_name(value: str) -> str:
    if not NODE_NAME.fullmatch(value):
        raise problem("", "is not an Erlang node name; give it as name@host, as in rabbit@host1")
    return value


def unit_name(value: str) -> str:
    if not _UNIT.fullmatch(value):
        raise problem("", "is not the name of a service; give it as in rabbitmq-server.service")
    return value


def _host_port(value: str) -> str:
    match = _HOST_PORT.fullmatch(value)
    if not match or not 1 <= int(match[2]) <= 65535 or (match[1][0] == "[" and not is_ipv6(match[1][1:-1])):
        raise problem("", "is not host:port; give it as in 10.0.0.1:5672 or [::1]:5672")
    return value


def host_of(address: str) -> str:
    """The host of ``host:port``."""
    return address.rpartition(":")[0].strip("[]")


def check_url(value: str, example: str, *, secrets: bool = False) -> str:
    """A URL of HTTP that somebody can be asked at.

    Args:
        example: of a good one, for the error.
        secrets: whether a user, a path and a query may be in it.
    """
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not value.isprintable() or " " in value:
        raise problem("", f"is not a URL; give it as in {example}")
    if not secrets and ("@" in parts.netloc or parts.query or parts.fragment):
        raise problem("", f"is not a URL like {example}; credentials and queries do not belong to it")
    if is_unspecified(parts.hostname or ""):
        raise problem("", f"has an address that nobody can connect to; give it as in {example}")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise problem("", "is empty; give it a value or leave the key out")
    if not is_plain(value):
        raise problem("", "has a control character in it; take it out")
    return value


Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=100)]
Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, AfterValidator(_not_blank)]
FilePath = Annotated[Path, BeforeValidator(_path)]
HostPort = Annotated[str, AfterValidator(_host_port)]


class Section(BaseModel):
    # Strict: YAML has types of its own, and a port given as "yes" or a time given as true is a mistake.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=False)
