"""The agent's file taken anew: what is, what is not, and that a mistake changes nothing."""

import logging
import os
import socket
from pathlib import Path

import pytest

from rabbitkeeper.agent.config import AgentConfig, load
from rabbitkeeper.agent.group.address import check_address
from rabbitkeeper.agent.group.effective_config import EffectiveConfig
from rabbitkeeper.agent.loop.reload import Reload
from rabbitkeeper.coordinator.model.errors import ConfigurationError

FILE = """
group: g
name: n
zookeeper: {hosts: 'zk1:2181', auth: {username: agents, password_file: zk}}
http: {listen: '127.0.0.1:8008', token_file: token}
broker: {driver: external, node: 'rabbit@h', amqp: {username: u, password_file: amqp}}
tags: {priority: 1}
"""
TOKEN = "a token that is long enough"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {"agent.yml": FILE, "zk": "old", "amqp": "old", "token": TOKEN}.items():
        (tmp_path / name).write_text(content)
    return tmp_path


class Taken:
    """What has been taken, and a refusal when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.configs: list[AgentConfig] = []
        self.refuses = False
        self.reload = Reload(folder / "agent.yml", load(folder / "agent.yml"), self._adopt)

    def _adopt(self, config: AgentConfig) -> None:
        if self.refuses:
            raise ConfigurationError("http.certificate cannot be used")
        self.configs.append(config)

    @property
    def passwords(self) -> list[str]:
        return [config.broker.amqp.password.get_secret_value() for config in self.configs]


@pytest.fixture
def taken(folder: Path) -> Taken:
    return Taken(folder)


def write(path: Path, text: str) -> None:
    """As careful programs do: a new file in the place of the old one."""
    path.with_suffix(".new").write_text(text)
    os.replace(path.with_suffix(".new"), path)  # noqa: PTH105


def test_while_nothing_changes_nothing_is_done(taken: Taken) -> None:
    taken.reload.look(asked=False)
    taken.reload.look(asked=False)
    assert taken.configs == []


def test_a_file_that_changes_is_taken_once(taken: Taken, folder: Path) -> None:
    write(folder / "amqp", "new")
    taken.reload.look(asked=False)
    taken.reload.look(asked=False)
    assert taken.passwords == ["new"]


def test_all_secrets_are_taken_when_somebody_asks(taken: Taken, folder: Path) -> None:
    for name in ("zk", "amqp"):
        (folder / name).write_text("new")
    (folder / "token").write_text(TOKEN + "2")
    taken.reload.look(asked=True)
    (config,) = taken.configs
    assert config.zookeeper.auth is not None
    assert config.zookeeper.auth.identity == ("agents", "new")
    assert config.broker.amqp.password.get_secret_value() == "new"
    assert config.http.token is not None
    assert config.http.token.get_secret_value() == TOKEN + "2"


def test_another_address_of_zookeeper_is_taken(taken: Taken, folder: Path) -> None:
    write(folder / "agent.yml", FILE.replace("zk1:2181", "zk4:2181, zk5:2181"))
    taken.reload.look(asked=True)
    (config,) = taken.configs
    assert config.zookeeper.hosts == "zk4:2181,zk5:2181"


def test_an_address_where_nobody_answers_is_refused_before_anything_is_touched(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    write(
        folder / "agent.yml",
        FILE.replace("{hosts: 'zk1:2181'", f"{{connect_timeout: 0.5, hosts: '127.0.0.1:{port}'"),
    )
    with pytest.raises(
        ConfigurationError, match=rf"zookeeper\.hosts \(127\.0\.0\.1:{port}\): no ZooKeeper server"
    ):
        check_address(load(folder / "agent.yml"))


def test_what_else_has_changed_is_named_and_waits(
    taken: Taken, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(folder / "agent.yml", FILE.replace("priority: 1", "priority: 9").replace("name: n", "name: m"))
    with caplog.at_level(logging.INFO):
        taken.reload.look(asked=True)
    (config,) = taken.configs
    assert (config.name, config.tags.priority) == ("n", 1)
    assert caplog.messages[-1] == "these hold when the agent is started again: name, tags.priority"


@pytest.mark.parametrize("mistake", ["file", "secret", "certificate"])
def test_a_mistake_is_said_and_changes_nothing_until_it_is_mended(
    taken: Taken, folder: Path, mistake: str, caplog: pytest.LogCaptureFixture
) -> None:
    if mistake == "file":
        write(folder / "agent.yml", "group: [")
    taken.refuses = mistake == "certificate"
    write(folder / "token", "short" if mistake == "secret" else TOKEN + "2")
    taken.reload.look(asked=False)
    taken.reload.look(asked=False)
    assert taken.configs == []
    (line,) = [message for message in caplog.messages if "nothing is reloaded" in message]
    assert "short" not in line.partition(": ")[2].replace("is shorter", "")
    taken.refuses = False
    write(folder / "agent.yml", FILE)
    write(folder / "token", TOKEN + "3")
    taken.reload.look(asked=False)
    assert len(taken.configs) == 1


def test_a_file_that_is_away_for_a_moment_ends_nothing(taken: Taken, folder: Path) -> None:
    (folder / "amqp").unlink()
    taken.reload.look(asked=False)
    write(folder / "amqp", "new")
    taken.reload.look(asked=False)
    assert taken.passwords == ["new"]


def test_the_thread_takes_what_is_asked_for_and_ends(folder: Path) -> None:
    taken = Taken(folder)
    write(folder / "amqp", "new")
    taken.reload.start()
    taken.reload.ask()
    taken.reload.stop()
    taken.reload.stop()
    assert taken.passwords == ["new"]


def test_the_loop_goes_by_the_new_secrets_and_the_groups_settings(folder: Path) -> None:
    own = load(folder / "agent.yml")
    settings = EffectiveConfig(own)
    before = settings.effective
    assert settings.effective is before
    (folder / "amqp").write_text("new")
    settings.renew_secrets(own.with_secrets_of(load(folder / "agent.yml")))
    after = settings.effective
    assert after is not before  # which is how the loop sees it
    assert after.broker.amqp.password.get_secret_value() == "new"
    assert settings.effective is after


def test_every_file_with_a_secret_is_watched(folder: Path) -> None:
    names = {path.name for path in load(folder / "agent.yml").secret_files}
    assert names == {"zk", "amqp", "token"}
