"""Agents as a client's watch of them sees them, in virtual time, and a watch that the test turns.

They stand for HTTP connections to agents on hosts that are cut off, hang, or have a proxy before them, for as
long as a test says; ``test_agents_over_http.py`` has real connections.
"""

import json
from dataclasses import dataclass, field
from random import Random

from rabbitkeeper.client.discovery.agent_address import AgentAddress
from rabbitkeeper.client.discovery.agent_connection import AgentFailed
from rabbitkeeper.client.discovery.agent_watch import AgentWatch
from rabbitkeeper.client.discovery.event_stream import SentEvent
from rabbitkeeper.client.discovery.timed_socket import Interrupter
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.routing.listener import Listener
from rabbitkeeper.client.routing.placement import Targets
from support.group_views import leader, member

KEEP_ALIVE = 2.0  # seconds, as agents have it


@dataclass
class Clock:
    now: float = 100.0


@dataclass
class ScriptedAgent:
    """One agent's API.

    Attributes:
        fails: what every question ends in; None: it is answered.
        hangs: nothing is answered any more, and no connection ends.
        stream: ``well``; ``held`` by a proxy, so that nothing comes; ``refused``; or ``cut`` at once.
        lease_left: of its ZooKeeper session.
        asked: how often it was asked for the group.
    """

    clock: Clock
    group: str = "orders"
    fails: AgentFailed | None = None
    hangs: bool = False
    stream: str = "well"
    lease_left: float = 4.0
    epoch: int = 7
    incarnation: int = 1
    leader: str | None = "a"
    members: tuple[str, ...] = ("a", "b", "c")
    asked: int = 0
    connections: "list[ScriptedConnection]" = field(default_factory=list)

    def content(self) -> bytes:
        """What it says of the group."""
        lead = None if self.leader is None else leader(self.leader, 0).record.model_dump(mode="json")
        told = {
            "group": self.group,
            "age": 0.0,
            "zookeeper": {"connected": self.lease_left > 0, "lease_left": self.lease_left},
            "leader": lead,
            "epoch": None if lead is None else self.epoch,
            "incarnation": self.incarnation,
            "members": [member(name, 0).record.model_dump(mode="json") for name in self.members],
            "problems": [],
        }
        return json.dumps(told).encode()

    def tell(self) -> None:
        """The group has changed: those who listen are sent it."""
        self.send(SentEvent("group", self.content()))

    def send(self, event: SentEvent) -> None:
        for connection in self.connections:
            if connection.listens:
                connection.sent.append(event)

    def end_streams(self) -> None:
        for connection in self.connections:
            connection.is_cut = True


@dataclass
class ScriptedConnection:
    """See :class:`AgentConnection`."""

    agent: ScriptedAgent
    listens: bool = False
    is_cut: bool = False
    sent: list[SentEvent] = field(default_factory=list)

    def group(self, deadline: float) -> bytes:
        self._answered(deadline)
        self.agent.asked += 1
        if self not in self.agent.connections:
            self.agent.connections.append(self)
        return self.agent.content()

    def listen(self, deadline: float) -> None:
        self._answered(deadline)
        if self.agent.stream == "refused":
            raise AgentFailed("it answers with 503")
        self.listens = True
        if self.agent.stream == "well":
            self.sent.append(SentEvent("group", self.agent.content()))

    def hear(self, deadline: float) -> list[SentEvent]:
        clock = self.agent.clock
        if self.agent.fails is not None or self.is_cut or self.agent.stream == "cut":
            raise AgentFailed("it has ended the stream")
        if self.agent.stream == "held" or self.agent.hangs:
            clock.now = max(clock.now, deadline)
            raise AgentFailed("it does not answer in time")
        if not self.sent:
            clock.now = min(deadline, clock.now + KEEP_ALIVE)
        sent, self.sent = self.sent, []
        return sent

    def close(self) -> None:
        self.listens = False
        if self in self.agent.connections:
            self.agent.connections.remove(self)

    def _answered(self, deadline: float) -> None:
        if self.agent.fails is not None:
            raise self.agent.fails
        if self.agent.hangs:
            self.agent.clock.now = deadline
            raise AgentFailed("it does not answer in time")


class Scene:
    """Agents, and a client that watches them. The test plays the thread."""

    def __init__(self, count: int = 3, *, seed: int = 1) -> None:
        self.clock = Clock()
        self.agents = [ScriptedAgent(self.clock) for _ in range(count)]
        addresses = [AgentAddress(False, f"mq{number}", 8008) for number in range(count)]
        self.by_address = dict(zip(addresses, self.agents, strict=True))
        self.seen: list[Targets] = []
        self.events: list[Event] = []
        self.watch = AgentWatch(
            addresses,
            "orders",
            connect=lambda address: ScriptedConnection(self.by_address[address]),
            interrupter=Interrupter(),
            random=Random(seed),
            name="test",
            now=lambda: self.clock.now,
        )
        self.watch.add(Listener(self.seen.append, self.events.append))

    @property
    def listened(self) -> list[ScriptedAgent]:
        """Agents whose stream is listened to."""
        return [agent for agent in self.agents if any(one.listens for one in agent.connections)]

    def turn(self) -> None:
        pause = self.watch.turn()  # in which time passes as well
        self.clock.now += pause

    def pass_time(self, seconds: float) -> None:
        """As the thread does, which turns again at once or after a pause."""
        end, turns = self.clock.now + seconds, 0
        while self.clock.now < end:
            self.turn()
            turns += 1
            assert turns < 10_000, "it turns without end"

    def all(self, **changed: object) -> None:
        """Let all agents be so, and tell of it."""
        for agent in self.agents:
            for name, value in changed.items():
                setattr(agent, name, value)
            agent.tell()
