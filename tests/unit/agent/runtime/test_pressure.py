"""What the kernel says of a starved host, and what is made of it."""

from pathlib import Path

import pytest

from rabbitkeeper.agent.runtime.pressure import share, starved

CALM = "some avg10=3.20 avg60=1.00 avg300=0.50 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


@pytest.mark.parametrize(
    ("what", "text", "so"),
    [
        ("cpu", "some avg10=79.99 avg60=99.00 avg300=99.00 total=1\n", False),
        ("cpu", "some avg10=80.00 avg60=1.00 avg300=1.00 total=1\n", True),
        ("io", "some avg10=99.00 total=1\nfull avg10=39.00 total=1\n", False),
        ("io", "some avg10=99.00 total=1\nfull avg10=41.00 total=1\n", True),
        ("memory", "some avg10=30.00 avg60=0 total=1\nfull avg10=12.50 avg60=0 avg300=0 total=1\n", True),
        ("cpu", "", False),
        ("cpu", "some avg10=many\n", False),
        ("cpu", "some\n", False),
    ],
)
def test_when_a_host_is_starved(tmp_path: Path, what: str, text: str, so: bool) -> None:
    for each in ("cpu", "io", "memory"):
        (tmp_path / each).write_text(CALM)
    (tmp_path / what).write_text(text)
    assert starved(tmp_path) is so


def test_a_kernel_that_tells_nothing_is_no_evidence(tmp_path: Path) -> None:
    assert not starved(tmp_path / "not there")


def test_a_line_of_one_of_the_files() -> None:
    assert share(CALM, "some") == 3.2
    assert share(CALM, "full") == 0.0
    assert share(CALM, "other") == 0.0
