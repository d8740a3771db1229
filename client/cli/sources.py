"""Where ``publish`` takes its messages from: the command line, files, standard input; and what they make.

Files are read twice, the first time for their mistakes, so that a bad line is told before anything is sent. A
pipe can be read only once, so there a bad line is told when it comes.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from rabbitkeeper.client.amqp.properties import NUMBERS, PLAIN_PROPERTIES, BasicProperties, message_id_of
from rabbitkeeper.client.cli.message_lines import Outgoing, decode_base64, decode_line
from rabbitkeeper.client.model.checks import shown
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.publish.templates import Templates
from rabbitkeeper.coordinator.model.errors import ConfigurationError

STANDARD_INPUT = "-"

Form = Literal["lines", "json", "base64", "whole"]
"""What a file holds: a body a line, a message in JSON a line, base64 of a body a line; or one body."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """A message, and where it stands, for errors: ``orders.jsonl, line 17``."""

    where: str
    message: Outgoing


class MessageSources:
    """What is to be published, in order.

    Args:
        form: what each file holds.
        exchange, routing_key, properties: of what does not say so itself.
        standard_input: opens it.
    """

    def __init__(
        self,
        form: Form,
        exchange: str,
        routing_key: str,
        properties: Mapping[str, Any],
        standard_input: Callable[[], BinaryIO],
    ) -> None:
        self._form = form
        self._place = (exchange, routing_key)
        self._properties = properties
        self._standard_input = standard_input
        self._templates = Templates()

    def of_texts(self, texts: Iterable[str]) -> list[Numbered]:
        """Those of the command line.

        Raises:
            ConfigurationError: one is no message.
        """
        return [
            self._numbered(f"message {number}", os.fsencode(text)) for number, text in enumerate(texts, 1)
        ]

    def of_files(self, names: Iterable[str]) -> Iterator[Numbered]:
        """Those of files, one after the other; ``-`` is standard input.

        Raises:
            ConfigurationError: a line is no message, or a file cannot be read.
        """
        for name in names:
            if name == STANDARD_INPUT:
                yield from self._of(self._standard_input(), "standard input")
                continue
            try:
                with Path(name).open("rb") as file:
                    yield from self._of(file, name)
            except OSError as error:
                raise ConfigurationError(f"{name} cannot be read: {error.strerror or error}") from None

    def count(self, names: Iterable[str]) -> int | None:
        """How many messages files have; None when that shows only as they come. All are looked at.

        Raises:
            ConfigurationError: a line is no message, or a file cannot be read.
        """
        files = [name for name in names if name != STANDARD_INPUT]
        total: int | None = 0
        for name in files:
            try:
                regular = stat.S_ISREG(Path(name).stat().st_mode)
            except OSError as error:
                raise ConfigurationError(f"{name} cannot be read: {error.strerror or error}") from None
            if not regular:
                total = None
                continue
            found = sum(1 for _ in self.of_files([name]))
            total = None if total is None else total + found
        return total if len(files) == len(list(names)) else None

    def _of(self, file: BinaryIO, name: str) -> Iterator[Numbered]:
        if self._form == "whole":
            yield self._numbered(name, file.read())
            return
        for number, line in enumerate(file, 1):
            text = line.rstrip(b"\r\n")
            if text or self._form == "lines":  # an empty body is a body; a line of JSON is none
                yield self._numbered(f"{name}, line {number}", text)

    def _numbered(self, where: str, text: bytes) -> Numbered:
        try:
            message = self._made(text)
            if message.properties is not None:
                message_id_of(message.properties)
            self._templates.get(message.exchange, message.routing_key, message.properties, mandatory=True)
            _check_place(message)
        except InvalidArgument as error:
            raise ConfigurationError(f"{where}: {error}") from None
        return Numbered(where, message)

    def _made(self, text: bytes) -> Outgoing:
        if self._form == "json":
            return decode_line(text, *self._place, self._properties)
        body = decode_base64(text, "the line") if self._form == "base64" else text
        return Outgoing(*self._place, body, BasicProperties(**self._properties) if self._properties else None)


def _check_place(message: Outgoing) -> None:
    if not message.exchange and not message.routing_key:
        raise InvalidArgument("goes nowhere: give --key QUEUE or --exchange NAME, or write routing_key")


def read_properties(given: Iterable[str], headers: Iterable[str]) -> dict[str, Any]:
    """Properties of ``NAME=VALUE`` each, and ``headers`` of the same among them, which are strings.

    Raises:
        ConfigurationError: one is not so, or there is no such property.
    """
    properties: dict[str, Any] = {}
    for text in given:
        name, value = _pair("--property", text)
        name = name.replace("-", "_")
        if name not in PLAIN_PROPERTIES:
            raise ConfigurationError(
                f"--property {shown(text)}: there is no {name}; use one of {', '.join(PLAIN_PROPERTIES)}"
            )
        if name in NUMBERS and not (value.isascii() and value.isdigit()):
            raise ConfigurationError(f"--property {shown(text)}: {name} is a whole number")
        properties[name] = int(value) if name in NUMBERS else value
    made = dict(_pair("--header", text) for text in headers)
    if made:
        properties["headers"] = made
    return properties


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ConfigurationError(f"{option} {shown(text)} is not valid: use NAME=VALUE")
    return name, value
