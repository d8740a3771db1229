"""The script ``dev`` on a system without apt-get: says at once all that is missing, and makes nothing.

What else it decides is tried with programs that stand for Python, pip and pip-audit: they say what they are
asked for, and fail as they are told.
"""

import json
import os
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
from support.source_tree import ROOT

SCRIPT = ROOT / "dev"
SHELL = (
    "bash",
    "cat",
    "cp",
    "cut",
    "dirname",
    "flock",
    "grep",
    "mkdir",
    "mktemp",
    "rm",
    "sed",
    "sha256sum",
    "tail",
    "true",
)

PYTHON = """#!/usr/bin/env bash
echo "$*" >>asked
case "$*" in
  "-m venv .venv")
    [[ ! -p held ]] || read -r <held  # until the test writes to it
    mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/rabbitkeeper
    ;;
  *--require-hashes*) [[ -z ${FAILS-} ]] || { echo "$FAILS" >&2; exit 1; } ;;
esac
"""


def begun(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a copy of the script with little on its PATH."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name in SHELL:
        found = shutil.which(name)
        assert found is not None
        if not (programs / name).exists():
            (programs / name).symlink_to(found)
    if not (folder / "dev").exists():
        shutil.copy(SCRIPT, folder / "dev")
    return subprocess.Popen(
        [programs / "bash", folder / "dev", *arguments],
        env={"PATH": str(programs), **environment},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def dev(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As :func:`begun`, to its end."""
    process = begun(folder, *arguments, **environment)
    output, errors = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def test_everything_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    done = dev(tmp_path, "demo")
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert said[0] == "dev: there is no apt-get to install what is missing here; install first:"
    for what in ("Python 3.11", "Java 11", "the command ip ", "the command iptables"):
        assert any(line.startswith("  ") and what in line for line in said[1:]), what
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize(
    "arguments",
    [("test", "unit"), ("test", "oldest"), ("lint",), ("docs",), ("demo", "--docker"), ("run", "true")],
)
def test_what_needs_no_server_asks_for_python_alone(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = dev(tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == ["  Python 3.11 or later with its venv and pip"]


def test_servers_that_were_unpacked_somewhere_are_not_missing(tmp_path: Path) -> None:
    done = dev(tmp_path, "test", RABBITMQ_HOME="/opt/rabbitmq", ZOOKEEPER_HOME="/opt/zookeeper")
    assert "RABBITMQ_HOME" not in done.stderr
    assert "ZOOKEEPER_HOME" not in done.stderr
    assert "Java 11" in done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a Python that stands for one."""
    (tmp_path / "requirements").mkdir()
    for name in ("dev", "images"):
        (tmp_path / "requirements" / f"{name}.txt").write_text("one==1\ntwo==2\n")
    (tmp_path / "pyproject.toml").write_text("")
    program(tmp_path / "bin" / "python3", PYTHON)
    return tmp_path


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def installs(project: Path, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """What ``./dev run true`` has pip install."""
    done = dev(project, "run", "true", **environment)
    asked = (project / "asked").read_text().splitlines()
    return done, [line.partition("version-check ")[2] for line in asked if " pip " in line]


@pytest.mark.parametrize(
    ("environment", "locked"),
    [
        ({}, False),
        ({"CI": "true"}, True),
        ({"RABBITKEEPER_LOCKED": "1"}, True),
        ({"CI": "true", "RABBITKEEPER_LOCKED": ""}, False),
    ],
)
def test_where_changes_are_let_in_the_environment_is_made_of_the_locked_files(
    project: Path, environment: dict[str, str], locked: bool
) -> None:
    _, asked = installs(project, **environment)
    files = "--require-hashes --only-binary :all: -r requirements/dev.txt"
    own = "--no-deps --no-build-isolation --editable ."
    assert asked == ([files, own] if locked else ["--editable .[dev]"])


def test_two_calls_at_once_make_one_environment(project: Path) -> None:
    os.mkfifo(project / "held")
    first = begun(project, "run", "true")
    with (project / "held").open("w") as held:  # it is being made
        second = begun(project, "run", "true")
        assert second.stderr is not None
        assert second.stderr.readline() == "dev: another call makes .venv: waiting for it\n"
        held.write("\n")
    for process in (first, second):
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert (project / "asked").read_text().splitlines().count("-m venv .venv") == 1


def test_a_python_that_has_no_such_files_gets_the_newest_and_that_is_said(project: Path) -> None:
    done, asked = installs(project, CI="true", FAILS="ERROR: No matching distribution found for two==2")
    assert asked[1:] == ["--editable .[dev]"]
    assert "two==2" in done.stderr


def test_a_file_with_another_hash_is_not_passed_over(project: Path) -> None:
    done, asked = installs(project, CI="true", FAILS="ERROR: THESE PACKAGES DO NOT MATCH THE HASHES")
    assert done.returncode == 1
    assert "DO NOT MATCH" in done.stderr
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("says", "code", "status", "told"),
    [
        ("No known vulnerabilities found", 0, 0, "No known vulnerabilities found"),
        ("one 1 CVE-2026-1", 1, 1, "CVE-2026-1"),
        ("requests.exceptions.ConnectionError: away", 1, 1, "no database of vulnerabilities can be had"),
        (
            "No known vulnerabilities found\none  could not be audited",
            0,
            1,
            "1 of 2 packages were not looked at",
        ),
    ],
)
def test_an_audit_that_looked_at_nothing_is_no_clean_bill(
    project: Path, says: str, code: int, status: int, told: str
) -> None:
    tools = project / "build" / "tools" / "bin"
    program(tools / "python", "#!/usr/bin/env bash\n")
    program(tools / "pip-audit", f"#!/usr/bin/env bash\necho '{says}'\nexit {code}\n")
    done = dev(project, "audit")
    assert done.returncode == status
    assert told in done.stdout + done.stderr
    assert ("No known" in done.stdout) == (status == 0)


def test_the_packages_of_an_image_become_a_bill_of_materials() -> None:
    bill = runpy.run_path(str(ROOT / "requirements" / "debian_sbom.py"))["bill"]
    written = json.loads(
        json.dumps(bill("rabbitkeeper/agent:trixie", ["libc6\t2.41-12+deb13u1\tamd64\tglibc\n"]))
    )
    assert (written["bomFormat"], written["metadata"]["component"]["name"]) == (
        "CycloneDX",
        "rabbitkeeper/agent:trixie",
    )
    (package,) = written["components"]
    assert package["purl"] == "pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=amd64&source=glibc"
