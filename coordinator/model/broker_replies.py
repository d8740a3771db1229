"""What a broker says when it turns a connection away, found in the errors that pika makes of it. Pure.

pika wraps errors in one another, and hands some refusals over as text only: the representation of the error
that it had. Whoever connects with pika reads both here, so that the texts are known in one place; pika itself
is not imported.

RabbitMQ's replies are AMQP 0-9-1's, with the name of the code first: ``403 ACCESS_REFUSED - Login was
refused …``.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

from rabbitkeeper.coordinator.model.reply_codes import ReplyCode

# pika's words for what has happened to a whole connection; what they carry along is not the reason.
_FINAL = frozenset({"StreamLostError", "IncompatibleProtocolError"})
_DEPTH = 8  # errors inside one another at the most
_CLOSED = re.compile(r"""ConnectionClosedByBroker: \((\d+)\) (['"])(.*)\2""", re.DOTALL)


class RefusalReason(Enum):
    """What a broker turned away."""

    CREDENTIALS = auto()
    VIRTUAL_HOST = auto()  # there is none of this name, it is not this user's, or it is down


@dataclass(frozen=True, slots=True)
class Reply:
    """How the broker closed a connection: AMQP's ``connection.close``."""

    code: int
    text: str

    @property
    def refusal(self) -> RefusalReason | None:
        """What it refuses; None for other reasons to close a connection."""
        if self.code == ReplyCode.ACCESS_REFUSED:
            return RefusalReason.CREDENTIALS
        return (
            RefusalReason.VIRTUAL_HOST if self.code in (ReplyCode.NOT_ALLOWED, ReplyCode.NOT_FOUND) else None
        )

    @property
    def may_pass(self) -> bool:
        """Whether the same attempt may succeed later: a virtual host is down while its broker boots, or has
        as many connections as it may have."""
        return "is down" in self.text or ("limit" in self.text and "is reached" in self.text)


def causes(error: BaseException) -> list[BaseException]:
    """``error`` and what is wrapped in it, the innermost last, which says most."""
    chain: list[BaseException] = []
    cause: object = error
    while isinstance(cause, BaseException) and len(chain) < _DEPTH:
        chain.append(cause)
        if type(cause).__name__ in _FINAL:
            break
        # pika's: a workflow has the errors of its attempts, a phase the error that ended it
        nested = getattr(cause, "exceptions", None) or [
            argument for argument in cause.args if isinstance(argument, Exception)
        ]
        cause = getattr(cause, "exception", None) or (nested[-1] if nested else None)
    return chain


def reply_in(text: str) -> Reply | None:
    """The broker's reply that pika has written into a text; None if there is none."""
    match = _CLOSED.search(text)
    return None if match is None else Reply(int(match[1]), match[3])
