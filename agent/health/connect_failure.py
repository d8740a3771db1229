"""What pika's errors mean: one kind and one sentence. pika's exceptions are mapped here and nowhere else."""

import socket

from pika import exceptions
from pika.adapters.utils import connection_workflow

from rabbitkeeper.agent.model.observation import ConnectFailure
from rabbitkeeper.coordinator.model.broker_replies import RefusalReason, Reply, causes, reply_in


def classify(error: BaseException) -> tuple[ConnectFailure, str]:
    """What kind of failure ``error`` is, and a sentence about it.

    Args:
        error: what pika gave to ``on_open_error_callback`` or ``on_close_callback``.
    """
    cause = causes(error)[-1]
    if isinstance(cause, exceptions.ConnectionClosedByBroker):
        return _closed(Reply(int(cause.reply_code), str(cause.reply_text)))
    # pika hands these two over with the repr of the broker's refusal, which it only guesses from the state.
    if isinstance(cause, exceptions.ProbableAuthenticationError):
        reply = reply_in(str(cause))
        if reply is not None:  # a broker that shuts down, or cannot ask who one is, closes it here too
            return _closed(reply)
        return ConnectFailure.BROKEN, "the broker closed the connection while it was authenticating"
    if isinstance(cause, exceptions.ProbableAccessDeniedError):
        reply = reply_in(str(cause))
        if reply is None:
            return ConnectFailure.BROKEN, "the broker closed the connection while its vhost was opened"
        return _closed(reply)
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


def _closed(reply: Reply) -> tuple[ConnectFailure, str]:
    match reply.refusal:
        case RefusalReason.CREDENTIALS:
            return ConnectFailure.DENIED, f"the broker refuses the credentials: {reply.text}"
        case RefusalReason.VIRTUAL_HOST:
            return ConnectFailure.NO_VHOST, f"the broker refuses its vhost: {reply.text}"
        case None:
            return ConnectFailure.BROKEN, f"the broker closed the connection: {reply.code} {reply.text}"
