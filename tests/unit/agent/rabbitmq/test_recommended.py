"""What RabbitMQ should be configured with: what each version is told, what is said of one that differs."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.jobs import Done

from rabbitkeeper.agent.rabbitmq.configuration_check import ConfigurationCheck
from rabbitkeeper.agent.rabbitmq.ctl import NodeNotRunning
from rabbitkeeper.agent.rabbitmq.recommended import (
    advanced_config,
    conf_lines,
    deviations,
    parameters,
    version_at,
)

PAUSE, QUORUM = ("cluster_partition_handling", "pause_minority"), ("default_queue_type", "quorum")


POLL = ("raft.adaptive_failure_detector.poll_interval", "250")
HELD = ("consumer_disconnected_timeout", "1000")


@pytest.mark.parametrize(
    ("version", "lines"),
    [
        ((3, 10), [PAUSE]),
        ((3, 13), [PAUSE]),
        ((4, 0), [PAUSE, QUORUM, POLL]),
        ((4, 2), [PAUSE, QUORUM, POLL]),
        ((4, 3), [QUORUM, POLL, HELD]),
        (None, [PAUSE]),
    ],
)
def test_each_version_is_told_what_it_knows(version: tuple[int, int] | None, lines: list[object]) -> None:
    assert list(conf_lines(version)) == lines


def test_what_an_old_rabbitmq_conf_has_no_key_for_goes_into_advanced_config() -> None:
    assert advanced_config((3, 10)) == advanced_config(None) == "[{aten, [{poll_interval, 250}]}].\n"
    assert advanced_config((4, 0)) is None


def test_what_differs_is_said_with_both_values() -> None:
    found = dict.fromkeys(parameters(), "undefined") | {
        "rabbit.cluster_partition_handling": "ignore",
        "aten.poll_interval": "1000",
    }
    said = deviations((3, 10), found)
    assert [line.partition(":")[0] for line in said] == [
        "cluster_partition_handling is ignore and should be pause_minority",
        "raft.adaptive_failure_detector.poll_interval is 1000 and should be 250",
    ]
    assert [line.split()[0] for line in deviations((4, 3), found)] == [
        "default_queue_type",
        "raft.adaptive_failure_detector.poll_interval",
        "consumer_disconnected_timeout",
    ]


def test_a_version_is_found_in_a_servers_path(tmp_path: Path) -> None:
    script = tmp_path / "lib" / "rabbitmq_server-4.0.5" / "sbin" / "rabbitmq-server"
    script.parent.mkdir(parents=True)
    script.touch()
    link = tmp_path / "rabbitmq-server"
    link.symlink_to(script)
    assert version_at(link) == (4, 0)
    assert version_at(tmp_path) is None


class Tools:
    def __init__(self, answer: tuple[str, dict[str, str]] | None) -> None:
        self.answer = answer
        self.asked = 0

    def parameters(self, names: Sequence[str]) -> tuple[str, dict[str, str]]:
        self.asked += 1
        if self.answer is None:
            raise NodeNotRunning("rabbit@a is away")
        return self.answer


def test_a_brokers_configuration_is_checked_once(caplog: pytest.LogCaptureFixture) -> None:
    tools = Tools(("4.0.5", {"rabbit.default_queue_type": "rabbit_classic_queue"}))
    check = ConfigurationCheck(tools, launch=Done)
    check.begin()
    check.begin()
    assert tools.asked == 1
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "default_queue_type is rabbit_classic_queue and should be quorum" in record.message


def test_one_that_cannot_be_checked_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    ConfigurationCheck(Tools(None), launch=Done).begin()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
