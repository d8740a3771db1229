"""Files and folders of a size that a reader takes in, and one meaning for each class's name."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest
from support.source_tree import RABBITKEEPER, ROOT

LINES = 400  # of a file
MODULES = 14  # of a folder, without its ``__init__``
# One word that users of two packages know, each for what they are told.
TWO_MEANINGS = {"Event"}
FOLDERS = ("agent", "client", "coordinator", "compose", "bench", "tests")


def too_long(folder: Path, limit: int = LINES) -> dict[str, int]:
    """Files of more lines, with how many."""
    counts = {
        str(file.relative_to(folder)): len(file.read_text().splitlines()) for file in folder.rglob("*.py")
    }
    return {name: count for name, count in counts.items() if count > limit}


def too_full(folder: Path, limit: int = MODULES) -> dict[str, int]:
    """Folders of more modules, with how many."""
    counts: dict[str, int] = defaultdict(int)
    for file in folder.rglob("*.py"):
        counts[str(file.parent.relative_to(folder))] += file.name != "__init__.py"
    return {name: count for name, count in counts.items() if count > limit}


def same_names() -> dict[str, set[str]]:
    """Classes of one name in more than one module.

    A protocol is left aside: it names what its module needs of another.
    """
    modules: dict[str, set[str]] = defaultdict(set)
    for module in RABBITKEEPER.modules():
        file = RABBITKEEPER.file(module)
        assert file is not None
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and "Protocol" not in map(ast.unparse, node.bases):
                modules[node.name].add(module.removeprefix("rabbitkeeper."))
    return {name: where for name, where in modules.items() if len(where) > 1}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_short(folder: str) -> None:
    assert too_long(ROOT / folder) == {}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_has_few_modules(folder: str) -> None:
    assert too_full(ROOT / folder) == {}


def test_a_class_name_has_one_meaning() -> None:
    assert set(same_names()) == TWO_MEANINGS


def test_what_is_too_large_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    for name in ("__init__", "one", "two"):
        (tmp_path / "room" / f"{name}.py").write_text("a\nb\n")
    assert too_long(tmp_path, 2) == {}
    assert too_long(tmp_path, 1) == {f"room/{name}.py": 2 for name in ("__init__", "one", "two")}
    assert too_full(tmp_path, 2) == {}
    assert too_full(tmp_path, 1) == {"room": 2}
