"""Refusals of declarations: which may pass, and for how long that is waited for. Pure."""

from rabbitkeeper.client.model.retry import doubled

RESTORE_ATTEMPTS = 8  # of one entity on one connection, in about three seconds; then it is reported
SLOW_RETRY = 5.0  # seconds between the later attempts, half of it jitter
ANSWER_PATIENCE = 1.0  # seconds for the answer to a declaration; doubled for each entity that has had none …
MOST_ANSWER_PATIENCE = 16.0  # … up to this

ACCESS_REFUSED, NOT_FOUND, RESOURCE_LOCKED = 403, 404, 405
PASSING = frozenset({NOT_FOUND, RESOURCE_LOCKED, 506, 541})
"""Those that can pass by themselves; 506 and 541 are resource and internal errors."""

ENDS_CONNECTION = frozenset({502, 503, 504, 505, 506, 540, 541})
"""Those of connections that a declaration can be the cause of."""

_PASSES = ("is down or inaccessible", "process is stopped by supervisor")  # of a queue whose node restarts


def passes_for_user(code: int, why: str) -> bool:
    """Whether a refusal of what a user asks for can pass: who names something wrongly should hear of it at
    once."""
    return code in PASSING and (code != NOT_FOUND or any(text in why for text in _PASSES))


def patience(doublings: int) -> float:
    """Seconds to wait for an answer, after so many that did not come."""
    return doubled(ANSWER_PATIENCE, doublings, MOST_ANSWER_PATIENCE)
