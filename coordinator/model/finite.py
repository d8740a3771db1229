"""Numbers in a record that JSON cannot write again: NaN, and what is beyond a float. Pure."""

import math
import re

from pydantic_core import from_json

from rabbitkeeper.coordinator.model.errors import RecordError

# What could be read as such a number; most records have nothing of the kind, and are not read twice.
_MAYBE = re.compile(rb"NaN|Infinity|[0-9][eE]\+?[0-9]{3}")


def check_finite(path: str, data: bytes) -> None:
    """Refuse a record that holds one.

    Args:
        path: where it was found, for the error.
        data: JSON; what is none is left for others to refuse.

    Raises:
        RecordError: it does.
    """
    if _MAYBE.search(data) is None:
        return
    try:
        finite = _is_finite(from_json(data))
    except ValueError as error:
        raise RecordError(f"{path} does not hold JSON: {error}") from None
    if not finite:
        raise RecordError(f"{path} holds NaN, or a number that is infinite, which JSON has not")


def _is_finite(value: object) -> bool:
    match value:
        case float():
            return math.isfinite(value)
        case dict():
            return all(map(_is_finite, value.values()))
        case list():
            return all(map(_is_finite, value))
    return True
