"""How a process ended, in words."""

import signal

TAIL = 100
"""Lines of a log that are kept of what ended: RabbitMQ's reason for a failed boot is followed by pages."""


def how_it_ended(status: int) -> str:
    """The end of a sentence.

    Args:
        status: the exit code, or the negative number of the signal.
    """
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
