"""``http``: what is taken, and the one line for what is not."""

from pathlib import Path

import pytest

from rabbitkeeper.agent.config import HttpConfig, load
from rabbitkeeper.coordinator.model.errors import ConfigurationError

TOKEN = "a-token-of-a-good-length"
GOOD = """
group: orders
name: node1
zookeeper: {hosts: "127.0.0.1:2181"}
broker:
  driver: process
  node: rabbit@host1
  amqp: {username: rk, password: s3cret}
  process: {directory: data}
http: {HTTP}
"""


def read(folder: Path, http: str) -> HttpConfig:
    file = folder / "agent.yml"
    file.write_text(GOOD.replace("{HTTP}", http))
    return load(file).http


def test_there_is_none_unless_it_is_asked_for(tmp_path: Path) -> None:
    http = read(tmp_path, "{}")
    assert http.listen is None
    assert http.url is None


@pytest.mark.parametrize(
    ("http", "host", "url"),
    [
        ('listen: "10.0.0.1:8008"', "10.0.0.1", "http://10.0.0.1:8008"),
        ('listen: "[::1]:8008"', "::1", "http://[::1]:8008"),
        ('listen: "10.0.0.1:8008", certificate: c.pem', "10.0.0.1", "https://10.0.0.1:8008"),
        ('listen: "0.0.0.0:8008", advertise: "https://host1/rk/"', "0.0.0.0", "https://host1/rk"),  # noqa: S104
    ],
)
def test_the_url_that_others_reach_it_by(tmp_path: Path, http: str, host: str, url: str) -> None:
    config = read(tmp_path, f"{{{http}}}")
    assert (config.host, config.port, config.url) == (host, 8008, url)


def test_the_token_can_be_in_a_file_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    config = read(tmp_path, '{listen: "10.0.0.1:8008", token_file: token}')
    assert config.token is not None
    assert config.token.get_secret_value() == TOKEN
    assert TOKEN not in repr(config)
    assert TOKEN not in config.model_dump_json()


@pytest.mark.parametrize(
    ("http", "line"),
    [
        (
            '{listen: "8008"}',
            "http.listen ('8008') is not host:port; give it as in 10.0.0.1:5672 or [::1]:5672",
        ),
        (
            '{listen: "0.0.0.0:8008"}',
            "http.advertise is missing, and 0.0.0.0:8008 is an address that nobody can connect to; "
            "give the URL that others reach this agent by, as in http://10.0.0.1:8008",
        ),
        (f"{{token: {TOKEN}}}", "http.listen is missing, and http.token is of no use without it"),
        (
            '{listen: "a:1", advertise: host1}',
            "http.advertise ('host1') is not a URL; give it as in http://10.0.0.1:8008",
        ),
        (
            '{listen: "a:1", token: short-one}',
            "http.token is shorter than 16 characters, so that it could be guessed",
        ),
        (
            f'{{listen: "a:1", token: {TOKEN}, token_env: HOME}}',
            "http needs at most one of token, token_file, token_env; token and token_env are given",
        ),
        (
            '{listen: "a:1", key: k.pem}',
            "http.certificate is missing, and http.key is of no use without it",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, http: str, line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, http)
    assert str(caught.value) == f"{tmp_path / 'agent.yml'}: {line}"
