"""Times of day: what an operator appoints, as a person writes it, to UTC; a record's, in seconds. Pure."""

import re
from datetime import UTC, datetime

from rabbitkeeper.coordinator.model.errors import ConfigurationError

_AHEAD = re.compile(r"\+(\d{1,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TOLERANCE = 5.0  # seconds by which an appointed time may lie back: the typing takes some
_FARTHEST = 366 * 86400.0  # seconds; beyond that it is a mistake in the year


def moment(text: str, wall: float) -> str:
    """The appointed time as ISO 8601 in UTC.

    Args:
        text: ISO 8601 with a time zone (``2026-01-31T22:00+01:00``, ``…Z``), or from now on: ``+90s``,
            ``+10m``, ``+2h``, ``+1d``.
        wall: now, seconds since 1970.

    Raises:
        ConfigurationError: it cannot be understood, has no time zone, has passed or is more than a year off.
    """
    ahead = _AHEAD.fullmatch(text.strip())
    at = _absolute(text) if ahead is None else wall + int(ahead[1]) * _SECONDS[ahead[2]]
    if at < wall - _TOLERANCE:
        raise ConfigurationError(f"the time {text!r} has passed; it is {_iso(wall)} now")
    if at > wall + _FARTHEST:
        raise ConfigurationError(f"the time {text!r} is more than a year off; it is {_iso(wall)} now")
    return _iso(at)


def seconds_of(moment: str) -> float | None:
    """A record's time in seconds since 1970; None if it cannot be read: others may have written it."""
    try:
        return datetime.fromisoformat(moment).timestamp()
    except (ValueError, OverflowError):
        return None


def _absolute(text: str) -> float:
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigurationError(
            f"the time {text!r} is not one; give it as 2026-01-31T22:00Z, with a time zone, or as +10m"
        ) from None
    if parsed.tzinfo is None:
        raise ConfigurationError(f"the time {text!r} has no time zone; add Z for UTC, or as in +01:00")
    return parsed.timestamp()


def _iso(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
