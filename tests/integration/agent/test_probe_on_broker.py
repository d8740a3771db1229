"""The probe against a real broker: the answers it tells apart, and the two canaries."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from support.agent.starved_queue import consumers, starve

from rabbitkeeper.agent.health.connection import ProbeSettings
from rabbitkeeper.agent.health.majority_canary import QUEUE
from rabbitkeeper.agent.health.probe import Probe
from rabbitkeeper.agent.model.observation import ConnectFailure, ConnectionFacts
from rabbitkeeper.agent.rabbitmq import definitions
from rabbitkeeper.compose.local import Local

pytestmark = [pytest.mark.rabbitmq]

VHOST = "probed"
LONG = 60.0  # seconds; never waited for when things work


class Probed:
    def __init__(self, settings: ProbeSettings) -> None:
        self._bell = threading.Event()
        self.probe = Probe(settings, wake=self._bell.set)
        self.probe.start()

    def until(self, condition: Callable[[ConnectionFacts], bool]) -> ConnectionFacts:
        deadline = time.monotonic() + LONG
        while not condition(self.probe.facts):
            assert time.monotonic() < deadline, self.probe.facts
            self._bell.wait(0.05)
            self._bell.clear()
        return self.probe.facts


@pytest.fixture(scope="module")
def settings(broker: Local) -> ProbeSettings:
    user, password = broker.credentials
    broker.ctl("node1").import_definitions(
        {"vhosts": [{"name": VHOST}], "permissions": [definitions.full_access(user, VHOST)]}
    )
    host, port = broker.amqp("node1")
    return ProbeSettings(host, port, user, password, VHOST, "probe", interval=0.05, connect_timeout=LONG)


@pytest.fixture
def probed() -> Iterator[Callable[[ProbeSettings], Probed]]:
    started: list[Probed] = []

    def start(settings: ProbeSettings) -> Probed:
        started.append(Probed(settings))
        return started[-1]

    yield start
    for one in started:
        one.probe.stop()


Start = Callable[[ProbeSettings], Probed]


def test_canaries_are_confirmed_one_after_the_other(settings: ProbeSettings, probed: Start) -> None:
    facts = probed(settings).until(lambda facts: facts.confirmed >= 5)
    assert facts.up_since is not None
    assert facts.latency is not None
    assert facts.version is not None
    assert facts.failures == 0


def test_a_wrong_password_is_denied(settings: ProbeSettings, probed: Start) -> None:
    facts = probed(replace(settings, password="wrong")).until(lambda facts: facts.failures > 0)
    assert facts.failure is ConnectFailure.DENIED
    assert facts.answers


def test_a_missing_vhost_is_told_from_wrong_credentials(settings: ProbeSettings, probed: Start) -> None:
    facts = probed(replace(settings, vhost="nowhere")).until(lambda facts: facts.failures > 0)
    assert facts.failure is ConnectFailure.NO_VHOST
    assert facts.error == "the broker refuses its vhost: NOT_ALLOWED - vhost nowhere not found"


def test_a_vhost_without_permission_is_no_wrong_password_either(
    broker: Local, settings: ProbeSettings, probed: Start
) -> None:
    broker.ctl("node1").import_definitions({"vhosts": [{"name": "of-others"}]})
    facts = probed(replace(settings, vhost="of-others")).until(lambda facts: facts.failures > 0)
    assert facts.failure is ConnectFailure.NO_VHOST


def test_the_majority_canary_makes_its_queue_and_is_confirmed(
    broker: Local, settings: ProbeSettings, probed: Start
) -> None:
    one = probed(settings)
    one.until(lambda facts: facts.confirmed > 0)
    for _ in range(3):
        request = one.probe.confirm_majority(10)
        one.until(lambda _: request.result is not None)  # noqa: B023 - called before the next
        assert request.result is not None
        assert request.result.confirmed, request.result
    queues = [queue for queue in broker.ctl("node1").definitions()["queues"] if queue["vhost"] == VHOST]
    assert [queue["name"] for queue in queues] == [QUEUE]  # the local canary's is not durable
    assert isinstance(arguments := queues[0]["arguments"], dict)
    assert arguments["x-queue-type"] == "quorum"


def test_a_broker_that_takes_messages_and_feeds_nobody_is_told_from_one_that_does(
    broker: Local, settings: ProbeSettings, probed: Start
) -> None:
    def confirmed(one: Probed) -> None:
        request = one.probe.confirm_majority(LONG)
        one.until(lambda _: request.result is not None)
        assert request.result is not None
        assert request.result.confirmed, request.result

    one = probed(replace(settings, name="starves"))
    one.until(lambda facts: facts.confirmed > 0)
    deadline = time.monotonic() + LONG
    while not consumers(broker.ctl("node1"), VHOST, QUEUE):  # it begins with the first that is confirmed
        assert time.monotonic() < deadline
        confirmed(one)
    for _ in range(3):
        confirmed(one)
    one.until(lambda facts: facts.unfed <= 1)  # a message can come before its confirm, which counts it then
    deadline = time.monotonic() + LONG
    while one.probe.facts.unfed < 3:  # a message that was under way has its consumer fed once more
        assert time.monotonic() < deadline
        starve(broker.ctl("node1"), VHOST, QUEUE)
        for _ in range(3):
            confirmed(one)
    assert one.probe.facts.unfed_since is not None
    other = probed(replace(settings, name="fed"))
    other.until(lambda facts: facts.confirmed > 0)
    deadline = time.monotonic() + LONG
    while consumers(broker.ctl("node1"), VHOST, QUEUE) < 2:
        assert time.monotonic() < deadline
        confirmed(other)
    for _ in range(3):
        confirmed(other)
    other.until(lambda facts: facts.unfed <= 1)
    assert one.probe.facts.unfed >= 3, "a new consumer is fed at once, and the old one is not"


def test_a_vhost_that_is_deleted_under_it_breaks_the_connection(
    broker: Local, settings: ProbeSettings, probed: Start
) -> None:
    user, _ = broker.credentials
    ctl = broker.ctl("node1")
    ctl.import_definitions(
        {"vhosts": [{"name": "passing"}], "permissions": [definitions.full_access(user, "passing")]}
    )
    one = probed(replace(settings, vhost="passing"))
    one.until(lambda facts: facts.confirmed > 0)
    ctl._run("delete_vhost", "passing")
    facts = one.until(lambda facts: facts.failures > 0)
    assert facts.failure is ConnectFailure.NO_VHOST


def test_a_broker_that_hangs_during_an_alarm_is_noticed_all_the_same(
    broker: Local, settings: ProbeSettings, probed: Start
) -> None:
    one = probed(replace(settings, connect_timeout=5.0))
    one.until(lambda facts: facts.confirmed > 0)
    ctl = broker.ctl("node1")
    ctl._run("set_vm_memory_high_watermark", "0.00001")
    try:
        facts = one.until(lambda facts: facts.blocked is not None)
        assert "low on memory" in (facts.blocked or "")
        # It is asked and answers, though it takes no message.
        time.sleep(2 * settings.hung_after)
        assert one.probe.facts.silent < settings.hung_after
        broker.stop_broker("node1")
        try:
            facts = one.until(lambda facts: facts.silent >= settings.hung_after)
            assert facts.blocked is not None
        finally:
            broker.continue_broker("node1")
        one.until(lambda facts: facts.silent == 0.0)
    finally:
        ctl._run("set_vm_memory_high_watermark", "absolute", "512MiB")
    one.until(lambda facts: facts.blocked is None and facts.confirmed > 1)
