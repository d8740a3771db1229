"""How many cases a test makes up: all of them, or a quarter for those who wait for the result.

``./dev test unit`` is quick, every other way of running the tests is not.
"""

import os

QUICK = os.environ.get("RABBITKEEPER_TESTS") == "quick"


def examples(count: int) -> int:
    """How many examples to try of ``count``."""
    return max(count // 4, 1) if QUICK else count


def seeds(count: int) -> range:
    """The seeds to try of ``count``."""
    return range(max(count // 2, 1)) if QUICK else range(count)
