"""The container of a broker alone is configured as is recommended for the version that is in it."""

import subprocess
from pathlib import Path

import pytest

from rabbitkeeper.agent.rabbitmq.recommended import advanced_config, conf_lines
from rabbitkeeper.agent.rabbitmq.versions import version_of

SCRIPT = Path(__file__).parents[3] / "compose" / "images" / "broker.sh"


def program(folder: Path, name: str, says: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho {says}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("version", ["3.10.8", "3.13.7", "4.0.5", "4.2.9", "4.3.6"])
def test_what_is_recommended_for_a_version_is_written(version: str, tmp_path: Path) -> None:
    programs, secrets = tmp_path / "bin", tmp_path / "secrets"
    programs.mkdir()
    secrets.mkdir()
    program(programs, "rabbitmqctl", version)
    program(programs, "rabbitmq-server", "served")
    (secrets / "erlang_cookie").write_text("COOKIE")
    (secrets / "agent_password").write_text("secret")
    environment = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "SECRETS": str(secrets),
        "BROKER_NODE": "rabbit@rabbit1",
    }
    done = subprocess.run(["sh", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "served\n"
    text = (tmp_path / "etc" / "rabbitmq.conf").read_text()
    written = dict(line.split(" = ") for line in text.splitlines())
    wanted = dict(conf_lines(version_of(version)))
    anyhow = {"default_user", "default_pass", "loopback_users", "listeners.tcp.default", "log.console"}
    anyhow |= {"log.file", "vm_memory_high_watermark.absolute", "disk_free_limit.absolute"}
    assert {key: value for key, value in written.items() if key not in anyhow} == wanted
    advanced = tmp_path / "etc" / "advanced.config"
    assert (advanced.read_text() if advanced.exists() else None) == advanced_config(version_of(version))
