"""Waiting for conditions, each with a deadline."""

import time
from collections.abc import Callable


def await_that(
    condition: Callable[[], object], timeout: float = 20.0, tick: Callable[[], object] | None = None
) -> float:
    """Wait until ``condition`` holds.

    Args:
        tick: called in each turn, as an owner's loop calls ``renew``.

    Returns:
        Seconds that it took.
    """
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout, f"not within {timeout} s"
        if tick is not None:
            tick()
        time.sleep(0.005)
    return time.monotonic() - began
