"""What all sections of the configuration are made of: kinds of values, and how a problem is said."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from rabbitkeeper.agent.rabbitmq.node_name import NODE_NAME
from rabbitkeeper.coordinator.model.errors import InvalidName
from rabbitkeeper.coordinator.model.paths import check_name

_UNIT = re.compile(r"[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*\.service")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):([0-9]{1,5})")


def problem(key: str, message: str) -> PydanticCustomError:
    """A problem with ``key`` of the model that is being validated ("" for the model itself)."""
    return PydanticCustomError("setting", "{message}", {"key": key, "message": message})


def _path(value: object, info: ValidationInfo) -> object:
    """Paths are relative to the file that names them."""
    if not isinstance(value, str):
        return value
    if not value:
        raise problem("", "is empty; give a path")
    directory = (info.context or {}).get("directory", Path())
    return Path(directory) / Path(value).expanduser()


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
    if not match or not 1 <= int(match[2]) <= 65535:
        raise problem("", "is not host:port; give it as in 10.0.0.1:5672 or [::1]:5672")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise problem("", "is empty; give it a value or leave the key out")
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
