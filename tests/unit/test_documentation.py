"""The pages: their links lead somewhere, and the decisions are numbered, of one form and in their index."""

import re
from pathlib import Path

import pytest
from support.source_tree import ROOT

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
# What the architecture has a place for, and nobody has written yet; and what the demo writes.
TO_COME = {"coordinator/etcd/backend.py", "agent/loop/standalone_mode.py", "compose/.env"}
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})


def anchors(page: Path) -> set[str]:
    """What a link can point at in a page: its headings, as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_it(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [file.name[:4] for file in DECISIONS] == [
        f"{number:04}" for number in range(1, len(DECISIONS) + 1)
    ]


@pytest.mark.parametrize("file", DECISIONS, ids=lambda file: file.name[:4])
def test_a_decision_says_what_was_seen_chosen_and_not_chosen(file: Path) -> None:
    text = file.read_text()
    assert text.startswith(f"# {file.name[:4]}: ")
    parts = ("**Seen.**", "**Chosen.**", "**Not chosen.**")
    places = [text.find(f"\n{part}") for part in parts]
    assert -1 not in places
    assert places == sorted(places)


def test_the_index_has_every_decision_in_its_order() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    assert re.findall(r"\]\((\d{4}[^)]*)\)", index) == [file.name for file in DECISIONS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_is_named_exists(page: Path) -> None:
    places = "agent|bench|client|compose|coordinator|docs|examples|tests"
    named = re.findall(rf"`((?:{places})/[\w./-]*)`", page.read_text())
    missing = {name for name in named if not (ROOT / name).exists() and "NAME" not in name}
    assert missing <= TO_COME
