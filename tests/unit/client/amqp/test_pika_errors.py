"""pika's errors, each as the engine is told of it: refused for good, or worth another attempt."""

import pytest
from pika import exceptions
from pika.adapters.utils import connection_workflow as workflow

from rabbitkeeper.client.amqp.pika_errors import connection_lost
from rabbitkeeper.client.amqp.transport import ConnectionLost

LOGIN = exceptions.ConnectionClosedByBroker(403, "ACCESS_REFUSED - Login was refused")
NO_VHOST = exceptions.ConnectionClosedByBroker(530, "NOT_ALLOWED - vhost x not found")
DOWN = exceptions.ConnectionClosedByBroker(530, "NOT_ALLOWED - access to vhost '/' refused: it is down")
FULL = exceptions.ConnectionClosedByBroker(
    530, "NOT_ALLOWED - access to vhost '/' refused for user 'app': connection limit (5) is reached"
)
SHUT = exceptions.ConnectionClosedByBroker(320, "CONNECTION_FORCED - broker forced connection closure")
EOF_ERROR = exceptions.StreamLostError("Transport indicated EOF")


def while_opening(error: Exception) -> exceptions.AMQPConnectionError:
    phase = workflow.AMQPConnectorAMQPHandshakeError(error)
    return exceptions.AMQPConnectionError(workflow.AMQPConnectionWorkflowFailed([phase]))


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (
            while_opening(exceptions.ProbableAuthenticationError(repr(LOGIN))),
            ConnectionLost(
                "the broker refused the user name or password: ACCESS_REFUSED - Login was refused", True
            ),
        ),
        (
            while_opening(exceptions.ProbableAccessDeniedError(repr(NO_VHOST))),
            ConnectionLost("the broker refused the virtual host: NOT_ALLOWED - vhost x not found", True),
        ),
        (
            while_opening(exceptions.ProbableAccessDeniedError(repr(DOWN))),
            ConnectionLost(f"the broker lets nobody in at the moment: {DOWN.reply_text}", code=530),
        ),
        (
            while_opening(exceptions.ProbableAccessDeniedError(repr(FULL))),
            ConnectionLost(f"the broker lets nobody in at the moment: {FULL.reply_text}", code=530),
        ),
        (
            while_opening(exceptions.ProbableAuthenticationError(repr(EOF_ERROR))),
            ConnectionLost("the connection broke while it was being opened"),
        ),
        (
            SHUT,
            ConnectionLost(
                "closed by the broker: 320 CONNECTION_FORCED - broker forced connection closure", code=320
            ),
        ),
        (EOF_ERROR, ConnectionLost("Transport indicated EOF")),
        (
            while_opening(ConnectionRefusedError(111, "Connection refused")),
            ConnectionLost("[Errno 111] Connection refused"),
        ),
        (RuntimeError(), ConnectionLost("RuntimeError")),
    ],
)
def test_what_an_error_means(error: Exception, lost: ConnectionLost) -> None:
    assert connection_lost(error) == lost
