"""What decides and what is data does no I/O and looks at no clock: by what it imports, all the way down."""

import ast
import importlib.util
from pathlib import Path

import pytest

IMPURE = {"kazoo", "pika", "asyncio", "threading", "time", "socket", "logging", "os", "random", "subprocess"}


def imports(module: str) -> set[str]:
    """All that ``module`` imports, and what those of our own import."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    found: set[str] = set()
    for node in ast.walk(ast.parse(Path(spec.origin).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    for name in {one for one in found if one.startswith("rabbitkeeper.")}:
        found |= imports(name)
    return found


def modules(*rooms: str) -> list[str]:
    """All modules in these folders of the coordinator."""
    folder = Path(importlib.import_module("rabbitkeeper.coordinator").__path__[0])
    return [f"{room}.{file.stem}" for room in rooms for file in sorted((folder / room).glob("[!_]*.py"))]


@pytest.mark.parametrize("module", [*modules("model", "policy", "backend"), "zookeeper.session_state"])
def test_it_imports_nothing_that_acts(module: str) -> None:
    found = imports(f"rabbitkeeper.coordinator.{module}")
    assert {name.partition(".")[0] for name in found} & IMPURE == set()


def test_the_coordinator_knows_nothing_of_the_other_packages() -> None:
    folder = Path(importlib.import_module("rabbitkeeper.coordinator").__path__[0])
    for file in folder.rglob("*.py"):
        text = file.read_text()
        for other in ("agent", "client", "compose"):
            assert f"rabbitkeeper.{other}" not in text, file
