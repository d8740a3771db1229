"""An agent's real HTTP API whose group the test makes: for what a real group cannot be brought to in a test.

Names with markup, nine members, clocks that differ. ZooKeeper is a stand-in that holds a history and a log,
and takes no writes.
"""

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

import uvicorn

from rabbitkeeper.agent.api import Metrics, Sources, Stream, build
from rabbitkeeper.agent.api.refusal import WriteAccess
from rabbitkeeper.agent.model.observation import Traffic
from rabbitkeeper.agent.model.state import AgentState, Board
from rabbitkeeper.agent.notify.events import Event, EventKind
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.coordinator.backend.node import Node
from rabbitkeeper.coordinator.model.errors import ZooKeeperUnreachable
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.model.records import (
    HistoryEntry,
    LeaderRecord,
    MemberRecord,
    MemberStatus,
    OperationEntry,
    OperationLog,
    Tags,
    Versions,
    utcnow,
)
from rabbitkeeper.coordinator.model.view import GroupView, LeaderView, MemberView
from rabbitkeeper.coordinator.store.store import Store
from support import agent_states

TOKEN = "a-token-of-a-good-length"
OTHERS_SESSION = 1000


class _Shelf:
    """The part of a store that the API reads, over what the stage holds."""

    def __init__(self, stage: "Stage") -> None:
        self._stage = stage
        self.paths = GroupPaths(agent_states.GROUP)
        self.backend = self

    def history(self) -> tuple[HistoryEntry, ...]:
        self._reach()
        return tuple(self._stage.history)

    def snapshot(self, *, watch: bool = True) -> GroupView:
        self._reach()
        assert self._stage.state is not None
        assert self._stage.state.view is not None
        return self._stage.state.view

    def read(self, paths: Sequence[str], **_: object) -> dict[str, Node | None]:
        self._reach()
        log = OperationLog(entries=tuple(self._stage.operations))
        return dict.fromkeys(paths, Node(paths[0], log.to_bytes(), version=1, created=1, modified=1, owner=0))

    def _reach(self) -> None:
        if self._stage.zookeeper_away:
            raise ZooKeeperUnreachable("ZooKeeper does not answer")


class Stage:
    """One agent's API, from :meth:`start` to :meth:`stop`. All attributes may be changed at any time.

    Args:
        name: the member whose agent it is.
        port: on loopback; None: a free one.
    """

    def __init__(self, name: str = agent_states.NAME, port: int | None = None) -> None:
        self.name = name
        self.history: list[HistoryEntry] = []
        self.operations: list[OperationEntry] = []
        self.traffic: tuple[tuple[float, Traffic], ...] = ()
        self.zookeeper_away = False
        self.state: AgentState | None = None
        self.wall_offset = 0.0  # seconds that the agent's clock is ahead
        self.silent = 0.0  # seconds for which the agent's loop has not come round
        self._board = Board(lambda: self.silent)
        self._stream = Stream(f"{name}-run")
        with socket.create_server(("127.0.0.1", port or 0)) as free:
            self.port = int(free.getsockname()[1])
        self._server: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return 0 if self._server is None else len(self._server.server_state.connections)

    def start(self) -> None:
        app = build(
            Sources(
                board=self._board,
                store=lambda: cast("Store", _Shelf(self)),
                member=self.name,
                access=lambda: WriteAccess(TOKEN),
                version="0.1.0",
                metrics=Metrics(self._board, "0.1.0", hooks={}, listeners=lambda: 0),
                stream=self._stream,
                zookeeper=("zk1:2181", "zk2:2181", "zk3:2181"),
                traffic=lambda: self.traffic,
                wall=lambda: time.time() + self.wall_offset,
            )
        )
        config = uvicorn.Config(
            app, host="127.0.0.1", port=self.port, log_level="error", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)

    def stop(self) -> None:
        """Idempotent."""
        self._stream.close()
        if self._server is not None:
            self._server.should_exit = True
            self._thread.join(10)

    def show(self, view: GroupView, *events: Event, connected: bool = True) -> None:
        """Put up the group as this agent sees it now, and tell the events."""
        now = monotonic()
        made = agent_states.state(view=replace(view, read_at=now), connected=connected)
        session = replace(
            made.session,
            connected_since=now - 3600 if connected else None,
            disconnected_since=None if connected else now - 23,
            lease_until=now + 4,
        )
        self.state = replace(made, name=self.name, at=now, session=session)
        self._board.put_up(self.state)
        self._stream.receive(self.state, events)


def ago(seconds: float) -> str:
    """A time for people, so long before now."""
    moment = time.time() - seconds
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03}Z"


def member(
    name: str,
    state: MemberStatus = MemberStatus.RUNNING,
    *reasons: str,
    site: str | None = None,
    amqp: str = "10.0.0.1:5672",
    api: str | None = None,
    since: str | None = None,
    **more: Any,
) -> MemberView:
    record = MemberRecord(
        name=name,
        instance=f"{name}-1",
        node=f"rabbit@{name}",
        versions=Versions(agent="0.1.0", rabbitmq="4.1.2"),
        amqp=amqp,
        api=api,
        state=state,
        reasons=reasons,
        since=since or ago(7300),
        tags=Tags(site=site),
        **more,
    )
    return MemberView(record, version=1, owner=OTHERS_SESSION + sum(name.encode()))


def group(lead: str | None, *members: MemberView, cause: str = "broker died", **more: Any) -> GroupView:
    """A group that ``lead`` leads."""
    there = {one.record.name: one for one in members}
    leader = None
    if lead is not None:
        record = LeaderRecord(
            name=lead, instance="1", node=f"rabbit@{lead}", amqp="10.0.0.1:5672", since=ago(7300), cause=cause
        )
        owner = there[lead].owner if lead in there else 1
        leader = LeaderView(record, epoch=8_589_934_721, version=0, owner=owner)
    return GroupView(read_at=0.0, leader=leader, members=MappingProxyType(there), **more)


def event(kind: EventKind, member: str, **more: Any) -> Event:
    return Event(kind=kind, at=utcnow(), group=agent_states.GROUP, agent=member, member=member, **more)


def change(
    epoch: int, previous: str | None, to: str, at: str, cause: str = "broker died", **more: Any
) -> HistoryEntry:
    """One entry of the history."""
    entry = {"epoch": epoch, "from": previous, "to": to, "node": f"rabbit@{to}", "cause": cause, "by": to}
    return HistoryEntry.model_validate({**entry, "at": at, **more})
