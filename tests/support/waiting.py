"""Waiting for conditions, each with a deadline."""

import time
from collections.abc import Callable, Iterator

import pytest

PATIENCE = (
    60.0  # seconds; how soon something is done on a host that is busy with others is not for a test to say
)
_PAUSE = 0.005  # seconds between two looks


def wait_for(
    condition: Callable[[], object],
    what: str = "what the test waits for",
    timeout: float = PATIENCE,
    tick: Callable[[], object] | None = None,
) -> float:
    """Wait until ``condition`` holds.

    Args:
        what: is waited for, for the message of a test that fails.
        timeout: seconds.
        tick: called in each turn, as an owner's loop calls ``renew``.

    Returns:
        Seconds that it took.
    """
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout, f"not within {timeout:g} s: {what}"
        if tick is not None:
            tick()
        time.sleep(_PAUSE)
    return time.monotonic() - began


def attempts(seconds: float) -> Iterator[None]:
    """A turn now and then, for a test that ends the loop when it has seen what it waits for.

    Raises:
        pytest.fail.Exception: ``seconds`` have passed.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.2)
    pytest.fail(f"not within {seconds:g} s")
