"""What is asked for over HTTP: who is let through, what is too large, what comes of a late answer."""

import asyncio
import base64
import threading
from collections.abc import Callable, Iterator
from typing import cast

import pytest
from fastapi import Request
from fastapi.testclient import TestClient
from support import agent_states as hand_made
from support.agent_states import NAME

from rabbitkeeper.agent import api
from rabbitkeeper.agent.api import app as application
from rabbitkeeper.agent.api import store_executor as executor
from rabbitkeeper.agent.api.refusal import BODY_LIMIT, WriteAccess
from rabbitkeeper.agent.api.requests import OperationRequest
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable
from rabbitkeeper.coordinator.model.records import HistoryEntry
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.store.store import Store

TOKEN = "a-token-of-a-good-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ENTRY = HistoryEntry(
    epoch=7, previous=None, to=NAME, node="n", cause="first leader", by=NAME, at=hand_made.SINCE
)


class Coordination:
    """A store whose every read and write the test decides on: it hangs, fails or answers."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Callable[[], tuple[HistoryEntry, ...]] = lambda: (ENTRY,)

    def history(self) -> tuple[HistoryEntry, ...]:
        self.asked += 1
        return self.answer()

    def snapshot(self, *, watch: bool = True) -> GroupView:
        self.asked += 1
        self.answer()
        raise ZooKeeperUnreachable("ZooKeeper is away")


@pytest.fixture
def coordination() -> Coordination:
    return Coordination()


@pytest.fixture
def http(coordination: Coordination, request: pytest.FixtureRequest) -> Iterator[TestClient]:
    token: str | None = getattr(request, "param", TOKEN)
    board, stream = Board(lambda: 0.0), api.Stream("i")
    sources = api.Sources(
        board=board,
        store=lambda: cast("Store", coordination),
        member=NAME,
        access=lambda: WriteAccess(token),
        version="0.1.0",
        metrics=api.Metrics(board, "0.1.0", hooks={}, listeners=lambda: 0),
        stream=stream,
    )
    with TestClient(api.build(sources)) as client:
        yield client


OPERATIONS = [
    "/switchover",
    "/failover",
    "/pause",
    "/resume",
    "/restart",
    "/rolling-restart",
    "/members/node2/remove",
    "/operations/x/cancel",
]


@pytest.mark.parametrize("path", OPERATIONS)
def test_every_operation_needs_the_token(http: TestClient, coordination: Coordination, path: str) -> None:
    for header in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
        assert http.post(path, headers=header).status_code == 401
    assert coordination.asked == 0
    assert 'rabbitkeeper_http_refused_total{status="401"} 3.0' in http.get("/metrics").text


@pytest.mark.parametrize("identity", ["", "clients:what clients know", "app:secret"])
def test_a_client_and_a_load_balancer_read_everything_and_change_nothing(
    http: TestClient, coordination: Coordination, identity: str
) -> None:
    """What they have elsewhere, at ZooKeeper and at the brokers, is worth nothing here."""
    given = [f"Basic {base64.b64encode(identity.encode()).decode()}", f"Bearer {identity}"]
    for header in [{"Authorization": value} for value in given] if identity else [{}]:
        assert {http.post(path, headers=header).status_code for path in OPERATIONS} == {401}
        assert coordination.asked == 0
        for path in ("/leader", "/replica", "/live", "/ready", "/health", "/group", "/metrics", "/"):
            assert http.get(path, headers=header).status_code not in (401, 403), path


@pytest.mark.parametrize("path", OPERATIONS[:-1])
def test_a_dry_run_needs_no_token_and_no_other_one(
    http: TestClient, coordination: Coordination, path: str
) -> None:
    content = {"dry_run": True, **({"to": "node2"} if path == "/failover" else {})}
    tried = http.post(path, json=content)
    assert (tried.status_code, tried.json()) == (503, {"reason": "ZooKeeper is away"}), "it was let through"
    asked = coordination.asked
    assert asked
    assert http.post(path, json=content, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert http.post(path, json={**content, "dry_run": False}).status_code == 401
    assert http.post(path, json={**content, "other": 1}).status_code == 401, "nothing is explained"
    assert http.post(path, content=b"{").status_code == 401
    assert coordination.asked == asked


def test_who_tries_without_a_token_keeps_no_operator_out(
    http: TestClient, coordination: Coordination, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    coordination.answer = lambda: (ENTRY,) if gate.wait(20) else ()
    monkeypatch.setattr(executor, "WRITE_TIMEOUT", 0.05)
    try:
        for _ in range(executor.DRY_RUNS):
            assert http.post("/pause", json={"dry_run": True}).status_code == 504
        assert http.post("/pause", json={"dry_run": True}).status_code == 503
        assert http.post("/pause", json={"dry_run": True}, headers=BEARER).status_code == 504
        assert http.post("/pause", headers=BEARER).status_code == 504, (
            "it waits for ZooKeeper, and has a place"
        )
    finally:
        gate.set()


@pytest.mark.parametrize("http", [None], indirect=True)
@pytest.mark.parametrize("path", OPERATIONS)
def test_without_a_configured_token_operations_are_off(http: TestClient, path: str) -> None:
    answer = http.post(path, headers=BEARER)
    assert answer.status_code == 403
    assert answer.json() == {"reason": "operations are off: no http.token is configured for this agent"}


@pytest.mark.parametrize("path", OPERATIONS)
def test_a_body_that_is_too_large_is_refused_before_it_is_understood(
    http: TestClient, coordination: Coordination, path: str
) -> None:
    just_fits, too_large = b" " * BODY_LIMIT, b" " * (BODY_LIMIT + 1)
    assert http.post(path, headers=BEARER, content=too_large).status_code == 413
    chunks = (too_large[start : start + 1000] for start in range(0, len(too_large), 1000))
    assert http.post(path, headers=BEARER, content=chunks).status_code == 413
    assert coordination.asked == 0
    assert http.post(path, headers=BEARER, content=just_fits).status_code != 413


def test_an_answer_that_is_late_is_not_waited_for(
    http: TestClient, coordination: Coordination, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    coordination.answer = lambda: (ENTRY,) if gate.wait(20) else ()
    monkeypatch.setattr(executor, "WRITE_TIMEOUT", 0.05)
    monkeypatch.setattr(executor, "READ_TIMEOUT", 0.05)
    try:
        answer = http.post("/pause", headers=BEARER)
        assert answer.status_code == 504
        assert answer.json() == {"reason": "ZooKeeper has not answered within 0.05 s"}
        for _ in range(executor.WRITES - 1):
            assert http.post("/pause", headers=BEARER).status_code == 504
        turned_away = http.post("/pause", headers=BEARER)  # the others still wait, in their threads
        assert (turned_away.status_code, turned_away.headers["retry-after"]) == (503, "1")
        assert http.get("/history").status_code == 504  # readers have places of their own
        assert http.get("/live").status_code == 200
    finally:
        gate.set()


def test_readers_never_lock_an_operator_out(
    http: TestClient, coordination: Coordination, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    coordination.answer = lambda: (ENTRY,) if gate.wait(20) else ()
    monkeypatch.setattr(executor, "READ_TIMEOUT", 0.05)
    monkeypatch.setattr(executor, "FRESH", 0.0)
    try:
        statuses = {http.get("/history").status_code for _ in range(2 * executor.READS)}
        assert statuses == {503, 504}
        gate.set()
        coordination.answer = lambda: ()
        assert http.post("/pause", headers=BEARER).json() == {"reason": "ZooKeeper is away"}
    finally:
        gate.set()


def test_of_all_who_ask_the_same_at_once_one_reads(coordination: Coordination) -> None:
    async def ask() -> None:
        cache = executor.Cache(
            executor.StoreExecutor(lambda: cast("Store", coordination)), lambda store: store.history()
        )
        answers = await asyncio.gather(*(cache.get() for _ in range(50)))
        assert [known.value for known in answers] == [(ENTRY,)] * 50

    asyncio.run(ask())
    assert coordination.asked == 1


def test_a_read_that_fails_is_not_repeated_by_everybody(http: TestClient, coordination: Coordination) -> None:
    def away() -> tuple[HistoryEntry, ...]:
        raise ZooKeeperUnreachable("ZooKeeper is away")

    coordination.answer = away
    assert {http.get("/history").status_code for _ in range(20)} == {503}
    assert coordination.asked <= 3


def test_names_that_are_made_up_do_not_make_the_log_be_read_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    reads: list[Store] = []

    async def ask() -> None:
        nonlocal now
        cache = executor.Cache(
            executor.StoreExecutor(lambda: cast("Store", None)), reads.append, clock=lambda: now
        )
        for number in range(100):  # for ten seconds, ten times a second
            now = number / 10
            await cache.get()
            await cache.get(executor.MISSED)

    asyncio.run(ask())
    assert len(reads) <= 51


def test_what_was_read_before_a_change_does_not_count_after_it() -> None:
    gates = [threading.Event(), threading.Event()]
    began: list[None] = []

    def read(_: Store) -> int:
        began.append(None)
        number = len(began)
        assert gates[number - 1].wait(20)
        return number

    async def ask() -> None:
        cache = executor.Cache(executor.StoreExecutor(lambda: cast("Store", None)), read)
        first = asyncio.create_task(cache.get())
        await asyncio.sleep(0)
        cache.forget()
        second = asyncio.create_task(cache.get())
        gates[1].set()
        assert (await second).value == 2
        gates[0].set()
        await first
        assert (await cache.get()).value == 2

    asyncio.run(ask())


def test_history_is_shown_with_its_age_when_it_cannot_be_read(
    http: TestClient, coordination: Coordination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "FRESH", 0.0)

    def away() -> tuple[HistoryEntry, ...]:
        raise ZooKeeperUnreachable("ZooKeeper is away")

    coordination.answer = away
    answer = http.get("/history")  # it has never been read
    assert (answer.status_code, answer.json()) == (503, {"reason": "ZooKeeper is away"})
    coordination.answer = lambda: (ENTRY,)
    fresh = http.get("/history").json()
    assert (fresh["problem"], fresh["entries"][0]["epoch"]) == (None, 7)
    coordination.answer = away
    stale = http.get("/history").json()
    assert stale["problem"] == "ZooKeeper is away"
    assert stale["entries"] == fresh["entries"]


def test_what_is_fresh_is_not_read_again(http: TestClient, coordination: Coordination) -> None:
    for _ in range(20):
        assert http.get("/history").status_code == 200
    assert coordination.asked <= 3  # once a second at the most


@pytest.mark.parametrize(
    ("last", "status"),
    [
        ("1", 200),
        ("0", 422),
        ("-1", 422),
        ("x", 422),
        ("²", 422),
        ("٣", 422),
        ("9" * 5000, 422),
        ("1_0", 422),
    ],
)
def test_how_many_entries_are_wanted_can_be_said(http: TestClient, last: str, status: int) -> None:
    assert http.get("/history", params={"last": last}).status_code == status


def test_who_is_refused_is_in_the_log_with_the_address_and_not_again_and_again(
    http: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        http.post("/pause")
        http.post("/members/x%0aERROR%1b[2J" + "x" * 500 + "/remove")
    (line,) = [message for message in caplog.messages if "is refused" in message]
    assert line.startswith("POST /pause of testclient is refused (401): operations need the header")


def test_where_somebody_asks_from_is_recorded_beside_who_they_say_they_are() -> None:
    scope = {"type": "http", "client": ("10.0.0.9", 1), "headers": []}
    request = Request(scope)
    assert application._sender(request, OperationRequest(by="anna")) == "anna, HTTP API (10.0.0.9)"
    assert application._sender(request, OperationRequest()) == "HTTP API (10.0.0.9)"
