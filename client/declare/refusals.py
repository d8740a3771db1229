"""Refusals of declarations: which may pass, and for how long that is waited for. Pure."""

from rabbitkeeper.client.model.retry import doubled
from rabbitkeeper.coordinator.model.reply_codes import ReplyCode

RESTORE_ATTEMPTS = 8  # of one entity on one connection, in about three seconds; then it is reported
SLOW_RETRY = 5.0  # seconds between the later attempts, half of it jitter
ANSWER_PATIENCE = 1.0  # seconds for the answer to a declaration; doubled for each entity that has had none …
MOST_ANSWER_PATIENCE = 16.0  # … up to this

PASSING = frozenset(
    {
        ReplyCode.NOT_FOUND,
        ReplyCode.RESOURCE_LOCKED,
        ReplyCode.RESOURCE_ERROR,
        ReplyCode.INTERNAL_ERROR,
    }
)
"""Those that can pass by themselves."""

ENDS_CONNECTION = frozenset(
    {
        ReplyCode.SYNTAX_ERROR,
        ReplyCode.COMMAND_INVALID,
        ReplyCode.CHANNEL_ERROR,
        ReplyCode.UNEXPECTED_FRAME,
        ReplyCode.RESOURCE_ERROR,
        ReplyCode.NOT_IMPLEMENTED,
        ReplyCode.INTERNAL_ERROR,
    }
)
"""Those of connections that a declaration can be the cause of."""

_PASSES = ("is down or inaccessible", "process is stopped by supervisor")  # of a queue whose node restarts


def passes_for_user(code: int, why: str) -> bool:
    """Whether a refusal of what a user asks for can pass: who names something wrongly should hear of it at
    once."""
    return code in PASSING and (code != ReplyCode.NOT_FOUND or any(text in why for text in _PASSES))


def patience(doublings: int) -> float:
    """Seconds to wait for an answer, after so many that did not come."""
    return doubled(ANSWER_PATIENCE, doublings, MOST_ANSWER_PATIENCE)
