"""What decides and what is data does no I/O and looks at no clock: by what it imports, all the way down."""

from pathlib import Path

import pytest
from support.source_tree import RABBITKEEPER, ROOT, SourceTree

# What is data or decides, and is in a room with what acts.
BESIDE = {"rabbitkeeper.coordinator.backend.lease", "rabbitkeeper.coordinator.backend.node"}


def must_be_pure(module: str) -> bool:
    """Records and states, what decides for the group, and whatever calls itself pure."""
    return (
        ".model." in module
        or module.startswith("rabbitkeeper.coordinator.policy.")
        or module in BESIDE
        or RABBITKEEPER.calls_itself_pure(module)
    )


# The agent's configuration is a value to whoever takes it; that it is read from files does not matter there.
VALUES = ("rabbitkeeper.agent.config",)
# An event of the client carries the time of day, for people.
FOR_PEOPLE = {"rabbitkeeper.client.model.events → time"}

PURE = [module for module in RABBITKEEPER.modules() if must_be_pure(module)]


@pytest.mark.parametrize("module", PURE)
def test_it_imports_nothing_that_acts(module: str) -> None:
    assert set(RABBITKEEPER.impurities(module, VALUES)) <= FOR_PEOPLE


def test_the_parts_that_decide_are_among_them() -> None:
    decide = {
        "coordinator.policy.election",
        "agent.health.judge",
        "agent.cluster.formation_plan",
        "agent.cluster.suspects",
        "client.routing.switch",
        "client.routing.placement",
        "client.publish.ledger",
    }
    assert {f"rabbitkeeper.{module}" for module in decide} <= set(PURE)


def test_the_coordinator_knows_nothing_of_the_other_packages() -> None:
    for file in (ROOT / "coordinator").rglob("*.py"):
        text = file.read_text()
        for other in ("agent", "client", "compose"):
            assert f"rabbitkeeper.{other}" not in text, file


# -- the test's own eyes


@pytest.fixture
def tree(tmp_path: Path) -> SourceTree:
    """Made up: a pure module that imports a rule, and the rule imports data."""
    for path, text in {
        "part/__init__.py": "",
        "part/decide.py": '"""What to do. Pure."""\nfrom random import Random\nfrom made.part import rule\n',
        "part/rule.py": '"""A rule."""\nfrom made.part.data import Facts\n',
        "part/data.py": '"""Purely by chance it is about facts."""\nfrom dataclasses import dataclass\n',
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return SourceTree(tmp_path, "made", ("part",))


def test_what_is_pure_is_found_by_its_own_word(tree: SourceTree) -> None:
    assert [module for module in tree.modules() if tree.calls_itself_pure(module)] == ["made.part.decide"]


@pytest.mark.parametrize(
    "planted", ["import time", "from threading import Lock", "from random import random"]
)
def test_what_acts_is_found_however_deep_it_lies(tree: SourceTree, planted: str) -> None:
    assert tree.impurities("made.part.decide") == []
    with (tree.folder / "part" / "data.py").open("a") as file:
        file.write(f"def late():\n    {planted}\n")
    (chain,) = tree.impurities("made.part.decide")
    assert chain.startswith("made.part.decide → made.part.rule → made.part.data → ")
