"""``/events``: what happens, as server-sent events, to a bounded number of listeners.

Each listener has a bounded queue. One that does not read is dropped, when its queue is full or a single
message has waited too long to be sent; nobody else waits for it. A listener that comes again with
``Last-Event-ID`` gets what it has missed, as far as it is kept.

A client of the group wants to know how the group is rather than what has happened: with ``?group=true`` it is
sent the whole group, as ``/group`` has it, at first and whenever that has changed. It is encoded once for all
of them, and of those that wait for one listener only the last is sent.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from starlette.responses import Response
from starlette.types import Message

from rabbitkeeper.agent.api import answers
from rabbitkeeper.agent.api.refusal import Refusal
from rabbitkeeper.agent.api.requests import whole_number
from rabbitkeeper.agent.model.state import AgentState
from rabbitkeeper.agent.notify.events import Event
from rabbitkeeper.coordinator.model.view import GroupView

MOST = 64  # listeners: dashboards that are open, and programs
MOST_CLIENTS = 48  # of those, clients of the group: so that a dashboard is let in beside them
BACKLOG = 100  # events that may wait for one listener
KEPT = 200  # events for those who come again
KEEP_ALIVE = 10.0  # seconds without an event until a comment is sent
KEEP_CLIENT = 2.0  # the same for a client, which takes an agent that is silent for longer for dead
GROUP_EVERY = 10.0  # seconds, about, between two groups of which only what the members carry differs
SEND_TIMEOUT = 10.0  # seconds for one message to be taken

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]


class _Listener:
    def __init__(self, *, is_client: bool) -> None:
        self.is_client = is_client
        self._keep_alive = KEEP_CLIENT if is_client else KEEP_ALIVE
        self._texts: deque[bytes] = deque()
        self._group: bytes | None = None  # the last one that has not been sent
        self._news = asyncio.Event()
        self.closed = False

    def offer(self, text: bytes) -> None:
        if len(self._texts) >= BACKLOG:
            self.close()
            return
        self._texts.append(text)
        self._news.set()

    def offer_group(self, text: bytes) -> None:
        self._group = text
        self._news.set()

    def close(self) -> None:
        self.closed = True
        self._news.set()

    async def next(self) -> bytes | None:
        """What is to be sent next; None if nothing is any more."""
        if not self._texts and self._group is None and not self.closed:
            self._news.clear()
            try:
                async with asyncio.timeout(self._keep_alive):
                    await self._news.wait()
            except TimeoutError:
                return b": still there\n\n"
        if self.closed:
            return None
        if self._group is not None:
            group, self._group = self._group, None
            return group
        return self._texts.popleft()


class Stream:
    """The events of one agent. Belongs to the API's event loop, save :meth:`receive` and :meth:`close`.

    Args:
        instance: of this run of the agent; event ids begin with it.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._listeners: set[_Listener] = set()
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._count = 0
        self._group_seen: GroupView | None = None  # the one that clients were sent last
        self._group_due = 0.0  # when they are sent the next one in any case; seconds, monotonic
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def bind(self) -> None:
        """From here on what is heard is spread, in the event loop that runs now."""
        self._loop = asyncio.get_running_loop()

    def receive(self, state: AgentState, events: tuple[Event, ...]) -> None:
        """Spread events, and the group if it has changed. From the dispatcher's thread; returns at once."""
        is_new = self._is_new(state)
        if (events or is_new) and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the API has ended
                self._loop.call_soon_threadsafe(self._spread, events, state if is_new else None)

    def _is_new(self, state: AgentState) -> bool:
        """Whether clients are to be sent the group. On the dispatcher's thread."""
        view, seen = state.view, self._group_seen
        if view is None or view is seen:
            return False
        if seen is not None and state.at < self._group_due and _for_clients(view) == _for_clients(seen):
            return False
        self._group_seen, self._group_due = view, state.at + GROUP_EVERY
        return True

    def close(self) -> None:
        """Send everybody away. From any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._send_away)

    def response(
        self, state: AgentState | None, last_event_id: str, last: int = 0, *, group_at: float | None = None
    ) -> "EventResponse":
        """The answer to one listener.

        Args:
            state: what it is told first.
            last_event_id: what it has heard last, as it says; empty if nothing.
            last: how many of the events before now it gets, if it has heard none of this run of the agent.
            group_at: the time, monotonic seconds, if it is a client, which is sent the group.

        Raises:
            Refusal: there are too many already.
        """
        if len(self._listeners) >= MOST:
            raise Refusal(503, f"{MOST} listen to the events already", {"Retry-After": "10"})
        is_client = group_at is not None
        if is_client and sum(one.is_client for one in self._listeners) >= MOST_CLIENTS:
            raise Refusal(
                503, f"{MOST_CLIENTS} clients listen already; ask for /group", {"Retry-After": "10"}
            )
        listener = _Listener(is_client=is_client)
        if group_at is not None and state is not None and state.view is not None:
            listener.offer_group(_group(state, group_at))
        listener.offer(_hello(state))
        for text in self._missed(last_event_id, last):
            listener.offer(text)
        self._listeners.add(listener)
        return EventResponse(listener, self._listeners.discard)

    def _missed(self, last_event_id: str, last: int) -> list[bytes]:
        instance, _, digits = last_event_id.rpartition("-")
        number = whole_number(digits)
        if instance != self._instance or number is None:
            number = self._count - last
        missed = [text for kept, text in self._kept if kept > number]
        return missed[-(BACKLOG - 1) :]

    def _spread(self, events: tuple[Event, ...], state: AgentState | None) -> None:
        clients = [listener for listener in self._listeners if listener.is_client]
        if state is not None and clients:
            group = _group(state, state.at)
            for listener in clients:
                listener.offer_group(group)
        for event in events:
            self._count += 1
            text = _text(event.kind.value, event.content(), f"{self._instance}-{self._count}")
            self._kept.append((self._count, text))
            for listener in self._listeners:
                listener.offer(text)

    def _send_away(self) -> None:
        for listener in self._listeners:
            listener.close()


class EventResponse(Response):
    """One listener's answer: until it goes, or is dropped."""

    def __init__(self, listener: _Listener, forget: Callable[[_Listener], None]) -> None:
        super().__init__()
        self._listener = listener
        self._forget = forget

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        watch = asyncio.create_task(self._until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            while (text := await self._listener.next()) is not None:
                async with asyncio.timeout(SEND_TIMEOUT):
                    await send({"type": "http.response.body", "body": text, "more_body": True})
            async with asyncio.timeout(SEND_TIMEOUT):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            return  # it does not read: the server closes the connection
        finally:
            watch.cancel()
            self._forget(self._listener)

    async def _until_gone(self, receive: Callable[[], Awaitable[Message]]) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._listener.close()


def _for_clients(view: GroupView) -> tuple[object, ...]:
    """What of a group is told at once when it changes: all but how much members carry, which always does."""
    members = {name: one.record.model_copy(update={"load": {}}) for name, one in view.members.items()}
    leader = None if view.leader is None else (view.leader.epoch, view.leader.record)
    return view.incarnation, leader, members


def _group(state: AgentState, now: float) -> bytes:
    """The group as ``/group`` has it."""
    return _text("group", answers.group(state, now, 0.0)[1])


def _hello(state: AgentState | None) -> bytes:
    """What the agent knows now: where the events to come start from."""
    if state is None:
        return _text("hello", {})
    now = {
        "group": state.group,
        "agent": state.name,
        "state": state.verdict.status.value,
        "leader": state.leader,
        "epoch": state.epoch,
        "incarnation": state.incarnation,
        "sentence": state.sentence,
    }
    return _text("hello", now)


def _text(event: str, data: Mapping[str, object], identity: str | None = None) -> bytes:
    head = "" if identity is None else f"id: {identity}\n"
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
