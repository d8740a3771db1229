"""A log for machines: each record of :mod:`logging` as one JSON object on a line of its own.

Of agents and of clients, so that one query finds a thing in the logs of both. What a line is about (an epoch,
an event, an operation) is given by who logs it, with ``extra``, under the names of :data:`FIELDS`.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from rabbitkeeper.coordinator.model.text import printable_json

FIELDS = ("group", "member", "epoch", "event", "event_id", "operation_id", "about", "state", "cause")
"""What a line can be about: a record's attribute of this name, or the same of its surroundings."""


class JsonLines(logging.Formatter):
    """An object a line: ``time``, ``level``, ``logger``, ``message``, what is known of :data:`FIELDS`, and
    ``exception`` where there is one.

    A handler with it writes what `jq` and log shippers read. Whatever a message holds, it stays on its line.

    Args:
        fields: what holds for all lines, as in ``{"group": "orders"}``.
        now: what holds at the moment of a line; called on the thread that logs, and must not wait.
    """

    def __init__(
        self,
        fields: Mapping[str, object] | None = None,
        *,
        now: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        super().__init__()
        self._fields = dict(fields or {})
        self._now = now

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **known_fields(record, {**self._fields, **self._now()}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return printable_json(json.dumps(line, ensure_ascii=False, default=str))


def known_fields(record: logging.LogRecord, context: Mapping[str, object]) -> dict[str, object]:
    """The :data:`FIELDS` that are known of a record.

    Args:
        context: what its surroundings say; the record itself goes before.
    """
    values = {name: getattr(record, name, context.get(name)) for name in FIELDS}
    return {name: value for name, value in values.items() if value is not None}


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
