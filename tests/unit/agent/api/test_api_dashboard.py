"""``GET /`` and the dashboard's files, and what the page asks beside them."""

import json
import re
from collections.abc import Iterator
from html import unescape

import pytest
from fastapi.testclient import TestClient
from support import agent_states as hand_made
from support.agent_states import NAME, NOW, leader, member, state, view

from rabbitkeeper.agent import api
from rabbitkeeper.agent.api import answers
from rabbitkeeper.agent.api.refusal import WriteAccess
from rabbitkeeper.agent.model.observation import Traffic
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.coordinator.store.store import Store

HTML = {"Accept": "text/html,*/*;q=0.8"}
CARRIED = Traffic(publish=12.5, deliver=12.0, ready=3, unacknowledged=4, connections=5, consumers=6)


@pytest.fixture
def board() -> Board:
    board = Board(lambda: NOW)
    board.put_up(state(view=view(leader("node2"))))
    return board


@pytest.fixture
def http(board: Board) -> Iterator[TestClient]:
    def no_store() -> Store:
        raise AssertionError("the page is made without ZooKeeper")

    sources = api.Sources(
        board=board,
        store=no_store,
        member=NAME,
        access=lambda: WriteAccess(None),
        version="0.1.0",
        metrics=api.Metrics(board, "0.1.0", hooks={}, listeners=lambda: 0),
        stream=api.Stream("i"),
        zookeeper=("zk1:2181", "zk2:2181"),
        traffic=lambda: ((NOW - 2.5, CARRIED),),
        clock=lambda: NOW,
        wall=lambda: 1_770_000_000.0,
    )
    with TestClient(api.build(sources)) as client:
        yield client


def test_a_browser_gets_the_page_and_everybody_else_the_index(http: TestClient) -> None:
    page = http.get("/", headers=HTML)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "node2" in page.text
    assert page.headers["vary"] == "Accept, Accept-Encoding"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    index = http.get("/")
    assert index.headers["vary"] == "Accept"
    assert index.json()["member"] == NAME
    assert "GET /group" in index.json()["paths"]


def test_the_page_says_what_the_group_is_like_and_is_packed(http: TestClient) -> None:
    packed = http.get("/", headers={**HTML, "Accept-Encoding": "gzip"})
    plain = http.get("/", headers={**HTML, "Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    told = {key: json.loads(unescape(text)) for key, text in re.findall(r'data-(\w+)="({.*?})"', plain.text)}
    assert told["group"] == http.get("/group").json()
    assert told["health"] == http.get("/health").json()


def test_the_page_is_there_before_the_group_is_known(http: TestClient, board: Board) -> None:
    board.state = None
    page = http.get("/", headers=HTML)
    assert page.status_code == 200
    assert "the agent is starting" in page.text


def test_agents_that_the_group_names_may_be_looked_for(http: TestClient, board: Board) -> None:
    other, bad = member("node2"), member("node3")
    others = [
        type(one)(one.record.model_copy(update={"api": url}), one.version, one.owner)
        for one, url in ((other, "http://10.0.0.2:8008"), (bad, "http://x; script-src *\r\nX: y"))
    ]
    board.put_up(state(view=view(leader("node2"), *others)))
    policy = http.get("/", headers=HTML).headers["content-security-policy"]
    assert "connect-src 'self' http://10.0.0.2:8008;" in policy
    assert "*" not in policy


def test_its_files_are_kept_for_ever_and_packed(http: TestClient) -> None:
    names = set(re.findall(r"dashboard/\w+/[\w.]+", http.get("/", headers=HTML).text))
    assert {name.rpartition(".")[2] for name in names} == {"css", "js", "svg"}
    for name in names:
        packed = http.get(f"/{name}", headers={"Accept-Encoding": "gzip"})
        plain = http.get(f"/{name}", headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content
        assert "immutable" in plain.headers["cache-control"]
        same = http.get(f"/{name}", headers={"If-None-Match": plain.headers["etag"]})
        assert (same.status_code, same.content) == (304, b"")


@pytest.mark.parametrize("name", ["dashboard.html", "..%2Fpage.py", "nothing.js", "main.js%00"])
def test_nothing_else_is_given_away(http: TestClient, name: str) -> None:
    digest = re.findall(r"dashboard/(\w+)/", http.get("/", headers=HTML).text)[0]
    assert http.get(f"/dashboard/{digest}/{name}").status_code == 404
    assert http.get("/dashboard/0000000000000000/main.js").status_code == 404


def test_the_traffic_is_told_with_its_age(http: TestClient) -> None:
    assert http.get("/traffic").json() == {
        "samples": [
            {
                "age": 2.5,
                "publish": 12.5,
                "deliver": 12.0,
                "ready": 3,
                "unacknowledged": 4,
                "connections": 5,
                "consumers": 6,
            }
        ]
    }
    assert answers.traffic((), NOW) == {"samples": []}


def test_health_names_zookeepers_servers(http: TestClient) -> None:
    assert http.get("/health").json()["zookeeper"]["hosts"] == ["zk1:2181", "zk2:2181"]
    assert hand_made.GROUP in http.get("/", headers=HTML).text
