"""Server-sent events out of bytes (HTML Living Standard, section 9.2). Pure, and bounded.

A stream is made of lines; a line that is empty ends an event. What is not needed here (``retry``, a byte
order mark) is passed over.
"""

from dataclasses import dataclass

LARGEST = 4 * 2**20  # bytes of one event; that of a group of a thousand members has one million


class StreamError(Exception):
    """These bytes are no stream of events that is taken."""


@dataclass(frozen=True, slots=True)
class SentEvent:
    """One event."""

    name: str
    data: bytes
    identity: str | None = None  # what to ask for what comes after it with


class EventStream:
    """Takes bytes as they come.

    Args:
        largest: bytes of an event at the most.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._rest = b""  # of a line that has not ended
        self._size = 0  # of the event that is being read
        self._name = ""
        self._data: list[bytes] = []
        self._identity: str | None = None

    def feed(self, data: bytes) -> list[SentEvent]:
        """The events that ``data`` ends; comments end none.

        Raises:
            StreamError: an event is larger than it may be.
        """
        *lines, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n")
        events = []
        for line in lines:
            if line:
                self._field(line)
                self._size += len(line)
            else:
                events += self._end()
            if self._size > self._largest:
                break
        if self._size + len(self._rest) > self._largest:
            raise StreamError(f"an event is larger than {self._largest} bytes")
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"event":
                self._name = value.decode(errors="replace")
            case b"data":
                self._data.append(value)
            case b"id":
                self._identity = value.decode(errors="replace")

    def _end(self) -> list[SentEvent]:
        name, data = self._name or "message", self._data
        self._name, self._data, self._size = "", [], 0
        return [SentEvent(name, b"\n".join(data), self._identity)] if data else []
