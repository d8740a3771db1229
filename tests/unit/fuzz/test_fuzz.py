"""A few inputs of each fuzz target, always the same; CONTRIBUTING.md says how to try for longer."""

import pytest
from support.effort import examples
from support.fuzz import runner
from support.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found_in_what_is_nearly_right(name: str) -> None:
    target, good, count = TARGETS[name]
    report = runner.run(target, good, seed=1, count=examples(count * 4))
    assert not report.findings, str(report)


def test_a_mistake_would_be_found() -> None:
    def target(data: bytes) -> None:
        data.decode()  # refuses what is not UTF-8 with an error that is not meant

    report = runner.run(target, [b"hello"], seed=1, count=200)
    assert any(where.startswith("UnicodeDecodeError") for where in report.findings)
