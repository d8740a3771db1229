"""pika's many ways to say that a connection failed, as one value."""

from pika import exceptions

from rabbitkeeper.client.amqp.transport import ConnectionLost
from rabbitkeeper.coordinator.model.broker_replies import RefusalReason, Reply, causes, reply_in

_WHAT = {RefusalReason.CREDENTIALS: "user name or password", RefusalReason.VIRTUAL_HOST: "virtual host"}


def connection_lost(error: BaseException) -> ConnectionLost:
    """What ``error`` means.

    Args:
        error: what pika gave to ``on_open_error_callback`` or ``on_close_callback``.
    """
    chain = causes(error)
    for cause in chain:
        if isinstance(cause, exceptions.ConnectionClosedByBroker):
            reply = Reply(cause.reply_code, cause.reply_text)
            return ConnectionLost(
                f"closed by the broker: {reply.code} {reply.text}",
                refused=_is_final(reply),
                code=int(reply.code),
            )
        if isinstance(cause, exceptions.ProbableAuthenticationError | exceptions.ProbableAccessDeniedError):
            # pika guesses these from the phase in which the connection ended, also when the broker died in
            # it; only a closing method of the broker is a refusal
            quoted = reply_in(str(cause))
            if quoted is not None and quoted.refusal is not None and _is_final(quoted):
                return ConnectionLost(
                    f"the broker refused the {_WHAT[quoted.refusal]}: {quoted.text}", refused=True
                )
            if quoted is not None and quoted.may_pass:
                why = f"the broker lets nobody in at the moment: {quoted.text}"
                return ConnectionLost(why, code=quoted.code)
            return ConnectionLost("the connection broke while it was being opened")
    return ConnectionLost(str(chain[-1]) or type(chain[-1]).__name__)


def _is_final(reply: Reply) -> bool:
    return reply.refusal is not None and not reply.may_pass
