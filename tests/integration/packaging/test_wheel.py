"""The wheel, built and installed into an empty environment, as a user gets it."""

import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from support.source_tree import PACKAGES, ROOT

# What earlier versions document, in their guides and examples: it stays importable under these names.
DOCUMENTED = [
    "import rabbitkeeper.client",
    "from rabbitkeeper.client import Binding, Client, Exchange, Queue",
    "from rabbitkeeper.client import Consumer, Message, Receipt, Workers, events",
    "from rabbitkeeper.client import LastSwitch, Leader, Status, Unconfirmed",
    "from rabbitkeeper.client import RabbitKeeperError, PublishError, Nacked, PublishUnknown, Unroutable",
    "from rabbitkeeper.client import Blocked, Closed, NoLeader, NotAuthorized, WrongThread",
    "from rabbitkeeper.client import InvalidArgument, TopologyError",
    "import rabbitkeeper.client.events",
    "from rabbitkeeper.client.events import ClientClosed, Connected, Disconnected, Event, EventsMissed",
    "from rabbitkeeper.client.events import ConsumerLost, ConsumerMissing, ConsumerStarted, HandlerFailed",
    "from rabbitkeeper.client.events import DeclarationFailed, LeaderChanged, QueueRenamed, Switched",
    "from rabbitkeeper.client.events import PublishersBlocked, PublishersUnblocked",
    "from rabbitkeeper.client.events import ZooKeeperBack, ZooKeeperLost",
    "from rabbitkeeper.coordinator.tls import client_context",
]

EXTRAS = "demo,kombu,opentelemetry,prometheus"  # with what modules import; tests and benchmarks have more
WITH_AN_EXTRA = re.compile(r"rabbitkeeper\.client\.(telemetry|kombu)\b")
"""What is imported by name, and needs its extra."""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def sources() -> set[str]:
    """All modules of the tree, as paths from its top; what only the demo's images are built with is none."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    return {str(file.relative_to(ROOT)) for file in files if file.parent != ROOT / "compose" / "images"}


def documented_now() -> list[str]:
    """The imports that the guides and examples show."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.py")]
    return [
        statement
        for page in pages
        for statement in re.findall(r"^(?:from|import) rabbitkeeper\..*$", page.read_text(), re.MULTILINE)
    ]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: what an earlier build has left beside the sources would get into it."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    tree.mkdir()
    for name in (*PACKAGES, "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree)
    built = run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, tree, cwd=folder)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("rabbitkeeper-*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The ``bin`` folder of an environment that has the wheel, and what a client needs, and nothing else."""
    folder = wheel.parent
    venv.create(folder / "venv", with_pip=True)
    binaries = folder / "venv" / "bin"
    done = run(binaries / "python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    return binaries


@pytest.fixture(scope="module")
def with_extras(installed: Path, wheel: Path) -> Path:
    """The same, with all that any module needs. What comes after sees it too."""
    done = run(
        installed / "python", "-m", "pip", "install", "--quiet", f"{wheel}[{EXTRAS}]", cwd=wheel.parent
    )
    assert done.returncode == 0, done.stderr
    return installed


def test_every_module_of_the_tree_is_in_it_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert {name.removeprefix("rabbitkeeper/") for name in names if name.endswith(".py")} == sources()
    assert {f"rabbitkeeper/{package}/py.typed" for package in PACKAGES} <= set(names)
    assert {f"rabbitkeeper/agent/monitoring/{name}" for name in ("alerts.yml", "board.json")} <= set(names)
    static = {
        f"rabbitkeeper/{file.relative_to(ROOT)}" for file in (ROOT / "agent/dashboard/static").iterdir()
    }
    assert static <= set(names)


def test_a_client_can_be_imported_with_the_base_installation_alone(installed: Path, tmp_path: Path) -> None:
    code = (
        "import rabbitkeeper.client, rabbitkeeper.coordinator, sys;"
        "assert 'site-packages' in rabbitkeeper.client.__file__, rabbitkeeper.client.__file__;"
        "assert not {'click', 'rich', 'yaml', 'fastapi'} & set(sys.modules)"
    )
    done = run(installed / "python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_guides_show_imports() -> None:
    assert len(documented_now()) >= 4


@pytest.mark.parametrize(
    "statement", [*DOCUMENTED, *(one for one in documented_now() if not WITH_AN_EXTRA.search(one))]
)
def test_what_is_documented_can_be_imported(installed: Path, tmp_path: Path, statement: str) -> None:
    done = run(installed / "python", "-c", statement, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [("list",), ()])
def test_the_command_says_what_it_needs_when_its_extra_is_missing(
    installed: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = run(installed / "rabbitkeeper", *command, cwd=tmp_path)
    assert done.returncode != 0
    assert "rabbitkeeper[cli]" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_its_extras_every_command_of_every_package_is_there(with_extras: Path, tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    commands = project["entry-points"]["rabbitkeeper.commands"]
    assert {"list", "leader", "history", "agent", "publish", "demo"} <= set(commands)
    shown = run(with_extras / "rabbitkeeper", "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    for name in commands:
        assert re.search(rf"^  {name} ", shown.stdout, re.MULTILINE), shown.stdout
        usage = run(with_extras / "rabbitkeeper", name, "--help", cwd=tmp_path)
        assert usage.returncode == 0, usage.stderr
    agent = run(with_extras / "python", "-m", "rabbitkeeper.agent", "--help", cwd=tmp_path)
    assert agent.returncode == 0, agent.stderr


@pytest.mark.parametrize("statement", [one for one in documented_now() if WITH_AN_EXTRA.search(one)])
def test_what_is_documented_with_an_extra_can_be_imported_with_it(
    with_extras: Path, tmp_path: Path, statement: str
) -> None:
    done = run(with_extras / "python", "-c", statement, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_with_its_extras_every_module_can_be_imported(with_extras: Path, tmp_path: Path) -> None:
    """But those that are programs, and begin when they are imported."""
    modules = [
        "rabbitkeeper." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in sorted(sources())
        if not path.endswith("__main__.py")
    ]
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = run(with_extras / "python", "-c", code, *modules, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
