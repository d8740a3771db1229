"""What load balancers and orchestrators are told, over states made by hand."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from fastapi.testclient import TestClient
from support import agent_states as hand_made
from support.agent_states import NAME, NOW

from rabbitkeeper.agent import api
from rabbitkeeper.agent.api.refusal import WriteAccess
from rabbitkeeper.agent.model.state import AgentState, Board
from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable
from rabbitkeeper.coordinator.model.records import MemberStatus, PauseRecord
from rabbitkeeper.coordinator.policy.election import Action
from rabbitkeeper.coordinator.store.store import Store


@dataclass
class Agent:
    """An agent as the API sees it, at a time that the test sets."""

    now: float = NOW
    board: Board = field(init=False)
    http: TestClient = field(init=False)

    def __post_init__(self) -> None:
        self.board = Board(lambda: self.now)
        stream = api.Stream("i")
        sources = api.Sources(
            board=self.board,
            store=self._no_zookeeper,
            member=NAME,
            access=lambda: WriteAccess(None),
            version="0.1.0",
            metrics=api.Metrics(
                self.board, "0.1.0", hooks={}, listeners=lambda: stream.listeners, clock=lambda: self.now
            ),
            stream=stream,
            clock=lambda: self.now,
            wall=lambda: 1769860800.0,
        )
        self.http = TestClient(api.build(sources))

    def shows(self, state: AgentState) -> None:
        self.board.put_up(state)

    def status(self, path: str, method: str = "GET") -> int:
        return int(self.http.request(method, path).status_code)

    def _no_zookeeper(self) -> Store:
        raise ZooKeeperUnreachable("ZooKeeper is away")


@pytest.fixture
def agent() -> Iterator[Agent]:
    made = Agent()
    with made.http:
        yield made


LEADS = hand_made.view(hand_made.leader(NAME))
FOLLOWS = hand_made.view(hand_made.leader("node2"))


def test_before_the_loop_has_come_round_nothing_is_claimed(agent: Agent) -> None:
    for path in ("/leader", "/replica", "/ready", "/health", "/group"):
        answer = agent.http.get(path)
        assert answer.status_code == 503
        assert answer.json() == {"reason": "the agent is starting: its loop has not come round yet"}
    assert agent.status("/live") == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_load_balancer_can_ask_in_its_own_way(agent: Agent, method: str) -> None:
    agent.shows(hand_made.state(view=LEADS, action=Action.LEAD))
    assert agent.status("/leader", method) == 200
    assert agent.status("/replica", method) == 503
    agent.shows(hand_made.state(view=FOLLOWS))
    assert agent.status("/leader", method) == 503
    assert agent.status("/replica", method) == 200


@pytest.mark.parametrize(
    ("status", "leader", "replica", "ready"),
    [
        (MemberStatus.RUNNING, 200, 200, 200),
        (MemberStatus.ALARMED, 200, 200, 200),  # on every node: moving would not help
        (MemberStatus.MINORITY, 200, 503, 200),  # nobody else could lead; but others may have a majority
        (MemberStatus.STARTING, 503, 503, 503),
        (MemberStatus.HUNG, 503, 503, 503),
        (MemberStatus.DRAINING, 503, 503, 503),
        (MemberStatus.STOPPED, 503, 503, 503),
        (MemberStatus.UNREACHABLE, 503, 503, 503),
    ],
)
def test_each_state_of_the_broker_has_its_answer(
    agent: Agent, status: MemberStatus, leader: int, replica: int, ready: int
) -> None:
    agent.shows(hand_made.state(status, view=LEADS, action=Action.LEAD))
    assert agent.status("/leader") == leader
    assert agent.status("/ready") == ready
    assert agent.status("/health") == ready
    agent.shows(hand_made.state(status, view=FOLLOWS))
    assert agent.status("/replica") == replica


def test_a_lease_that_has_run_out_ends_the_claim_without_another_turn(agent: Agent) -> None:
    agent.shows(hand_made.state(view=LEADS, action=Action.LEAD, lease_left=2.0))
    agent.now += 1.9
    assert agent.status("/leader") == 200
    agent.now += 0.2
    assert agent.status("/leader") == 503
    assert agent.status("/replica") == 503  # it may still be the leader: it is no replica for certain


def test_without_zookeeper_a_held_lead_is_told_to_those_who_ask_for_it(agent: Agent) -> None:
    away = hand_made.state(view=LEADS, action=Action.HOLD, lease_left=0.0, connected=False)
    agent.shows(away)
    assert agent.status("/leader") == 503
    assert agent.status("/leader?hold=true") == 200
    agent.shows(hand_made.state(view=FOLLOWS, action=Action.WAIT, lease_left=0.0, connected=False))
    assert agent.status("/leader?hold=true") == 503


def test_while_the_group_is_read_again_nobody_leads(agent: Agent) -> None:
    agent.shows(hand_made.state(view=None, action=Action.CAMPAIGN))
    assert agent.status("/leader") == 503
    assert agent.status("/group") == 503


def test_a_loop_that_has_stopped_is_not_live_and_nothing_else_is_claimed(agent: Agent) -> None:
    agent.shows(hand_made.state(view=LEADS, action=Action.LEAD, lease_left=60.0))
    agent.now += 2.4
    assert agent.status("/live") == 200
    agent.now += 0.2
    for path in ("/live", "/leader", "/replica", "/ready", "/health"):
        answer = agent.http.get(path)
        assert answer.status_code == 503
        assert answer.json()["reason"] == "the loop has not come round for 2.6 s"
    assert agent.status("/group") == 200  # what it knew, with its age


def test_health_tells_everything_and_since_when(agent: Agent) -> None:
    agent.shows(
        hand_made.state(MemberStatus.HUNG, "no answer to a canary within 2 s", view=FOLLOWS, connected=False)
    )
    told = agent.http.get("/health").json()
    assert told["state"] == "hung"
    assert told["reasons"] == ["no answer to a canary within 2 s"]
    assert told["since"] == hand_made.SINCE
    assert told["sentence"] == "the broker is hung; as decided"
    assert told["leader"] == "node2"
    assert (told["epoch"], told["incarnation"]) == (7, 0)
    assert told["role"] == "member"
    assert told["next"]["action"] == "follow"
    assert told["zookeeper"]["connected"] is False
    assert told["zookeeper"]["since"] == "2026-01-31T11:59:57.000Z"  # three seconds ago
    assert told["zookeeper"]["lease_left"] == 4.0
    assert told["broker"]["canary_latency"] == 0.002
    assert told["broker"]["version"] == "3.10.8"


def test_the_group_is_shown_with_its_age(agent: Agent) -> None:
    paused = hand_made.view(
        hand_made.leader("node2"), pause=PauseRecord(by="anna", since=hand_made.SINCE), problems=("odd",)
    )
    agent.shows(hand_made.state(view=paused))
    agent.now += 1.5
    told = agent.http.get("/group").json()
    assert told["age"] == 1.5
    assert told["leader"]["name"] == "node2"
    assert [(one["name"], one["leader"]) for one in told["members"]] == [
        ("node1", False),
        ("node2", True),
        ("node3", False),
    ]
    assert told["pause"]["by"] == "anna"
    assert told["problems"] == ["odd"]


def test_the_index_names_what_there_is(agent: Agent) -> None:
    paths = agent.http.get("/").json()["paths"]
    assert paths["GET /leader"] == "200 while this member leads and its broker serves clients"
    assert "POST /switchover" in paths


@pytest.mark.parametrize("leads", [True, False])
@pytest.mark.parametrize("path", ["/leader", "/replica", "/live", "/ready", "/health"])
def test_nothing_but_the_path_itself_passes_for_health(agent: Agent, path: str, *, leads: bool) -> None:
    """A load balancer takes 2xx and 3xx for healthy, a kubelet 200 to 399."""
    agent.shows(
        hand_made.state(view=LEADS if leads else FOLLOWS, action=Action.LEAD if leads else Action.FOLLOW)
    )
    for odd in (f"{path}/", f"{path}//", f"{path}/x", f"{path}%2F", f"{path};x", f"{path}%20", path.upper()):
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            answer = agent.http.request(method, odd, follow_redirects=False)
            assert answer.status_code in (404, 405), (method, odd)
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "FOO"):
        assert agent.http.request(method, path, follow_redirects=False).status_code == 405, method


def test_what_there_is_not_is_said(agent: Agent) -> None:
    answer = agent.http.get("/nothing")
    assert answer.status_code == 404
    assert answer.json() == {"reason": "there is nothing here; GET / lists what there is"}
    assert agent.status("/leader", "DELETE") == 405
