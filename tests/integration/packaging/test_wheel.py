"""The wheel, built and installed into an empty environment, as a user gets it."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of an environment that has the wheel, and what a client needs, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=folder)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("rabbitkeeper-*.whl")
    venv.create(folder / "venv", with_pip=True)
    binaries = folder / "venv" / "bin"
    done = run(binaries / "python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    return binaries


def test_a_client_can_be_imported_with_the_base_installation_alone(installed: Path, tmp_path: Path) -> None:
    code = (
        "import rabbitkeeper.client, rabbitkeeper.coordinator, sys;"
        "assert 'site-packages' in rabbitkeeper.client.__file__, rabbitkeeper.client.__file__;"
        "assert not {'click', 'rich', 'yaml', 'fastapi'} & set(sys.modules)"
    )
    done = run(installed / "python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_command_says_what_it_needs_when_its_extra_is_missing(installed: Path, tmp_path: Path) -> None:
    done = run(installed / "rabbitkeeper", "list", cwd=tmp_path)
    assert done.returncode != 0
    assert "rabbitkeeper[cli]" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_its_extras_every_command_of_every_package_is_there(installed: Path, tmp_path: Path) -> None:
    (wheel,) = installed.parents[1].glob("rabbitkeeper-*.whl")
    done = run(installed / "python", "-m", "pip", "install", "--quiet", f"{wheel}[demo]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = run(installed / "rabbitkeeper", "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    for name in ("list", "leader", "history", "agent", "demo"):
        assert name in shown.stdout
        usage = run(installed / "rabbitkeeper", name, "--help", cwd=tmp_path)
        assert usage.returncode == 0, usage.stderr
    for package in ("agent", "client", "compose", "coordinator"):
        done = run(installed / "python", "-c", f"import rabbitkeeper.{package}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
