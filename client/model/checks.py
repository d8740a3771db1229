"""Checks of single values that users pass: texts that AMQP can carry, and times to wait. Pure.

Each function raises ``InvalidArgument``, which names the argument and says what would do.
"""

from rabbitkeeper.client.model.errors import InvalidArgument

TIMEOUT_MAX = 1e9  # seconds, about 30 years; Python's locks cannot wait much longer
SHORT = 255  # bytes of UTF-8 in AMQP's short strings: names, routing keys, most properties
_SHOWN = 80  # characters of a value in an error


def shown(value: object) -> str:
    """A value for an error, cut to a length that can be read."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… (of type {type(value).__name__})"


def is_short(text: str) -> bool:
    """Whether ``text`` fits a short string: not too long, and no lone surrogate in it."""
    try:
        return len(text.encode()) <= SHORT
    except UnicodeEncodeError:
        return False


def check_short(what: str, value: object, *, empty: bool = True) -> None:
    """A name or a key, which may be ``empty``."""
    if not isinstance(value, str) or not (value or empty) or not is_short(value):
        least = "" if empty else "that is not empty, "
        raise InvalidArgument(
            f"{what} {shown(value)} is not valid: use a string {least}of at most {SHORT} bytes of UTF-8"
        )


def check_text(what: str, value: object) -> None:
    """A string of any length."""
    try:
        if isinstance(value, str):
            value.encode()
            return
    except UnicodeEncodeError:
        pass
    raise InvalidArgument(f"{what} {shown(value)} is not valid: use a string, without lone surrogates")


def check_timeout(what: str, value: object, *, zero: bool = False) -> None:
    """Seconds to wait; ``zero`` is for not waiting at all."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (0 < value <= TIMEOUT_MAX or (zero and value == 0))
    ):
        least = "from 0" if zero else "above 0"
        raise InvalidArgument(
            f"{what} {shown(value)} is not valid: use seconds {least}, at most {TIMEOUT_MAX:.0f}"
        )
