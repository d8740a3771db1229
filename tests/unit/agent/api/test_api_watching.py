"""``/metrics`` and ``/events``, over states made by hand and a stream whose events the test spreads."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from starlette.types import Message
from support import agent_states as hand_made
from support.agent_states import NAME, NOW, leader, state, view

from rabbitkeeper.agent.api import Metrics, Stream
from rabbitkeeper.agent.api import stream as streaming
from rabbitkeeper.agent.api.refusal import Refusal
from rabbitkeeper.agent.model.observation import ConnectionFacts
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.agent.notify.events import Event, EventKind
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.policy.election import Action

LEADS = state(view=view(leader(NAME)), action=Action.LEAD)


def event(
    kind: EventKind = EventKind.STATE,
    *,
    state: str | None = None,
    reason: str | None = None,
    cause: str | None = None,
    timings: Mapping[str, float] = MappingProxyType({}),
) -> Event:
    return Event(
        kind=kind,
        at="2026-01-31T12:00:00.000Z",
        group="orders",
        agent=NAME,
        member=NAME,
        state=state,
        reason=reason,
        cause=cause,
        timings=timings,
    )


# -- metrics


@pytest.fixture
def board() -> Board:
    return Board(lambda: NOW)


@pytest.fixture
def metrics(board: Board) -> Metrics:
    hooks = {("member_down", "command", "killed"): 2}
    return Metrics(board, "0.1.0", hooks=hooks, listeners=lambda: 3, clock=lambda: NOW)


def samples(metrics: Metrics) -> dict[str, float]:
    lines = metrics.text().decode().splitlines()
    return {
        name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")
    }


def test_before_the_first_turn_there_are_metrics_already(metrics: Metrics) -> None:
    told = samples(metrics)
    assert told["rabbitkeeper_loop_silent_seconds"] == 0
    assert told["rabbitkeeper_event_listeners"] == 3
    assert told['rabbitkeeper_hooks_total{event="member_down",outcome="killed",way="command"}'] == 2
    assert "rabbitkeeper_leader" not in told


def test_what_is_now_is_read_from_the_state(board: Board, metrics: Metrics) -> None:
    board.put_up(LEADS)
    told = samples(metrics)
    assert told["rabbitkeeper_leader"] == 1
    assert told["rabbitkeeper_epoch"] == 7
    assert told['rabbitkeeper_state{state="running"}'] == 1
    assert told['rabbitkeeper_state{state="hung"}'] == 0
    assert told["rabbitkeeper_zookeeper_connected"] == 1
    assert told["rabbitkeeper_lease_margin_seconds"] == 4
    assert told["rabbitkeeper_canary_latency_seconds"] == 0.002
    assert told["rabbitkeeper_members"] == 3
    assert told["rabbitkeeper_paused"] == 0
    assert told["rabbitkeeper_broker_ends_total"] == 0
    labels = 'group="orders",member="node1",node="rabbit@node1",rabbitmq="3.10.8",version="0.1.0"'
    assert told[f"rabbitkeeper_info{{{labels}}}"] == 1
    board.put_up(state(MemberStatus.HUNG, connection=ConnectionFacts(), connected=False, lease_left=-1))
    told = samples(metrics)
    assert told["rabbitkeeper_leader"] == told["rabbitkeeper_zookeeper_connected"] == 0
    assert told["rabbitkeeper_lease_margin_seconds"] == 0
    assert told['rabbitkeeper_state{state="hung"}'] == 1
    assert "rabbitkeeper_epoch" not in told


def test_what_has_happened_is_counted(metrics: Metrics) -> None:
    elected = event(EventKind.LEADER_ELECTED, cause="broker hung", timings={"vacant": 0.2, "canary": 0.1})
    metrics.receive(replace(LEADS, took=0.003), (event(timings={"detection": 2.2}), elected, event()))
    metrics.receive(LEADS, (elected,))
    metrics.refused(401)
    told = samples(metrics)
    assert told['rabbitkeeper_failovers_total{cause="broker hung"}'] == 2
    assert told["rabbitkeeper_failover_seconds_count"] == 2
    assert told["rabbitkeeper_failover_seconds_sum"] == pytest.approx(0.4)
    assert told['rabbitkeeper_detection_seconds_bucket{le="2.0"}'] == 0
    assert told['rabbitkeeper_detection_seconds_bucket{le="3.0"}'] == 1
    assert told["rabbitkeeper_loop_turn_seconds_count"] == 2
    assert told['rabbitkeeper_http_refused_total{status="401"}'] == 1


# -- events

Script = Callable[["Listener"], Awaitable[None]]


class Listener:
    """One who listens: the messages sent to it, and when it goes."""

    def __init__(self, response: streaming.EventResponse) -> None:
        self.sent: list[bytes] = []
        self.ended = False
        self.reads = asyncio.Event()
        self.reads.set()
        self._gone = asyncio.Event()
        self._task = asyncio.create_task(response({"type": "http"}, self._receive, self._send))

    async def until(self, condition: Callable[["Listener"], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition(self):  # noqa: ASYNC110 - whatever changes is no event
                await asyncio.sleep(0.001)

    async def has_been_sent(self, messages: int) -> None:
        await self.until(lambda one: len(one.sent) >= messages)

    def go(self) -> None:
        self._gone.set()

    async def done(self) -> None:
        async with asyncio.timeout(20):
            await self._task

    def events(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Id, name and data of each event."""
        found = []
        for text in self.sent:
            fields = dict(line.partition(": ")[::2] for line in text.decode().splitlines())
            if "event" in fields:
                found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
        return found

    async def _receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.body":
            self.sent.append(message["body"])
            self.ended = not message["more_body"]


def test_a_listener_hears_what_is_and_then_what_happens() -> None:
    async def play() -> None:
        stream = Stream("run1")
        stream.bind()
        one = Listener(stream.response(LEADS, ""))
        await one.until(lambda one: len(one.sent) == 1)
        stream.receive(LEADS, (event(state="hung", reason="no answer"), event(EventKind.LEADER_LOST)))
        await one.until(lambda one: len(one.sent) == 3)
        (_, hello, now), (first, name, data), (second, _, _) = one.events()
        assert (hello, now["leader"], now["epoch"], now["state"]) == ("hello", NAME, 7, "running")
        assert now["incarnation"] == 0
        assert (first, second) == ("run1-1", "run1-2")
        assert (name, data["event"], data["state"], data["reason"]) == ("state", "state", "hung", "no answer")
        one.go()
        await one.done()
        assert stream.listeners == 0

    asyncio.run(play())


def test_a_listener_that_comes_again_hears_what_it_has_missed() -> None:
    async def play() -> None:
        stream = Stream("run1")
        stream.bind()
        stream.receive(LEADS, tuple(event(state=str(number)) for number in range(5)))
        await asyncio.sleep(0)
        again = Listener(stream.response(LEADS, "run1-3"))
        await again.until(lambda one: len(one.sent) == 3)
        assert [identity for identity, _, _ in again.events()] == ["", "run1-4", "run1-5"]
        for stranger in ("run0-3", "nonsense", "run1-x"):
            new = Listener(stream.response(LEADS, stranger))
            await new.until(lambda one: len(one.sent) == 1)
            new.go()
            await new.done()
        again.go()
        await again.done()

    asyncio.run(play())


def test_a_new_listener_hears_as_much_of_the_past_as_it_asks_for() -> None:
    async def play() -> None:
        stream = Stream("run1")
        stream.bind()
        stream.receive(LEADS, tuple(event(state=str(number)) for number in range(5)))
        await asyncio.sleep(0)
        for heard, last, told in (
            ("", 2, ["run1-4", "run1-5"]),
            ("run0-9", 1, ["run1-5"]),
            ("run1-4", 3, ["run1-5"]),
            ("", 99, [f"run1-{number}" for number in range(1, 6)]),
        ):
            one = Listener(stream.response(LEADS, heard, last))
            heard_all = f"{told[-1]}\n".encode()
            await one.until(lambda one, end=heard_all: any(end in text for text in one.sent))  # type: ignore[misc]
            assert [identity for identity, _, _ in one.events()][1:] == told
            one.go()
            await one.done()

    asyncio.run(play())


def test_while_nothing_happens_a_comment_keeps_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "KEEP_ALIVE", 0.01)

    async def play() -> None:
        one = Listener(Stream("run1").response(None, ""))
        await one.until(lambda one: b": still there\n\n" in one.sent)
        one.go()
        await one.done()

    asyncio.run(play())


def test_one_that_does_not_read_is_dropped_and_holds_up_nobody() -> None:
    async def play() -> None:
        stream = Stream("run1")
        stream.bind()
        slow, quick = Listener(stream.response(LEADS, "")), Listener(stream.response(LEADS, ""))
        slow.reads.clear()
        for number in range(streaming.BACKLOG + 5):
            stream.receive(LEADS, (event(state=str(number)),))
            await quick.has_been_sent(number + 2)
        slow.reads.set()
        await slow.done()
        assert slow.ended
        assert len(slow.sent) < 5
        assert stream.listeners == 1
        quick.go()
        await quick.done()

    asyncio.run(play())


def test_one_whose_connection_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "SEND_TIMEOUT", 0.01)

    async def play() -> None:
        stream = Stream("run1")
        stream.bind()
        stuck = Listener(stream.response(LEADS, ""))
        await stuck.until(lambda one: len(one.sent) == 1)
        stuck.reads.clear()
        stream.receive(LEADS, (event(),))
        await stuck.done()
        assert stream.listeners == 0

    asyncio.run(play())


def test_more_than_a_few_are_turned_away() -> None:
    async def play() -> None:
        stream = Stream("run1")
        for _ in range(streaming.MOST):
            stream.response(LEADS, "")
        with pytest.raises(Refusal) as caught:
            stream.response(LEADS, "")
        assert caught.value.status == 503

    asyncio.run(play())


def test_when_the_agent_stops_everybody_is_sent_away() -> None:
    async def play() -> None:
        stream = Stream("run1")
        stream.bind()
        one = Listener(stream.response(LEADS, ""))
        await one.until(lambda one: len(one.sent) == 1)
        stream.close()
        await one.done()
        assert one.ended

    asyncio.run(play())


def test_what_is_heard_before_the_api_runs_is_nobodys() -> None:
    Stream("run1").receive(hand_made.state(), (event(),))
