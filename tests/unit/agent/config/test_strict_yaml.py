"""Every file that is no settings is refused in one line that says where, and shows no value."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.agent.config import load
from rabbitkeeper.agent.config.strict_yaml import parse, written
from rabbitkeeper.coordinator.model.errors import ConfigurationError

SECRET = "geheim"
FILE = """
group: g
name: n
zookeeper: {hosts: 'zk1:2181'}
broker: {driver: external, node: 'rabbit@h', amqp: {username: u, password: geheim}}
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "FILE")
    return str(caught.value)


@pytest.mark.parametrize(
    "password",
    [
        *("&geheim x", "*geheim", "!geheim x", "!geheim!x y", "!!python/object:geheim x", "!!binary geheim!"),
        *('"geheim', "'geheim", "ge{heim", "ge]heim", "%geheim", "@geheim", "`geheim", "!geheim%zz x"),
        *('"\\geheim"', "geheim: geheim: x", "|geheim", "{geheim", "[geheim", "? geheim", "!!int geheim"),
    ],
)
def test_a_password_that_is_no_yaml_is_in_no_error(tmp_path: Path, password: str) -> None:
    (tmp_path / "agent.yml").write_text(FILE.replace(SECRET, password))
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "agent.yml")
    assert SECRET not in str(caught.value)
    assert ", line " in str(caught.value) or "password" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: " + "9" * 5000, "FILE, line 1, column 4 is a number of more than 100 digits"),
        ("a: " + "[" * 20000, "FILE, line 1, column 35 is nested deeper than 32 levels"),
        ("a: " + "{a: " * 3000, "FILE, line 1, column 128 is nested deeper than 32 levels"),
        ("a: 015672", "FILE, line 1, column 4 is a number that begins with 0, which YAML reads in base 8; "),
        ("a: -007", "FILE, line 1, column 4 is a number that begins with 0"),
        ("a: 1\na: 2", "FILE, line 2, column 1 is not YAML: key 'a' stands twice, first in line 1"),
        ("a: &x [*x]", "FILE, line 1, column 4 has an anchor or alias"),
        ("a: x\0", "FILE is not YAML: it has the character #x0000, which YAML does not allow"),
        ("a: b\n---\nc: d", "FILE, line 2, column 1 is not YAML: but found another document"),
        ("? [a]\n: b", "FILE, line 1, column 3 is not YAML: found unhashable key"),
        ("a" * 1_000_001, "FILE is too long"),
    ],
)
def test_what_settings_do_not_need_is_refused(text: str, why: str) -> None:
    assert refusal(text).startswith(why)


def test_values_are_what_they_look_like() -> None:
    text = (
        "{a: 1:30, b: 2026-02-30, c: 12:00:00, d: '015', e: 10, f: 1.5, g: yes, h: ~, i: 0x10, j: 0, k: 0.5}"
    )
    assert parse(text, "FILE") == {
        "a": "1:30",
        "b": "2026-02-30",
        "c": "12:00:00",
        "d": "015",
        "e": 10,
        "f": 1.5,
        "g": True,
        "h": None,
        "i": 16,
        "j": 0,
        "k": 0.5,
    }


@given(st.text(st.sampled_from("ab01:-[]{}&*!%@`'\"|>#,?~.\n \t\\\x85\u2028\ufeff9e_x"), max_size=60))
def test_whatever_it_is_it_is_a_value_or_one_line(text: str) -> None:
    said = "FILE"
    try:
        parse(text, "FILE")
    except ConfigurationError as error:
        said = str(error)
    assert len(said.splitlines()) == 1
    assert said.startswith("FILE")


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("hosts: 'zk1:2181'", "hosts: 'zk://h:1'", "zookeeper.hosts ('zk://h:1') is not valid"),
        ("hosts: 'zk1:2181'", "hosts: 'h:1,'", "zookeeper.hosts ('h:1,') is not valid"),
        ("hosts: 'zk1:2181'", "hosts: 'h:1;h:2'", "zookeeper.hosts ('h:1;h:2') is not valid"),
        ("hosts: 'zk1:2181'", "hosts: 'h:99999'", "zookeeper.hosts ('h:99999') is not valid"),
        ("hosts: 'zk1:2181'", "hosts: '[::zz]:1'", "zookeeper.hosts ('[::zz]:1') is not valid"),
        ("username: u", "username: u, port: 99999", "broker.amqp.port (99999) must be at most 65535"),
        ("username: u", 'username: "a\\x1bb"', "broker.amqp.username ('a\\x1bb') has a control character"),
        (
            "amqp: {",
            "advertise: {amqp: '0.0.0.0:5672'}, amqp: {",
            "broker.advertise.amqp is '0.0.0.0:5672', which no client can connect to",
        ),
        ("amqp: {", "advertise: {amqps: '[0::0]:5671'}, amqp: {", "broker.advertise.amqps is '[0::0]:5671'"),
        (
            "amqp: {",
            "advertise: {amqp: '[::zz]:1'}, amqp: {",
            "broker.advertise.amqp ('[::zz]:1') is not host:",
        ),
        ("name: n", "name: n\nhealth: {start_grace: 1:30}", "health.start_grace ('1:30') must be a number"),
        ("name: n", "name: n\nhealth: {interval: .nan}", "health.interval (nan) must be "),
        ("name: n", "name: n\nhooks: {webhook: 'https://'}", "hooks.webhook is not a URL"),
        ("name: n", "name: n\nhooks: {webhook: 'https://h:99999/x'}", "hooks.webhook is not a URL"),
        ("name: n", "name: n\nhooks: {webhook: 'http://[::1/x'}", "hooks.webhook is not a URL"),
        (
            "name: n",
            "name: n\nhttp: {listen: 'h:1', advertise: 'http://u:p@h:1'}",
            "http.advertise ('http://u:p@h:1') is not a URL like",
        ),
        (
            "name: n",
            "name: n\nhttp: {listen: 'h:1', advertise: 'http://0.0.0.0:8'}",
            "http.advertise ('http://0.0.0.0:8') has an address that nobody can connect to",
        ),
        (
            "name: n",
            "name: n\nhttp: {listen: '[::0]:1'}",
            "http.advertise is missing, and [::0]:1 is an addr",
        ),
        (
            "password: geheim",
            "password_file: '~nobody-there/x'",
            "broker.amqp.password_file is '~nobody-there/x'",
        ),
        ("password: geheim", 'password_file: "a\\0b"', "broker.amqp.password_file"),
        (
            "password: geheim",
            "password_file: /dev/null",
            "broker.amqp.password_file is '/dev/null', whose first",
        ),
    ],
)
def test_what_a_run_would_refuse_is_refused(tmp_path: Path, key: str, value: str, why: str) -> None:
    assert key in FILE
    (tmp_path / "agent.yml").write_text(FILE.replace(key, value))
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "agent.yml")
    assert str(caught.value).replace(f"{tmp_path}/agent.yml: ", "").startswith(why)


@pytest.mark.parametrize("hosts", ["zk1.example.:2181", "[fe80::1%eth0]:2181,zk2", "zk1:2181/a/b", "[::1]"])
def test_host_names_may_end_in_a_dot_and_addresses_may_have_a_zone(tmp_path: Path, hosts: str) -> None:
    (tmp_path / "agent.yml").write_text(FILE.replace("zk1:2181", hosts))
    assert load(tmp_path / "agent.yml").zookeeper.hosts == hosts


def test_a_secret_is_the_first_line_whoever_wrote_the_file(tmp_path: Path) -> None:
    (tmp_path / "agent.yml").write_text(FILE.replace("password: geheim", "password_file: p"))
    for content in (b"s\x85ecret".decode("latin-1").encode(), b"\xef\xbb\xbfs\xc2\x85ecret\r\nmore\n"):
        (tmp_path / "p").write_bytes(content)
        config = load(tmp_path / "agent.yml")
        assert config.broker.amqp.password.get_secret_value() == "s\x85ecret"


def test_what_is_written_can_be_read_whatever_is_in_it_twice() -> None:
    twice = ["localhost:2181", "\u00e4 & * !"]
    content = {"zookeeper": {"hosts": twice}, "http": {"hosts": twice}, "port": 1, "off": False, "none": None}
    assert parse(written(content), "FILE") == content
