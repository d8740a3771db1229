"""pika's errors, each taken for what it is."""

import socket

import pytest
from pika import exceptions
from pika.adapters.utils import connection_workflow as workflow

from rabbitkeeper.agent.health.connect_failure import classify
from rabbitkeeper.agent.model.observation import ConnectFailure

REFUSED = repr(exceptions.ConnectionClosedByBroker(403, "ACCESS_REFUSED - Login was refused"))
SHUTDOWN = repr(
    exceptions.ConnectionClosedByBroker(320, "CONNECTION_FORCED - broker forced connection closure")
)
CRASHED = repr(exceptions.ConnectionClosedByBroker(541, "INTERNAL_ERROR"))
NO_VHOST = repr(exceptions.ConnectionClosedByBroker(530, "NOT_ALLOWED - vhost rabbitkeeper not found"))


def wrapped(error: Exception) -> exceptions.AMQPConnectionError:
    socket_error = workflow.AMQPConnectorSocketConnectError(error)
    return exceptions.AMQPConnectionError(workflow.AMQPConnectionWorkflowFailed([socket_error]))


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (
            wrapped(ConnectionRefusedError(111, "Connection refused")),
            ConnectFailure.REFUSED,
            "cannot connect: Connection refused",
        ),
        (
            wrapped(TimeoutError("TCP connection attempt timed out")),
            ConnectFailure.REFUSED,
            "no way to the broker: connecting timed out",
        ),
        (
            wrapped(socket.gaierror(-2, "Name or service not known")),
            ConnectFailure.REFUSED,
            "the broker's host is not known: Name or service not known",
        ),
        (
            exceptions.ProbableAuthenticationError(REFUSED),
            ConnectFailure.DENIED,
            "the broker refuses the credentials: ACCESS_REFUSED - Login was refused",
        ),
        (
            exceptions.ProbableAccessDeniedError(NO_VHOST),
            ConnectFailure.NO_VHOST,
            "the broker refuses its vhost: NOT_ALLOWED - vhost rabbitkeeper not found",
        ),
        (
            exceptions.ProbableAuthenticationError(repr(exceptions.StreamLostError("EOF"))),
            ConnectFailure.BROKEN,
            "the broker closed the connection while it was authenticating",
        ),
        (
            exceptions.ProbableAuthenticationError(SHUTDOWN),
            ConnectFailure.BROKEN,
            "the broker closed the connection: 320 CONNECTION_FORCED - broker forced connection closure",
        ),
        (
            exceptions.ProbableAuthenticationError(CRASHED),
            ConnectFailure.BROKEN,
            "the broker closed the connection: 541 INTERNAL_ERROR",
        ),
        (
            exceptions.ProbableAccessDeniedError(CRASHED),
            ConnectFailure.BROKEN,
            "the broker closed the connection: 541 INTERNAL_ERROR",
        ),
        (
            exceptions.ProbableAccessDeniedError(repr(exceptions.StreamLostError("EOF"))),
            ConnectFailure.BROKEN,
            "the broker closed the connection while its vhost was opened",
        ),
        (
            exceptions.ConnectionOpenAborted("Connection.close() called before connection finished opening"),
            ConnectFailure.SILENT,
            "the broker accepts connections and does not answer",
        ),
        (
            exceptions.ConnectionClosedByBroker(320, "CONNECTION_FORCED - broker forced connection closure"),
            ConnectFailure.BROKEN,
            "the broker closed the connection: 320 CONNECTION_FORCED - broker forced connection closure",
        ),
        (
            exceptions.StreamLostError("Transport indicated EOF"),
            ConnectFailure.BROKEN,
            "the connection broke",
        ),
        (RuntimeError("x"), ConnectFailure.BROKEN, "the connection failed: RuntimeError"),
    ],
)
def test_what_an_error_means(error: Exception, kind: ConnectFailure, sentence: str) -> None:
    assert classify(error) == (kind, sentence)
