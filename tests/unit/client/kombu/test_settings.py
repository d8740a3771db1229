"""What a connection of kombu's goes by: its URL and its transport options."""

from pathlib import Path
from typing import Any

import pytest

from rabbitkeeper.client.kombu.broker_url import BrokerUrl
from rabbitkeeper.client.kombu.settings import ANSWER_TIMEOUT, KombuSettings, settings_of
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.watching import AgentsGroup, WatchedGroup
from rabbitkeeper.coordinator.model.errors import ConfigurationError

ZOOKEEPER = BrokerUrl.parse("rabbitkeeper://app:secret@zk1:2181,zk2:2181/orders")
AGENTS = BrokerUrl.parse("rabbitkeeper+https://app:secret@mq1:8008/orders")


def settings(url: BrokerUrl = ZOOKEEPER, *, secure: bool = False, **options: Any) -> KombuSettings:
    return settings_of(url, options, secure=secure)


def test_what_is_not_ours_is_py_amqps() -> None:
    made = settings(confirm_publish=False, read_timeout=3, max_retries=4, session_timeout=8.0)
    assert made.amqp == {"confirm_publish": False, "read_timeout": 3, "max_retries": 4}
    assert made.lookup.session_timeout == 8.0
    assert made.answer_timeout == ANSWER_TIMEOUT


def test_equal_connections_share_and_others_do_not() -> None:
    assert settings().lookup == settings(answer_timeout=3, confirm_publish=False).lookup
    assert hash(settings(allowed_brokers=["10.0.0.0/8"]).lookup) == hash(
        settings(allowed_brokers=("10.0.0.0/8",)).lookup
    )
    for other in (settings(secure=True), settings(allowed_brokers=["mq1"]), settings(AGENTS)):
        assert other.lookup != settings().lookup


def test_the_group_is_watched_where_the_url_says(tmp_path: Path) -> None:
    (tmp_path / "auth").write_text("reader:pass:word\nmore")
    made = settings(zookeeper_auth_file=tmp_path / "auth").lookup.watched()
    assert made == WatchedGroup("zk1:2181,zk2:2181", "orders", ("reader", "pass:word"), None, 6.0)
    (tmp_path / "token").write_text("a-token\n")
    watched = settings(AGENTS, token_file=str(tmp_path / "token")).lookup.watched()
    assert isinstance(watched, AgentsGroup)
    assert (watched.token, watched.group) == ("a-token", "orders")


@pytest.mark.parametrize(
    ("url", "options", "why"),
    [
        (ZOOKEEPER, {"answer_timeout": 0}, "answer_timeout 0"),
        (ZOOKEEPER, {"answer_timeout": "10"}, "answer_timeout '10'"),
        (ZOOKEEPER, {"session_timeout": -1}, "session_timeout"),
        (ZOOKEEPER, {"token_file": "x"}, "token_file is of no use where ZooKeeper"),
        (AGENTS, {"zookeeper_auth_file": "x"}, "zookeeper_auth_file is of no use where agents"),
        (ZOOKEEPER, {"zookeeper_auth_file": 7}, "zookeeper_auth_file is not valid"),
        (ZOOKEEPER, {"allowed_brokers": "mq1"}, "allowed_brokers"),
        (ZOOKEEPER, {"allowed_brokers": ["mq1:5672"]}, "allowed_brokers"),
        (ZOOKEEPER, {"name": 7}, "name"),
        (ZOOKEEPER, {"zookeeper_auth": ("reader", "hunter-two")}, "use zookeeper_auth_file"),
        (AGENTS, {"token": "hunter-two"}, "use token_file"),
    ],
)
def test_what_is_not_valid_is_said(url: BrokerUrl, options: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidArgument, match=why) as caught:
        settings(url, **options)
    assert "hunter" not in str(caught.value)


def test_files_that_will_not_do_are_said_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="No such file"):
        settings(AGENTS, token_file=tmp_path / "nothing").lookup.watched()
    (tmp_path / "auth").write_text("hunter-two")
    with pytest.raises(InvalidArgument, match="no line user:password") as caught:
        settings(zookeeper_auth_file=tmp_path / "auth").lookup.watched()
    assert "hunter" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        settings(zookeeper_ca=tmp_path / "nothing").lookup.watched()
