"""What is asked of the management API, what its answers mean, and what of the load is worth writing."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.agent.model.observation import Alarm, Load, ManagementFacts, Traffic
from rabbitkeeper.agent.rabbitmq.management.checks import alarms, checks, failure, load, traffic
from rabbitkeeper.agent.rabbitmq.management.client import ManagementClient, ManagementSettings
from rabbitkeeper.agent.rabbitmq.management.load import LEAST, Published, coarse
from rabbitkeeper.agent.rabbitmq.management.poller import FAILURES, SAMPLES, Poller

OLD = {"health/checks/protocol-listener/amqp", "health/checks/virtual-hosts"}
READY = {"health/checks/ready-to-serve-clients"}
LEADERS = {"health/checks/quorum-queues-without-elected-leaders/all-vhosts/"}
ALWAYS = {"health/checks/local-alarms"}


@pytest.mark.parametrize(
    ("version", "asked"),
    [
        ("3.10.8", OLD),
        ("3.13.7", OLD),
        ("4.0.5", OLD),
        ("4.1.0", OLD | LEADERS),
        ("4.1.0-rc.2", OLD | LEADERS),
        ("4.1.1", READY | LEADERS),
        ("4.3.6+deb", READY | LEADERS),
        ("4.10.0", READY | LEADERS),
        ("5", READY | LEADERS),
        (None, OLD),
        ("nonsense", OLD),
    ],
)
def test_the_checks_that_a_version_has_are_asked(version: str | None, asked: set[str]) -> None:
    assert {check.path for check in checks(version)} == asked | ALWAYS


def test_each_protocol_is_listened_for_by_itself() -> None:
    paths = [check.path for check in checks("3.10.8", ("amqp", "amqps"))]
    assert paths[:2] == ["health/checks/protocol-listener/amqp", "health/checks/protocol-listener/amqps"]


def test_a_failed_check_names_what_it_is_about_and_not_all_of_it() -> None:
    (leaders,) = (check for check in checks("4.3.6") if check.path in LEADERS)
    queues = [{"name": f"q{number}", "vhost": "/"} for number in range(5)]
    assert failure(leaders, {"queues": queues}) == "quorum queues have no leader: q0, q1, q2, …"
    assert failure(leaders, {}) == "quorum queues have no leader"
    (vhosts,) = (check for check in checks("4.0.5") if check.path.endswith("virtual-hosts"))
    assert failure(vhosts, {"virtual-hosts": ["shop"]}) == "virtual hosts do not run: shop"


def test_alarms_are_found_on_every_node() -> None:
    nodes: list[dict[str, object]] = [
        {"name": "rabbit@b", "mem_alarm": True, "disk_free_alarm": True},
        {"name": "rabbit@a", "mem_alarm": False},
        {"name": "rabbit@c"},
    ]
    assert alarms(nodes) == (Alarm("rabbit@b", "disk"), Alarm("rabbit@b", "memory"))


def test_the_load_is_what_lives_on_the_node() -> None:
    connections = [{"node": "rabbit@a"}, {"node": "rabbit@a"}, {"node": "rabbit@b"}]
    queues: list[dict[str, object]] = [
        {"node": "rabbit@a", "type": "classic"},
        {"node": "rabbit@a", "type": "classic", "exclusive": True},
        {"node": "rabbit@a", "type": "quorum"},
        {"node": "rabbit@b", "type": "classic"},
    ]
    assert load("rabbit@a", connections, queues) == Load(2, 1)


# What is written of it.


def test_coarse_numbers() -> None:
    assert [coarse(number) for number in (0, 1, 7, 10, 11, 14, 99, 101, 1234)] == [
        0, 1, 7, 10, 10, 15, 100, 100, 1000,
    ]  # fmt: skip


@given(st.integers(0, 1_000_000))
def test_a_coarse_number_is_near(number: int) -> None:
    assert abs(coarse(number) - number) <= number / 4
    assert (coarse(number) == 0) == (number == 0)


def test_a_load_that_wavers_is_written_once() -> None:
    published = Published().seen(Load(100, 3), 0.0)
    assert published.load == {"connections": 100, "classic_queues": 3}
    for second, connections in enumerate((104, 97, 109, 91, 100, 110)):
        assert published.seen(Load(connections, 3), 100.0 * (second + 1)) is published


def test_a_change_is_written_at_most_every_half_minute() -> None:
    published = Published().seen(Load(100, 3), 0.0)
    assert published.seen(Load(300, 3), LEAST - 0.1) is published
    assert published.seen(Load(300, 3), LEAST).load["connections"] == 300
    assert published.seen(Load(100, 0), LEAST).load["classic_queues"] == 0


@given(st.lists(st.integers(0, 500), min_size=1, max_size=200))
def test_writes_are_rare_and_what_is_written_is_near(numbers: list[int]) -> None:
    published, written = Published(), []
    for second, number in enumerate(numbers):
        now = second * 40.0
        after = published.seen(Load(number, 0), now)
        if after is not published:
            written.append(now)
        published = after
        assert abs(published.load["connections"] - number) <= max(1, number / 2)
    assert all(later - earlier >= LEAST for earlier, later in itertools.pairwise(written))


# The poller against a server that answers as the test says.


class Api:
    """Answers by path; what it has no answer for is 404."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, object]] = {
            "health/checks/ready-to-serve-clients": (200, {"status": "ok"}),
            "health/checks/local-alarms": (200, {"status": "ok"}),
            "health/checks/quorum-queues-without-elected-leaders/all-vhosts/": (200, {"status": "ok"}),
            "nodes": (200, [{"name": "rabbit@a", "mem_alarm": False}]),
            "connections": (200, [{"node": "rabbit@a"}]),
            "queues": (200, []),
        }
        self.asked: list[str] = []


@pytest.fixture
def api() -> Iterator[tuple[Api, ManagementClient]]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix("/api/").partition("?")[0]
            api.asked.append(path)
            code, body = api.answers.get(path, (404, {"error": "Object Not Found"}))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    client = ManagementClient(ManagementSettings(f"http://127.0.0.1:{server.server_port}", ("rk", "pw")))
    yield api, client
    client.close()
    server.shutdown()
    server.server_close()


def poller(version: Callable[[], str | None] = lambda: "4.3.6") -> Poller:
    settings = ManagementSettings("http://127.0.0.1:1", ("rk", "secret"))
    return Poller(settings, "rabbit@a", protocols=("amqp",), version=version, wake=lambda: None, interval=1.0)


def test_a_healthy_broker_has_a_load_and_nothing_else(api: tuple[Api, ManagementClient]) -> None:
    _, client = api
    assert poller().poll(client) == ManagementFacts(load=Load(1, 0))


def test_what_the_cluster_carries_is_kept_and_does_not_count(api: tuple[Api, ManagementClient]) -> None:
    answers, client = api
    one = poller()
    assert one.poll(client) == ManagementFacts(load=Load(1, 0)), "it has no overview, and is well"
    before = len(one.samples)
    assert before == 0
    answers.answers["overview"] = (200, {"message_stats": {"publish_details": {"rate": 2.5}}})
    for _ in range(SAMPLES + 1):
        one.poll(client)
    assert len(one.samples) == SAMPLES
    assert one.samples[-1][1] == Traffic(2.5, 0.0, 0, 0, 0, 0)
    assert [at for at, _ in one.samples] == sorted(at for at, _ in one.samples)


def test_an_overview_is_read_as_far_as_it_goes() -> None:
    whole = {
        "message_stats": {"publish_details": {"rate": 10}, "deliver_get_details": {"rate": 9.5}},
        "queue_totals": {"messages_ready": 3, "messages_unacknowledged": 2},
        "object_totals": {"connections": 7, "consumers": 4},
    }
    assert traffic(whole) == Traffic(10.0, 9.5, 3, 2, 7, 4)
    broken: dict[str, object] = {
        "message_stats": None,
        "queue_totals": [],
        "object_totals": {"connections": "x"},
    }
    for part in ({}, broken):
        assert traffic(part) == Traffic(0.0, 0.0, 0, 0, 0, 0)


def test_what_fails_is_said(api: tuple[Api, ManagementClient]) -> None:
    answers, client = api
    answers.answers["health/checks/quorum-queues-without-elected-leaders/all-vhosts/"] = (
        503,
        {"status": "failed", "queues": [{"name": "orders"}]},
    )
    answers.answers["nodes"] = (200, [{"name": "rabbit@b", "disk_free_alarm": True}])
    facts = poller().poll(client)
    assert facts.failed == ("quorum queues have no leader: orders",)
    assert facts.alarms == (Alarm("rabbit@b", "disk"),)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {}), "HTTP status 401: give the agents' user the tag monitoring"),
        ((500, {}), "HTTP status 500"),
        ((200, b"<html>"), "and not with JSON"),
        ((200, {"nodes": 3}), "and not with a list"),
    ],
)
def test_a_broken_api_is_a_problem_of_its_own_and_only_when_it_lasts(
    api: tuple[Api, ManagementClient], answer: tuple[int, object], said: str
) -> None:
    answers, client = api
    answers.answers["nodes"] = answer
    one = poller()
    for _ in range(FAILURES - 1):
        assert one.poll(client) == ManagementFacts()
    assert said in (one.poll(client).problem or "")
    answers.answers["nodes"] = (200, [])
    assert one.poll(client).problem is None


def test_where_nothing_listens_that_is_said() -> None:
    client = ManagementClient(ManagementSettings("http://127.0.0.1:1", ("rk", "secret"), timeout=1.0))
    one = poller()
    problems = [one.poll(client).problem for _ in range(FAILURES)]
    assert problems[:-1] == [None] * (FAILURES - 1)
    assert problems[-1] == "the management API does not answer: ConnectError"
    client.close()


def test_nothing_is_asked_of_a_broker_that_is_away(api: tuple[Api, ManagementClient]) -> None:
    answers, client = api
    assert poller(lambda: None).poll(client) == ManagementFacts()
    assert not answers.asked


def test_no_password_is_shown() -> None:
    assert "secret" not in repr(ManagementSettings("http://h", ("rk", "secret")))
