"""The mistakes that a person makes before the demo in containers runs: each ends in one sentence.

``docker`` is a script here: an old Compose, a missing one and a failed build cannot be had at will.
"""

import socket
from pathlib import Path

import pytest

from rabbitkeeper.compose.containers import DemoError, Project, Settings, preflight


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(tmp_path / ".env", {})


def docker_command(folder: Path, does: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "docker").write_text(f"#!/bin/sh\n{does}\n")
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def sentence(error: pytest.ExceptionInfo[DemoError]) -> str:
    said = str(error.value)
    assert "\n" not in said
    assert "Traceback" not in said
    return said


def test_no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(DemoError, match=r"no Docker engine answers; install Docker and start it") as error:
        preflight.connect()
    assert "./dev demo needs no Docker" in sentence(error)


def test_no_docker_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DemoError, match="no docker command on the PATH; install"):
        preflight.check_compose()


def test_no_compose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker_command(tmp_path / "bin", "echo 'compose is not a docker command' >&2; exit 1", monkeypatch)
    with pytest.raises(DemoError, match="docker has no compose command") as error:
        preflight.check_compose()
    assert "install Compose 2.20 or later" in sentence(error)


@pytest.mark.parametrize("version", ["2.6.0", "v2.19.1", "1.29.2"])
def test_an_old_compose(version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker_command(tmp_path / "bin", f"echo {version}", monkeypatch)
    with pytest.raises(DemoError, match=rf"Compose is {version}; install 2\.20 or later"):
        preflight.check_compose()


@pytest.mark.parametrize("version", ["2.20.0", "v2.40.3-desktop.1", "5.0.0", "2.26.1-4"])
def test_a_compose_that_will_do(version: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker_command(tmp_path / "bin", f"echo {version}", monkeypatch)
    preflight.check_compose()


def test_too_little_memory() -> None:
    preflight.check_memory(8 * 10**9)
    with pytest.raises(DemoError, match=r"has 1\.0 GB of memory and the demo needs 2; give it more"):
        preflight.check_memory(10**9)


def test_a_port_that_is_taken_is_named_with_the_setting_that_changes_it(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken = Settings.load(settings.file, {"RABBITKEEPER_AMQP_PORT": str(port)})
        with pytest.raises(DemoError, match=f"port {port} of 127.0.0.1") as error:
            preflight.check_ports(taken)
    assert "choose another: RABBITKEEPER_AMQP_PORT in" in sentence(error)


def test_a_build_that_breaks_off_says_what_was_said_last_and_that_it_goes_on_from_there(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    docker_command(
        tmp_path / "bin",
        "echo 'E: Unable to fetch some archives'; echo 'exit code: 100'; exit 17",
        monkeypatch,
    )
    project = Project("rabbitkeeper-test", client=object())  # the engine is not asked for this
    with pytest.raises(
        DemoError, match=r"docker compose build failed; run it again \(what was built is kept\)"
    ) as error:
        project.build(settings)
    assert "Unable to fetch some archives" in str(error.value)
