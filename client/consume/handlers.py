"""Handlers: threads that call users' functions with messages, and which of them wait for consumers to end.

A function may stop the consumer that called it, or close the client. It would wait for itself then: for the
answer to its own message, or for the end of its own thread. So who waits for messages or threads asks here
whom not to wait for.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakSet

if TYPE_CHECKING:
    from rabbitkeeper.client.consume.message import Message
    from rabbitkeeper.client.consume.subscription import Subscription


class Handled(NamedTuple):
    """What a thread's function was called with."""

    message: "Message"
    subscription: "Subscription"


class _Here(threading.local):
    handled: Handled | None = None


_here = _Here()
_absent: WeakSet[threading.Thread] = WeakSet()  # threads of handlers that wait for others, or have ended
_changed = threading.Condition()


@contextmanager
def handling(message: "Message", subscription: "Subscription") -> Iterator[None]:
    """This thread calls a function with ``message`` meanwhile."""
    _here.handled = Handled(message, subscription)
    try:
        yield
    finally:
        _here.handled = None


def handled_here() -> Handled | None:
    """What this thread's function was called with, if it is one that has not answered it yet."""
    handled = _here.handled
    return None if handled is None or handled.message.answered else handled


def has_ended() -> None:
    """This thread calls no function any more."""
    with _changed:
        _absent.add(threading.current_thread())
        _changed.notify_all()


def wait_for(threads: Iterable[threading.Thread], deadline: float) -> None:
    """Wait until ``threads`` have ended, until ``deadline`` (seconds, monotonic).

    In a function that a handler has called, its own thread is not waited for, nor those that wait likewise.
    """
    me = threading.current_thread()
    others = [thread for thread in threads if thread is not me]
    if _here.handled is None:
        for thread in others:
            thread.join(max(0.0, deadline - time.monotonic()))
        return
    with _changed:
        _absent.add(me)
        _changed.notify_all()
        try:
            while not _absent.issuperset(others) and (left := deadline - time.monotonic()) > 0:
                _changed.wait(left)
        finally:
            _absent.discard(me)
