"""Faults that tests plant in what is well, so that they can show to be found."""

from collections.abc import Callable
from typing import Any

import pytest

Plant = Callable[[pytest.MonkeyPatch], None]


def instead(owner: object, name: str, wrong: Callable[..., Any]) -> Plant:
    """Have ``wrong`` called with the right one first, then with the arguments.

    Args:
        owner: class or module that has the right one.
        name: of the right one there.
    """
    right = getattr(owner, name)

    def plant(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(owner, name, lambda *given, **named: wrong(right, *given, **named))

    return plant


def nothing(_right: object, *_given: object, **_named: object) -> None:
    """Forget it."""


def both(one: Plant, other: Plant) -> Plant:
    """Two at once, each of which the other would make up for."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        one(patch)
        other(patch)

    return plant
