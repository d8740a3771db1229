"""The agent's configuration: what is taken, and the one line for each thing that is not."""

import re
from pathlib import Path

import pytest

from rabbitkeeper.agent.config import (
    AgentConfig,
    DockerConfig,
    HookConfig,
    ManagementConfig,
    SystemdConfig,
    load,
)
from rabbitkeeper.agent.config.file import all_keys
from rabbitkeeper.agent.config.sample import SAMPLE_CONFIG
from rabbitkeeper.coordinator.model.errors import ConfigurationError

GOOD = """
group: orders
name: node1
zookeeper: {hosts: "127.0.0.1:2181"}
broker:
  driver: process
  node: rabbit@host1
  amqp: {username: rk, password: s3cret}
  process: {directory: data}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.yml"


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def refusal(path: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(written(path, text))
    return str(caught.value).replace(f"{path}: ", "").replace(str(path), "FILE")


def test_the_least_that_is_needed_brings_the_defaults(path: Path) -> None:
    config = load(written(path, GOOD))
    assert config.zookeeper.session_timeout == 6.0
    assert config.watchdog_timeout == 5.0
    assert config.health.hung_after == 2.0
    assert config.broker.amqp.password.get_secret_value() == "s3cret"
    assert config.broker.advertised_amqp == "127.0.0.1:5672"
    assert config.broker.process is not None
    assert config.broker.process.directory == path.parent / "data"
    assert config.tags.record.priority == 100


def test_no_secret_is_shown(path: Path) -> None:
    config = load(written(path, GOOD))
    assert "s3cret" not in repr(config)
    assert "s3cret" not in config.model_dump_json()


def test_a_short_session_brings_a_short_watchdog(path: Path) -> None:
    config = load(written(path, GOOD.replace('2181"', '2181", session_timeout: 3')))
    assert config.watchdog_timeout == 2.5


def test_what_is_advertised_can_be_told(path: Path) -> None:
    text = GOOD.replace("  process:", '  advertise: {amqp: "[::1]:5673"}\n  process:')
    assert load(written(path, text)).broker.advertised_amqp == "[::1]:5673"
    text = GOOD.replace("username: rk", 'username: rk, host: "::1"')
    assert load(written(path, text)).broker.advertised_amqp == "[::1]:5672"


def test_a_port_that_speaks_tls_is_advertised_as_such(path: Path) -> None:
    plain = load(written(path, GOOD)).broker
    assert (plain.advertised_amqp, plain.advertised_amqps) == ("127.0.0.1:5672", None)
    secure = load(written(path, GOOD.replace("s3cret", "s3cret, tls: {}"))).broker
    assert (secure.advertised_amqp, secure.advertised_amqps) == (None, "127.0.0.1:5672")


def test_the_password_can_be_in_a_file(path: Path) -> None:
    (path.parent / "secret").write_text("from file\nanything\n")
    config = load(written(path, GOOD.replace("password: s3cret", "password_file: secret")))
    assert config.broker.amqp.password.get_secret_value() == "from file"


def test_the_password_can_be_in_the_environment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABBIT", "from environment")
    config = load(written(path, GOOD.replace("password: s3cret", "password_env: RABBIT")))
    assert config.broker.amqp.password.get_secret_value() == "from environment"


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (
            "rk, password: s3cret",
            "rk",
            "broker.amqp needs exactly one of password, password_file, password_env; none is given",
        ),
        (
            "s3cret",
            "s3cret, password_env: HOME",
            "broker.amqp needs exactly one of password, password_file, password_env; password and "
            "password_env are given",
        ),
        (
            "password: s3cret",
            "password_env: NOT_SET",
            "broker.amqp.password_env is 'NOT_SET', and no such environment variable is set; set it",
        ),
        (
            "password: s3cret",
            "password: 123456",
            "broker.amqp.password must be a text; put it in quotes if it is one",
        ),
        (
            '2181"',
            '2181", readers: ["digest:app:hunter2"]',
            "zookeeper.readers.0 is not valid: use world:anyone, digest:USER:HASH (HASH "
            "is what printf 'USER:PASSWORD' | openssl dgst -binary -sha1 | base64 prints), x509:SUBJECT, "
            "sasl:NAME or ip:ADDRESS",
        ),
        (
            '2181"',
            '2181", readers: ["x509:CN=app"]',
            "zookeeper.readers are given without zookeeper.auth, so that anybody could write; add "
            "zookeeper.auth",
        ),
        (
            '2181"',
            '2181", auth: {username: "a:b", password: hunter2}',
            "zookeeper.auth.username is not valid: use a name without a colon, and a password",
        ),
        (
            "password: s3cret",
            "password: s3cret, tls: {ca: /nowhere}",
            "broker.amqp.tls.ca (/nowhere) does not hold certificates of authorities in PEM: No such file or "
            "directory",
        ),
        ("s3cret", "s3cret, port: 5672x", "broker.amqp.port ('5672x') must be a whole number"),
        ("s3cret", "s3cret, port: 65536", "broker.amqp.port (65536) must be at most 65535"),
        ("s3cret", "s3cret, port: true", "broker.amqp.port (True) must be a whole number"),
        ("s3cret", "s3cret, prot: 1", "broker.amqp.prot is not a known key; did you mean port?"),
        (
            "s3cret",
            "s3cret, passwort: hunter2",
            "broker.amqp.passwort is not a known key; did you mean password?",
        ),
        (
            "s3cret",
            "s3cret, host: 0.0.0.0",
            "broker.amqp.host is '0.0.0.0', which no client can connect to; give an address, or set "
            "broker.advertise.amqp",
        ),
        (
            "group: orders",
            "group: a/b",
            "group ('a/b') is not valid: use 1 to 63 letters, digits, '.', '_' or '-', starting and "
            "ending with a letter or digit",
        ),
        ("name: node1", "name: 1", "name (1) must be a text; put it in quotes if it is one"),
        ("name: node1\n", "", "name is missing; it has no default"),
        (
            "rabbit@host1",
            "rabbit",
            "broker.node ('rabbit') is not an Erlang node name; give it as name@host, as in rabbit@host1",
        ),
        (
            "driver: process",
            "driver: podman",
            "broker.driver ('podman') must be 'process', 'systemd', 'docker' or 'external'",
        ),
        (
            "driver: process\n",
            "driver: docker\n",
            "broker.process is not used by driver docker; remove it or set broker.driver: process",
        ),
        (
            "  process: {directory: data}",
            "  process: {directory: data}\n  systemd: {unit: other.service}",
            "broker.systemd is not used by driver process; remove it or set broker.driver: systemd",
        ),
        (
            "driver: process",
            "driver: external",
            "broker.process is not used by driver external; remove it or set broker.driver: process",
        ),
        (
            "  process: {directory: data}",
            "",
            "broker.process is missing, and driver process needs it; give at least "
            "broker.process.directory, or set broker.driver to one of systemd, docker, external",
        ),
        (
            "amqp: {username: rk, password: s3cret}",
            "amqp: amqp://rk:s3cret@host",
            "broker.amqp must be a mapping of keys to values, not a text",
        ),
        (
            "group: orders",
            "group: orders\nhealth: {hung_after: 0.2}",
            "health.hung_after is 0.2 s, shorter than health.interval (0.5 s): a canary would be given "
            "up before the next is due; set hung_after to at least 0.5, better 2",
        ),
        (
            "group: orders",
            "group: orders\nhealth: {hung_after: .nan}",
            "health.hung_after (nan) must be a finite number",
        ),
        ("group: orders", "group: orders\nhealth: {fall: 0}", "health.fall (0) must be at least 1"),
        (
            "group: orders",
            "group: orders\nwatchdog: {timeout: 6}",
            "watchdog.timeout is 6 s, not shorter than the 5.5 s that a ZooKeeper session lasts (eleven "
            "twelfths of zookeeper.session_timeout, 6 s): a stopped agent would outlive its lease; "
            "set it to at most 5",
        ),
        (
            "group: orders",
            "group: orders\nwatchdog: {timeout: 1}",
            "watchdog.timeout is 1 s, shorter than the 2.5 s that a healthy loop may need (2 s for one "
            "ZooKeeper operation and 0.5 s besides); set it to 2.5 or more",
        ),
        (
            "group: orders",
            "group: orders\ninterval: 1",
            "interval is not a known key; did you mean health.interval?",
        ),
        (
            "group: orders",
            "group: orders\ngroup: other",
            "FILE, line 3, column 1 is not YAML: key 'group' stands twice, first in line 2",
        ),
        (
            "group: orders",
            "group: orders\nlog: {level: loud}",
            "log.level ('loud') must be 'debug', 'info', 'warning' or 'error'",
        ),
        (
            "group: orders",
            "group: [",
            "FILE, line 4, column 10 is not YAML: expected ',' or ']', but got ':'",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(path: Path, before: str, after: str, line: str) -> None:
    assert before in GOOD
    said = refusal(path, GOOD.replace(before, after))
    assert said == line
    assert "s3cret" not in said
    assert "hunter2" not in said


def test_every_problem_is_said(path: Path) -> None:
    text = GOOD.replace("node1", "-a").replace("rabbit@host1", "x")
    assert len(refusal(path, text).splitlines()) == 2


@pytest.mark.parametrize("text", ["", "- a\n", "5\n"])
def test_a_file_that_holds_no_mapping_is_refused(path: Path, text: str) -> None:
    assert refusal(path, text).startswith("FILE ")


def test_a_file_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory"):
        load(path)


def test_an_empty_password_file_is_refused(path: Path) -> None:
    (path.parent / "secret").write_text("\n")
    assert "whose first line is empty" in refusal(
        path, GOOD.replace("password: s3cret", "password_file: secret")
    )


def test_the_sample_is_valid_and_names_every_key(path: Path) -> None:
    (path.parent / "password").write_text("x")
    text = SAMPLE_CONFIG.replace("/etc/rabbitkeeper/password", "password")
    load(written(path, text))
    everything = "\n".join(
        line.removeprefix("# ") if line.startswith("# ") and not line.startswith("# One") else line
        for line in text.splitlines()[3:]
    )
    for key in all_keys(AgentConfig):
        name = key.rsplit(".", 1)[-1]
        assert f"{name}:" in everything or name in ("password", "password_env", "token", "token_env"), key


def as_shown(driver: str) -> str:
    """The sample with its comments taken as settings, as far as they are this driver's."""
    lines = [line for line in SAMPLE_CONFIG.splitlines()[3:] if "disk_free_limit" not in line]
    kept, section = [], ""
    for line in (each.replace("# ", "", 1) if each.lstrip().startswith("# ") else each for each in lines):
        if not line.startswith("   "):
            section = line.strip().partition(":")[0]
        if section == driver or section not in ("process", "systemd", "docker", "external"):
            kept.append(line)
    text = "\n".join(kept).replace("config: |              #", "config: ''  #")
    return text.replace("driver: process", f"driver: {driver}").replace(
        "/etc/rabbitkeeper/password", "password"
    )


def test_the_samples_comments_show_the_defaults(path: Path) -> None:
    (path.parent / "password").write_text("x")
    sample = SAMPLE_CONFIG.replace("/etc/rabbitkeeper/password", "password")
    shown, default = load(written(path, as_shown("process"))), load(written(path, sample))
    assert shown.broker.management == ManagementConfig(port=15672)
    without = shown.broker.model_copy(update={"management": None})
    assert shown.model_copy(update={"watchdog": default.watchdog, "broker": without}) == default
    assert shown.watchdog_timeout == default.watchdog_timeout


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{}", "needs either port (on this host) or url"),
        ("{port: 15672, url: 'http://host:15672'}", "needs either port (on this host) or url"),
        ("{url: 'host:15672'}", "is not a URL"),
        ("{url: 'http://me:secret@host'}", "is not a URL"),
    ],
)
def test_where_the_management_api_is_must_be_said_once(path: Path, section: str, said: str) -> None:
    text = GOOD.replace("broker:\n", f"broker:\n  management: {section}\n")
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        load(written(path, text))
    assert "broker.management" in str(caught.value)
    assert "secret@" not in str(caught.value)


def test_the_samples_other_drivers_show_theirs(path: Path) -> None:
    (path.parent / "password").write_text("x")
    systemd, docker, external = (
        load(written(path, as_shown(driver))).broker for driver in ("systemd", "docker", "external")
    )
    assert systemd.systemd == SystemdConfig()
    assert docker.docker == DockerConfig(container="rabbit1")
    assert external.external is not None
    assert external.external.fence is not None
    assert external.external.fence.timeout == HookConfig(command=["x"]).timeout


def test_an_agent_stops_with_its_broker_where_that_is_its_child(path: Path) -> None:
    assert load(written(path, GOOD)).broker.stop_with_agent
    for driver, section in (("docker", "docker: {container: rabbit}"), ("systemd", ""), ("external", "")):
        text = GOOD.replace("driver: process", f"driver: {driver}").replace(
            "process: {directory: data}", section
        )
        assert not load(written(path, text)).broker.stop_with_agent


@pytest.mark.parametrize("unit", ["rabbitmq", "--now.service", "a b.service", "a.socket"])
def test_a_unit_is_the_name_of_a_service(path: Path, unit: str) -> None:
    text = GOOD.replace("driver: process", "driver: systemd").replace(
        "process: {directory: data}", f"systemd: {{unit: {unit!r}}}"
    )
    assert "is not the name of a service" in refusal(path, text)


def test_a_hook_is_a_list_and_not_a_line_for_a_shell(path: Path) -> None:
    text = GOOD.replace("driver: process", "driver: external").replace(
        "process: {directory: data}", "external: {fence: {command: rm -rf /}}"
    )
    assert "broker.external.fence.command" in refusal(path, text)
