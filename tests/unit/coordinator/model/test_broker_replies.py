"""What a broker's refusal is taken for, with pika's own errors."""

import pytest
from pika import exceptions
from pika.adapters.utils import connection_workflow as workflow

from rabbitkeeper.coordinator.model.broker_replies import RefusalReason, Reply, causes, reply_in


def test_the_innermost_cause_comes_last() -> None:
    refused = ConnectionRefusedError(111, "Connection refused")
    phase = workflow.AMQPConnectorSocketConnectError(refused)
    failed = workflow.AMQPConnectionWorkflowFailed([ValueError("an earlier attempt"), phase])
    error = exceptions.AMQPConnectionError(failed)
    assert causes(error) == [error, failed, phase, refused]


def test_what_a_lost_stream_carries_along_is_not_the_reason() -> None:
    lost = exceptions.StreamLostError(ConnectionRefusedError(111, "Connection refused"))
    assert causes(exceptions.AMQPConnectionError(lost))[-1] is lost


def test_an_error_that_contains_itself_ends() -> None:
    error = workflow.AMQPConnectorSocketConnectError(ValueError())
    error.exception = error
    assert set(causes(error)) == {error}


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN"),
        (530, "NOT_ALLOWED - access to vhost '/' refused for user 'app'"),
        (530, 'NOT_ALLOWED - vhost "odd" not found'),
    ],
)
def test_a_reply_is_found_in_what_pika_makes_of_it(code: int, text: str) -> None:
    error = exceptions.ProbableAuthenticationError(repr(exceptions.ConnectionClosedByBroker(code, text)))
    assert reply_in(str(error)) == Reply(code, text)


def test_a_lost_stream_is_no_reply() -> None:
    error = exceptions.ProbableAuthenticationError(repr(exceptions.StreamLostError("EOF")))
    assert reply_in(str(error)) is None


@pytest.mark.parametrize(
    ("reply", "refusal", "may_pass"),
    [
        (Reply(403, "ACCESS_REFUSED - Login was refused"), RefusalReason.CREDENTIALS, False),
        (Reply(530, "NOT_ALLOWED - vhost x not found"), RefusalReason.VIRTUAL_HOST, False),
        (
            Reply(530, "NOT_ALLOWED - vhost '/' is down"),
            RefusalReason.VIRTUAL_HOST,
            True,
        ),
        (Reply(320, "CONNECTION_FORCED - broker forced connection closure"), None, False),
    ],
)
def test_what_is_refused(reply: Reply, refusal: RefusalReason | None, may_pass: bool) -> None:
    assert (reply.refusal, reply.may_pass) == (refusal, may_pass)
