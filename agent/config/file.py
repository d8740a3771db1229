"""From a YAML file to a validated model, with every problem said in one line that names its key.

What the settings are is the other modules'; this knows files, YAML, passwords kept elsewhere, and how to say
what is wrong without showing a secret.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from rabbitkeeper.agent.config.strict_yaml import parse
from rabbitkeeper.coordinator.first_line import first_line
from rabbitkeeper.coordinator.model.errors import ConfigurationError

Model = TypeVar("Model", bound=BaseModel)

# Keys below which a value may be a secret, so that it is never shown.
_SECRET_KEYS = frozenset({"password", "token", "webhook", "management", "config", "environment", "readers"})
_LONGEST_VALUE = 60  # characters of a wrong value that are shown

_SENTENCES = {
    "missing": "is missing; it has no default",
    "string_type": "must be a text; put it in quotes if it is one",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "finite_number": "must be a finite number",
    "is_instance_of": "must be a path",
    "path_type": "must be a path",
    "dict_type": "must be a mapping of keys to values",
    "list_type": "must be a list",
    "too_short": "is empty; give a program and its arguments",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
}
_BOUNDS = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}


def read_settings(path: Path) -> dict[str, object]:
    """The mapping that a YAML file holds.

    Raises:
        ConfigurationError: there is no such file, it cannot be read, or it does not hold a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror or error}; "
            "'rabbitkeeper agent --sample-config' prints one to start from"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from None
    settings = parse(text, str(path))
    if settings is None:
        raise ConfigurationError(
            f"{path} is empty; 'rabbitkeeper agent --sample-config' prints one to start from"
        )
    if not isinstance(settings, dict):
        raise ConfigurationError(f"{path} must hold a mapping of keys to values, not a {_kind(settings)}")
    return settings


def validated(model: type[Model], settings: Mapping[str, object], *, source: Path | str) -> Model:
    """Validate ``settings`` as ``model``.

    Args:
        model: what they should be.
        settings: from :func:`read_settings`.
        source: the file they came from: named in errors, and its folder is what paths are relative to. Or
            what else they came from, for settings without paths.

    Raises:
        ConfigurationError: one line for each problem.
    """
    directory = source.absolute().parent if isinstance(source, Path) else Path()
    context = {"directory": directory, "environ": os.environ}
    try:
        return model.model_validate(settings, context=context)
    except ValidationError as error:
        details = error.errors(include_url=False)
    lines = dict.fromkeys(f"{source}: {sentence(model, problem)}" for problem in details)
    raise ConfigurationError("\n".join(lines))


def resolve_secret(
    data: object, context: Mapping[str, object], name: str = "password", *, required: bool = True
) -> object:
    """Put the value from ``<name>_file`` or ``<name>_env`` into ``<name>``.

    Args:
        data: the raw section; what is no mapping is left for the model to refuse.
        context: ``directory`` that paths are relative to, and ``environ``.
        name: the secret's key.
        required: whether one of the three must be given.

    Raises:
        PydanticCustomError: not exactly one of the three is given (without ``required``: more than one), or
            there is nothing where it points.
    """
    if not isinstance(data, dict):
        return data
    keys = (name, f"{name}_file", f"{name}_env")
    given = [key for key in keys if data.get(key) is not None]
    if not given and not required:
        return data
    if len(given) != 1:
        found = "none is" if not given else " and ".join(given) + " are"
        least = "exactly" if required else "at most"
        raise _problem("", f"needs {least} one of {', '.join(keys)}; {found} given")
    where = data[given[0]]
    if given[0] == name or not isinstance(where, str):
        return data
    return {**data, name: _secret_at(given[0], where, context)}


def _secret_at(key: str, where: str, context: Mapping[str, object]) -> str:
    if key.endswith("_env"):
        environ = context.get("environ")
        value = str(environ.get(where, "")) if isinstance(environ, Mapping) else ""
        if not value:
            raise _problem(key, f"is {where!r}, and no such environment variable is set; set it")
        return value
    path = Path(str(context.get("directory", ""))) / _expanded(key, where)
    try:
        line = first_line(path)
    except ValueError as error:
        raise _problem(key, f"is {str(path)!r}, which cannot be read: {error}") from None
    if not line:
        what = key.removesuffix("_file")
        raise _problem(key, f"is {str(path)!r}, whose first line is empty; write the {what} there")
    return line


def _expanded(key: str, where: str) -> Path:
    try:
        return Path(where).expanduser()
    except RuntimeError:  # the home of a user whom there is not
        raise _problem(key, f"is {where!r}, and the home in it is not known; give the whole path") from None


def _problem(key: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "{message}", {"key": key, "message": message})


def sentence(model: type[BaseModel], problem: ErrorDetails) -> str:
    """One problem, for a person: key path, value unless it may be secret, and what would do."""
    parts = [str(part) for part in problem["loc"]]
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    if kind == "setting":
        key = str(context.get("key", ""))
        path = ".".join([*parts, key] if key else parts)
        shown = "" if key else _shown(parts, value)
        return f"{path}{shown} {context['message']}"
    path = ".".join(parts)
    if kind == "extra_forbidden":
        return f"{path} is not a known key; {_nearest(model, parts)}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        # What stands in the place of a section may hold a secret (a URL with a password, say).
        return f"{path} must be a mapping of keys to values, not a {_kind(value)}"
    if kind == "missing":
        return f"{path} {_SENTENCES[kind]}"
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"{path}{_shown(parts, value)} {words} {context[bound]:g}"
    if kind == "literal_error":
        return f"{path}{_shown(parts, value)} must be {context['expected']}"
    says = _SENTENCES.get(kind) or f"is not valid: {problem['msg']}"
    return f"{path}{_shown(parts, value)} {says}"


def _shown(parts: list[str], value: object) -> str:
    if not _SECRET_KEYS.isdisjoint(parts) or isinstance(value, dict | list):
        return ""
    text = "null" if value is None else repr(value)
    if len(text) > _LONGEST_VALUE:
        text = text[:_LONGEST_VALUE] + "…"
    return f" ({text})"


def _kind(value: object) -> str:
    names = {dict: "mapping", list: "list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "number" if isinstance(value, int | float) else type(value).__name__)


def _nearest(model: type[BaseModel], parts: list[str]) -> str:
    """What an unknown key was probably meant to be; else the keys that there are."""
    section: type[BaseModel] | None = model
    for part in parts[:-1]:
        section = _section_of(section, part) if section else None
    known = list(section.model_fields) if section else []
    close = difflib.get_close_matches(parts[-1], known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    elsewhere = [path for path in all_keys(model) if path.rsplit(".", 1)[-1] == parts[-1]]
    if elsewhere:
        return f"did you mean {elsewhere[0]}?"
    return f"known here: {', '.join(known)}"


def _section_of(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    field = model.model_fields.get(key)
    if field is None:
        return None
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def all_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """The paths of all the keys that there are, sections included."""
    keys = []
    for name in model.model_fields:
        keys.append(prefix + name)
        if section := _section_of(model, name):
            keys.extend(all_keys(section, f"{prefix}{name}."))
    return keys
