"""What pika's errors mean: one kind and one sentence. pika's exceptions are mapped here and nowhere else."""

import socket

from pika import exceptions
from pika.adapters.utils import connection_workflow

from rabbitkeeper.agent.model.observation import ConnectFailure

_ACCESS_REFUSED = 403
_NOT_ALLOWED = 530  # no such vhost, or no permission in it
_NOT_FOUND = 404


def classify(error: BaseException) -> tuple[ConnectFailure, str]:
    """What kind of failure ``error`` is, and a sentence about it.

    Args:
        error: what pika gave to ``on_open_error_callback`` or ``on_close_callback``.
    """
    cause = _root(error)
    if isinstance(cause, exceptions.ConnectionClosedByBroker):
        return _refusal(int(cause.reply_code), str(cause.reply_text))
    # pika hands these two over with the repr of the broker's refusal, which it only guesses from the state.
    if isinstance(cause, exceptions.ProbableAuthenticationError):
        if "ConnectionClosedByBroker" in str(cause):
            return ConnectFailure.DENIED, f"the broker refuses the credentials: {_quoted(str(cause))}"
        return ConnectFailure.BROKEN, "the broker closed the connection while it was authenticating"
    if isinstance(cause, exceptions.ProbableAccessDeniedError):
        return ConnectFailure.NO_VHOST, f"the broker refuses its vhost: {_quoted(str(cause))}"
    if isinstance(cause, exceptions.AuthenticationError):
        return ConnectFailure.DENIED, "the broker offers no way to log in with a password"
    if isinstance(cause, exceptions.IncompatibleProtocolError):
        return ConnectFailure.BROKEN, "what listens there closed the connection before it spoke AMQP 0-9-1"
    if isinstance(cause, exceptions.ConnectionOpenAborted | connection_workflow.AMQPConnectorStackTimeout):
        return ConnectFailure.SILENT, "the broker accepts connections and does not answer"
    if isinstance(cause, socket.gaierror):
        return ConnectFailure.REFUSED, f"the broker's host is not known: {cause.strerror}"
    if isinstance(cause, TimeoutError):
        return ConnectFailure.REFUSED, "no way to the broker: connecting timed out"
    if isinstance(cause, OSError):
        return ConnectFailure.REFUSED, f"cannot connect: {cause.strerror or cause}"
    if isinstance(cause, exceptions.StreamLostError):
        return ConnectFailure.BROKEN, "the connection broke"
    return ConnectFailure.BROKEN, f"the connection failed: {type(cause).__name__}"


def _refusal(code: int, text: str) -> tuple[ConnectFailure, str]:
    if code == _ACCESS_REFUSED:
        return ConnectFailure.DENIED, f"the broker refuses the credentials: {text}"
    if code in (_NOT_ALLOWED, _NOT_FOUND):
        return ConnectFailure.NO_VHOST, f"the broker refuses its vhost: {text}"
    return ConnectFailure.BROKEN, f"the broker closed the connection: {code} {text}"


def _root(error: BaseException) -> BaseException:
    """The error inside pika's wrappers that says most."""
    if isinstance(error, connection_workflow.AMQPConnectionWorkflowFailed) and error.exceptions:
        return _root(error.exceptions[-1])
    if isinstance(error, connection_workflow.AMQPConnectorPhaseErrorBase):
        return _root(error.exception)
    if type(error) is exceptions.AMQPConnectionError and error.args:
        inner = error.args[0]
        if isinstance(inner, BaseException):
            return _root(inner)
    return error


def _quoted(text: str) -> str:
    """The broker's own words from the repr that pika made of them."""
    start, end = text.find(") '"), text.rfind("'")
    if start == -1:
        start, end = text.find(') "'), text.rfind('"')
    return text[start + 3 : end] if start >= 0 and start + 3 < end else text
