"""The files and the environment of a broker that the agent runs."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from rabbitkeeper.agent.broker.drivers import node_files
from rabbitkeeper.agent.broker.drivers.base import BrokerStartFailed
from rabbitkeeper.agent.broker.drivers.node_files import NodeSettings
from rabbitkeeper.coordinator.model.errors import ConfigurationError


def settings(directory: Path) -> NodeSettings:
    return NodeSettings(
        node="rabbit@host",
        directory=directory,
        listen=("127.0.0.1", 5672),
        user=("keeper", "s3cret"),
        cookie="COOKIE",
    )


def keys(conf: str) -> list[str]:
    return [line.partition("=")[0].strip() for line in conf.splitlines() if line]


def test_secrets_are_for_the_owner_alone(tmp_path: Path) -> None:
    node_files.write(settings(tmp_path))
    assert (tmp_path / "etc/rabbitmq.conf").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "home/.erlang.cookie").stat().st_mode & 0o777 == 0o400
    assert "s3cret" in (tmp_path / "etc/rabbitmq.conf").read_text()


def test_secrets_are_in_no_environment_and_no_repr(tmp_path: Path) -> None:
    its = settings(tmp_path)
    assert not any("s3cret" in value or "COOKIE" in value for value in node_files.environment(its).values())
    assert "s3cret" not in repr(its)
    assert "COOKIE" not in repr(its)


def test_files_can_be_written_again_over_read_only_ones(tmp_path: Path) -> None:
    node_files.write(settings(tmp_path))
    node_files.write(replace(settings(tmp_path), cookie="OTHER"))
    assert (tmp_path / "home/.erlang.cookie").read_text() == "OTHER"


def test_a_full_disk_is_no_mistake_and_leaves_no_half_file(tmp_path: Path) -> None:
    """It ended the agent with exit status 2, and what it had cut off was read at the next start."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/enabled_plugins.new").symlink_to("/dev/full")
    with pytest.raises(BrokerStartFailed, match=r"a file in it cannot be written: No space left.*make room"):
        node_files.write(settings(tmp_path))
    assert not (tmp_path / "etc/enabled_plugins").exists()
    (tmp_path / "etc/enabled_plugins.new").unlink()
    node_files.write(settings(tmp_path))
    assert (tmp_path / "etc/enabled_plugins").read_text() == "[].\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENOMEM])
def test_what_may_pass_is_no_mistake(number: int) -> None:
    error = OSError(number, os.strerror(number), "/data/run/starting")
    failure = node_files.unwritable(Path("/data"), error)
    assert isinstance(failure, BrokerStartFailed)
    assert f"/data/run/starting in it cannot be written: {os.strerror(number)}" in str(failure)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR])
def test_a_folder_that_cannot_be_written_to_is_one(number: int) -> None:
    failure = node_files.unwritable(Path("/data"), OSError(number, os.strerror(number), "/data/etc"))
    assert isinstance(failure, ConfigurationError)
    assert "give a folder that this user can write to" in str(failure)


def test_enabled_plugins_that_are_there_stay(tmp_path: Path) -> None:
    node_files.write(settings(tmp_path))
    plugins = tmp_path / "etc/enabled_plugins"
    plugins.write_text("[rabbitmq_management].\n")
    node_files.write(settings(tmp_path))
    assert plugins.read_text() == "[rabbitmq_management].\n"


def test_every_path_lies_below_the_directory(tmp_path: Path) -> None:
    environment = node_files.environment(settings(tmp_path))
    for name, value in environment.items():
        if value.startswith("/") and name not in ("PATH", "SSL_CERT_FILE"):
            assert value.startswith(str(tmp_path)), name
    assert "/etc/" not in environment["RABBITMQ_CONF_ENV_FILE"].removeprefix(str(tmp_path / "etc"))


def test_nothing_of_the_agents_own_rabbitmq_settings_leaks_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RABBITMQ_NODE_PORT", "1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    environment = node_files.environment(settings(tmp_path))
    assert "RABBITMQ_NODE_PORT" not in environment
    assert "NOTIFY_SOCKET" not in environment


def test_the_operators_environment_is_stronger(tmp_path: Path) -> None:
    its = replace(settings(tmp_path), environment={"RABBITMQ_LOG_BASE": "/logs"})
    assert node_files.environment(its)["RABBITMQ_LOG_BASE"] == "/logs"


def test_long_names_are_used_where_the_host_has_a_dot(tmp_path: Path) -> None:
    assert node_files.environment(settings(tmp_path))["RABBITMQ_USE_LONGNAME"] == "false"
    its = replace(settings(tmp_path), node="rabbit@mq1.example.org")
    assert node_files.environment(its)["RABBITMQ_USE_LONGNAME"] == "true"


@pytest.mark.parametrize(
    ("listen", "line"),
    [
        (("127.0.0.1", 5672), "listeners.tcp.1 = 127.0.0.1:5672"),
        (("::1", 5672), "listeners.tcp.1 = [::1]:5672"),
        (("mq1.example.org", 5671), "listeners.tcp.default = 5671"),
    ],
)
def test_the_listener(tmp_path: Path, listen: tuple[str, int], line: str) -> None:
    assert line in node_files.rabbitmq_conf(replace(settings(tmp_path), listen=listen)).splitlines()


def test_an_operators_own_rotation_of_the_log_is_the_only_one(tmp_path: Path) -> None:
    assert "log.file.rotation.size" in keys(node_files.rabbitmq_conf(settings(tmp_path)))
    conf = node_files.rabbitmq_conf(replace(settings(tmp_path), config="log.file.rotation.date = $D0\n"))
    assert [key for key in keys(conf) if key.startswith("log.file.rotation")] == ["log.file.rotation.date"]


def test_an_operators_advanced_config_stays_and_ours_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advanced = tmp_path / "etc/advanced.config"
    node_files.write(settings(tmp_path))
    assert "{aten, [{poll_interval, 250}]}" in advanced.read_text()
    monkeypatch.setattr(node_files, "advanced_config", lambda _: None)
    node_files.write(settings(tmp_path))
    assert not advanced.exists()
    advanced.write_text("[].\n")
    monkeypatch.undo()
    node_files.write(settings(tmp_path))
    assert advanced.read_text() == "[].\n"


def test_a_key_that_the_operator_gives_is_written_once(tmp_path: Path) -> None:
    extra = "# mine\ncluster_partition_handling = autoheal\nlisteners.tcp.2 = 10.0.0.1:5672\n"
    conf = node_files.rabbitmq_conf(replace(settings(tmp_path), config=extra))
    assert keys(conf).count("cluster_partition_handling") == 1
    assert "cluster_partition_handling = autoheal" in conf
    assert "listeners.tcp.1" not in conf


@pytest.mark.parametrize("password", ["with#hash", " padded", "new\nline", "quo'te", ""])
def test_a_password_that_the_file_cannot_hold_is_refused_without_being_shown(
    tmp_path: Path, password: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"broker\.amqp\.password") as caught:
        node_files.write(replace(settings(tmp_path), user=("keeper", password)))
    assert not password or password not in str(caught.value)
    assert not (tmp_path / "etc").exists()


def test_a_directory_that_cannot_be_written_names_its_key(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"broker\.process\.directory"):
        node_files.write(settings(tmp_path / "file"))


def test_a_nodes_folders_and_logs_are_nobody_elses(tmp_path: Path) -> None:
    node = settings(tmp_path / "new" / "node1")
    (node.directory / "log").mkdir(parents=True, mode=0o755)  # of an earlier version
    node_files.write(node)
    folders = [path for path in node.directory.rglob("*") if path.is_dir() and path.parent == node.directory]
    assert {path.name for path in folders} == {"home", "etc", "data", "log", "run"}
    assert {oct(path.stat().st_mode & 0o777) for path in folders} == {"0o700"}
