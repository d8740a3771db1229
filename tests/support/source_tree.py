"""The project's own source, read and not imported: its modules, what they say of themselves and import."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "client", "compose", "coordinator")

# What acts on the world or depends on the moment: servers, threads, clocks, chance, files and processes.
IMPURE = frozenset(
    {
        "asyncio",
        "concurrent",
        "ctypes",
        "docker",
        "fastapi",
        "http",
        "httpx",
        "kazoo",
        "logging",
        "multiprocessing",
        "os",
        "pika",
        "queue",
        "random",
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "uvicorn",
    }
)
# Of these, what does not act. Chance that is handed in is an argument like any other.
PURE_NAMES = frozenset(
    {
        ("random", "Random"),
        *(("urllib.parse", name) for name in ("SplitResult", "parse_qsl", "quote", "unquote", "urlsplit")),
    }
)


@dataclass(frozen=True)
class SourceTree:
    """Packages below ``folder`` that are imported as ``prefix``.folder name."""

    folder: Path
    prefix: str
    packages: tuple[str, ...]

    def modules(self) -> Iterator[str]:
        """All modules, by the name under which they are imported; a package is its ``__init__``."""
        for package in self.packages:
            for file in sorted((self.folder / package).rglob("*.py")):
                parts = file.relative_to(self.folder).with_suffix("").parts
                yield ".".join((self.prefix, *(parts[:-1] if parts[-1] == "__init__" else parts)))

    def file(self, module: str) -> Path | None:
        """A module's file; None for what is not ours."""
        if not module.startswith(f"{self.prefix}."):
            return None
        path = self.folder.joinpath(*module.split(".")[self.prefix.count(".") + 1 :])
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
        return None

    def docstring(self, module: str) -> str:
        file = self.file(module)
        assert file is not None, module
        return ast.get_docstring(ast.parse(file.read_text())) or ""

    def calls_itself_pure(self, module: str) -> bool:
        """Its docstring says "Pure", as a sentence of its own, or "one pure decision"."""
        return re.search(r"\bPure\b|\bone pure decision\b", self.docstring(module)) is not None

    def imports(self, module: str) -> set[tuple[str, str]]:
        """What a module imports, anywhere in it: pairs of a module and the name taken from it ("": all)."""
        file = self.file(module)
        assert file is not None, module
        found: set[tuple[str, str]] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {(alias.name, "") for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.module is not None, f"{module} imports relatively"
                found |= {(node.module, alias.name) for alias in node.names}
        return found

    def impurities(self, module: str, not_followed: tuple[str, ...] = ()) -> list[str]:
        """How a module comes to import what acts: one chain of imports each, and none for a pure module.

        Args:
            module: where to begin.
            not_followed: packages whose own imports do not count.
        """
        chains: list[str] = []
        seen: set[str] = {module}
        todo: list[tuple[str, ...]] = [(module,)]
        while todo:
            chain = todo.pop()
            for source, name in sorted(self.imports(chain[-1])):
                if source.partition(".")[0] in IMPURE and (source, name) not in PURE_NAMES:
                    chains.append(" → ".join((*chain, source)))
                for ours in (source, f"{source}.{name}"):
                    follow = not ours.startswith(not_followed)  # by no prefix at all, if there is none
                    if follow and ours not in seen and self.file(ours) is not None:
                        seen.add(ours)
                        todo.append((*chain, ours))
        return chains


RABBITKEEPER = SourceTree(ROOT, "rabbitkeeper", PACKAGES)
