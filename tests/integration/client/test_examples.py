"""The programs of ``examples/``, as a reader runs them; the leader's broker is killed meanwhile."""

import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support.announcer import GROUP, Announcer
from support.client.programs import Program, running
from support.waiting import wait_for

from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

MESSAGES = {f"Message {number}" for number in range(1, 11)}


def example(announcer: Announcer, name: str, folder: Path) -> AbstractContextManager[Program]:
    user, password = announcer.local.credentials
    return running(
        [sys.executable, f"{name}.py", announcer.local.zookeeper_hosts, GROUP, user],
        folder / f"{name}.txt",
        {"RABBITKEEPER_PASSWORD": password},
    )


def test_producer_and_consumer_go_on(announcer: Announcer, tmp_path: Path) -> None:
    with example(announcer, "consumer", tmp_path) as consumer:
        consumer.waited_for("waiting for messages")
        with example(announcer, "producer", tmp_path) as producer:
            wait_for(lambda: len(producer.said("confirmed by node1")) >= 2, "two are confirmed by the leader")
            announcer.local.kill_broker("node1")
            try:
                announcer.status("node1", MemberStatus.STOPPED)
                announcer.lead("node2")
                assert producer.ended() == 0
                by_leaders = [set(producer.said(f"confirmed by {name}")) for name in announcer.members]
                assert set.union(*by_leaders) == MESSAGES
                assert producer.said("confirmed by node2")
                wait_for(
                    lambda: (
                        {text.removesuffix(" (delivered again)") for text in consumer.said("received")}
                        == MESSAGES
                    ),
                    "all are received",
                )
            finally:
                announcer.local.start_broker("node1")
                announcer.status("node1", MemberStatus.RUNNING)
                announcer.lead("node1")
        assert consumer.ended(signal.SIGINT) == 0
        assert consumer.text.splitlines()[-1] == "done"
