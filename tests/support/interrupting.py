"""Calls that are interrupted at each of their lines, as by a signal handler that raises."""

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

MOST = 2000  # lines of a call at the most


class Interrupted(BaseException):
    """What a signal handler raises, such as ``KeyboardInterrupt``."""


def interruptions(call: Callable[[], object], folder: str = "/client/") -> Iterator[str]:
    """Make ``call`` again and again: interrupted before its first line in a file of ``folder``, before its
    second, and so on, until it ends without. Yields the place after each; the caller looks what is left."""
    for number in range(MOST):
        place = interrupted(call, number, folder)
        if not place:
            return
        yield place
    raise AssertionError("the call does not end")


def interrupted(call: Callable[[], object], number: int, folder: str = "/client/") -> str:
    """Make ``call``, interrupted before its line ``number``, from 0 on, in a file of ``folder``.

    Returns:
        Where that was; empty if it ended before.
    """
    left, place = number, ""

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left, place
        if folder not in frame.f_code.co_filename:
            return None
        if event == "line":
            if left == 0:
                left -= 1
                place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise Interrupted
            left -= 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except Interrupted:
        pass
    finally:
        sys.settrace(before)
    return place
