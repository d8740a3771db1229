"""What clients of the group are told over ``/events?group=true`` and ``/group``."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Message
from support.agent_states import NOW, leader, member, state, view

from rabbitkeeper.agent.api import Stream, answers
from rabbitkeeper.agent.api import stream as streaming
from rabbitkeeper.agent.api.refusal import Refusal
from rabbitkeeper.agent.model.state import AgentState
from rabbitkeeper.coordinator.model.view import GroupView, MemberView


def seen(*members: MemberView, lead: str = "node1", epoch: int = 7, at: float = NOW) -> AgentState:
    made: GroupView = view(leader(lead, epoch), *members)
    return replace(state(view=made), at=at)


def carrying(count: int) -> MemberView:
    one = member("node1")
    return replace(one, record=one.record.model_copy(update={"load": {"connections": count}}))


class Listening:
    """A client of the group that listens, and takes what it is sent or not."""

    def __init__(self, stream: Stream, first: AgentState | None, now: float = NOW) -> None:
        self.sent: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self._gone = asyncio.Event()
        response = stream.response(first, "", group_at=now)
        self._task = asyncio.create_task(response({"type": "http"}, self._receive, self._send))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - whatever changes is no event
                await asyncio.sleep(0.001)

    async def end(self) -> None:
        self._gone.set()
        async with asyncio.timeout(60):
            await self._task

    def named(self, kind: str) -> list[dict[str, Any]]:
        events = [
            dict(line.partition(": ")[::2] for line in text.decode().splitlines()) for text in self.sent
        ]
        return [json.loads(event["data"]) for event in events if event.get("event") == kind]

    async def _receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        if message["type"] == "http.response.body":
            self.sent.append(message["body"])


def play(script: Callable[[Stream], Any]) -> None:
    async def begin() -> None:
        stream = Stream("run1")
        stream.bind()
        await script(stream)

    asyncio.run(begin())


def test_a_client_is_sent_the_group_as_it_is_and_as_it_becomes() -> None:
    async def script(stream: Stream) -> None:
        one = Listening(stream, seen())
        await one.until(lambda: len(one.named("hello")) == 1)
        assert one.named("group") == [answers.group(seen(), NOW, 0.0)[1]]
        stream.receive(seen(lead="node2", epoch=8), ())
        await one.until(lambda: len(one.named("group")) == 2)
        assert one.named("group")[1]["epoch"] == 8
        await one.end()

    play(script)


def test_what_members_carry_is_told_now_and_then_and_all_else_at_once() -> None:
    async def script(stream: Stream) -> None:
        one = Listening(stream, None)
        for count in range(20):
            stream.receive(seen(carrying(count), at=NOW + count), ())
        same = seen(carrying(20), at=NOW + 20)
        stream.receive(same, ())
        stream.receive(replace(same, at=NOW + 99), ())  # a turn later, without another reading
        stream.receive(replace(same, view=None), ())  # the group is being read again
        stream.receive(seen(carrying(20), lead="node2", epoch=8, at=NOW + 21), ())
        await one.until(lambda: bool(one.named("group")) and one.named("group")[-1]["epoch"] == 8)
        told = [group["members"][0]["load"]["connections"] for group in one.named("group")]
        assert len(told) <= 4
        await one.end()

    play(script)


def test_of_groups_that_wait_for_one_client_only_the_last_is_sent() -> None:
    async def script(stream: Stream) -> None:
        one = Listening(stream, None)
        await one.until(lambda: len(one.sent) == 1)
        one.reads.clear()
        for epoch in range(8, 8 + 2 * streaming.BACKLOG):
            stream.receive(seen(epoch=epoch), ())
        await asyncio.sleep(0)
        one.reads.set()
        await one.until(lambda: bool(one.named("group")) and one.named("group")[-1]["epoch"] == 207)
        assert len(one.named("group")) <= 2
        await one.end()

    play(script)


def test_a_lease_that_has_ended_since_is_no_lease() -> None:
    async def script(stream: Stream) -> None:
        one = Listening(stream, seen(), NOW + 60.0)
        await one.until(lambda: len(one.named("group")) == 1)
        (group,) = one.named("group")
        assert (group["zookeeper"]["lease_left"], group["age"]) == (0.0, 60.0)
        await one.end()

    play(script)


def test_those_who_do_not_ask_for_the_group_are_not_sent_it() -> None:
    async def script(stream: Stream) -> None:
        response = stream.response(seen(), "")
        stream.receive(seen(lead="node2", epoch=8), ())
        await asyncio.sleep(0)
        stream.close()
        await asyncio.sleep(0)
        sent: list[bytes] = []

        async def send(message: Message) -> None:
            sent.append(message.get("body", b""))

        async def receive() -> Message:
            return await asyncio.Future()

        await response({"type": "http"}, receive, send)
        assert not any(b"event: group" in text for text in sent)

    play(script)


def test_clients_leave_room_for_dashboards() -> None:
    async def script(stream: Stream) -> None:
        for _ in range(streaming.MOST_CLIENTS):
            stream.response(seen(), "", group_at=NOW)
        with pytest.raises(Refusal) as caught:
            stream.response(seen(), "", group_at=NOW)
        assert caught.value.status == 503
        for _ in range(streaming.MOST - streaming.MOST_CLIENTS):
            stream.response(seen(), "")

    play(script)


def test_a_client_hears_every_two_seconds_that_its_agent_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "KEEP_CLIENT", 0.01)

    async def script(stream: Stream) -> None:
        one = Listening(stream, None)
        await one.until(lambda: b": still there\n\n" in one.sent)
        await one.end()

    play(script)


def test_the_group_says_whether_zookeeper_would_have_told_of_anything_newer() -> None:
    well = answers.group(seen(), NOW, 0.0)[1]
    assert well["zookeeper"] == {"connected": True, "lease_left": 4.0}
    away = answers.group(state(view=view(), connected=False, lease_left=-3.0), NOW, 0.0)[1]
    assert away["zookeeper"] == {"connected": False, "lease_left": 0.0}
