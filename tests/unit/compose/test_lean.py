"""A RabbitMQ installation with only what is needed."""

from pathlib import Path

import pytest

from rabbitkeeper.compose.local.lean import lean_server


@pytest.fixture
def server(tmp_path: Path) -> Path:
    home = tmp_path / "installed"
    for name, needs in {
        "rabbit": "kernel,\n  stdlib,rabbit_common, 'ra'",
        "rabbit_common": "kernel",
        "ra": "aten",
        "aten": "",
        "rabbitmq_management": "rabbit,cowboy",
        "cowboy": "",
        "unneeded": "",
    }.items():
        folder = home / "plugins" / f"{name}-1.0" / "ebin"
        folder.mkdir(parents=True)
        (folder / f"{name}.app").write_text(f"{{application, {name}, [{{applications, [{needs}]}}]}}.")
    for name in ("sbin", "escript"):
        (home / name).mkdir()
    script = home / "sbin" / "rabbitmq-server"
    script.write_text("#!/bin/sh\n")
    return script


def plugins(script: Path) -> set[str]:
    return {folder.name for folder in (script.parent.parent / "plugins").iterdir()}


def test_only_what_the_broker_depends_on_is_linked(server: Path, tmp_path: Path) -> None:
    lean = lean_server(server, tmp_path / "lean")
    assert lean.read_text() == server.read_text()
    assert plugins(lean) == {"rabbit-1.0", "rabbit_common-1.0", "ra-1.0", "aten-1.0"}


def test_a_wanted_plugin_brings_what_it_depends_on(server: Path, tmp_path: Path) -> None:
    lean = lean_server(server, tmp_path / "lean", ["rabbitmq_management"])
    assert {"rabbitmq_management-1.0", "cowboy-1.0"} <= plugins(lean)
    assert "unneeded-1.0" not in plugins(lean)


def test_another_layout_is_left_as_it_is(tmp_path: Path) -> None:
    script = tmp_path / "bin" / "rabbitmq-server"
    script.parent.mkdir()
    script.write_text("")
    assert lean_server(script, tmp_path / "lean") == script
    assert not (tmp_path / "lean").exists()
