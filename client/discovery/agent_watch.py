"""The agent watch: keeps the picture of a group that clients have from the agents, on a thread of its own.

It asks one agent for the group and listens to its stream, in which the agent tells the group again when it
has changed. When that agent is gone, hangs, or has no ZooKeeper itself, the next one is asked. Where no
stream comes through it polls. While no agent answers the last picture stays: nothing that works stops
because of it.

What is told never goes backwards: an agent whose leader is of an earlier incarnation or epoch than one seen
before is passed over, and so is one that ZooKeeper would not tell of anything newer, unless nothing is known.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from random import Random

from rabbitkeeper.client.discovery.agent_address import AgentAddress
from rabbitkeeper.client.discovery.agent_choice import BRIEF, AgentChoice
from rabbitkeeper.client.discovery.agent_connection import AgentConnection, AgentFailed, HttpConnection
from rabbitkeeper.client.discovery.event_stream import SentEvent
from rabbitkeeper.client.discovery.group_answer import SHOWN, GroupAnswer, Order, parse_group
from rabbitkeeper.client.discovery.interface import Listeners
from rabbitkeeper.client.discovery.timed_socket import Interrupted, Interrupter
from rabbitkeeper.client.model.errors import AgentsUnreachable, NotAuthorized
from rabbitkeeper.client.model.events import AgentsBack, AgentsLost
from rabbitkeeper.client.routing.listener import Listener
from rabbitkeeper.coordinator.model.errors import RecordError, UnknownGroup
from rabbitkeeper.coordinator.model.text import printable
from rabbitkeeper.coordinator.tls import client_context

log = logging.getLogger(__name__)

ANSWER = 2.0  # seconds for an answer, from connecting on
SILENCE = 5.0  # seconds without a word in a stream; agents send one every 2 s
PATIENCE = 3.0  # seconds that an agent may be without ZooKeeper, which elects a leader in less
POLL = 1.0  # seconds between two questions where no stream comes through, half of it jitter
TROUBLED = 5.0  # seconds after a failure that nobody expected

_NO_ZOOKEEPER = "it has no ZooKeeper at the moment"

Connect = Callable[[AgentAddress], AgentConnection]


class AgentWatch:
    """Watches one group. See :class:`Discovery`.

    Args:
        agents: where they are.
        group: that they are to tell of.
        connect: makes a connection, not opened yet.
        interrupter: of what ``connect`` makes.
        random: for the order and the jitter.
        name: of the client, for the thread's.
        now: the clock; seconds, monotonic.
    """

    def __init__(
        self,
        agents: Sequence[AgentAddress],
        group: str,
        *,
        connect: Connect,
        interrupter: Interrupter,
        random: Random,
        name: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._agents = tuple(agents)
        self._group = group
        self._connect = connect
        self._interrupter = interrupter
        self._random = random
        self._now = now
        self._choice = AgentChoice(len(self._agents), random)
        self._listeners = Listeners()
        self._known: GroupAnswer | None = None
        self._newest: Order = (0, 0)  # that was told
        self._spare: GroupAnswer | None = None  # of an agent without ZooKeeper, while nothing else is known
        self._denied: dict[int, Exception] = {}  # agents that will not answer otherwise soon, by number
        self._number = 0  # of the agent that is asked
        self._connection: AgentConnection | None = None  # to it
        self._streams_since: float | None = None  # None: it is polled
        self._has_streamed = False  # the stream has told of the group
        self._silent_at = 0.0  # when the stream is taken for dead; seconds, monotonic
        self._away_at = float("inf")  # when its agent is left because it has no ZooKeeper
        self._poll_at = 0.0
        self._was_connected = True
        self.connected = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{name}-agents", daemon=True)

    def add(self, listener: Listener) -> None:
        self._listeners.add(listener)

    def remove(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    def start(self, timeout: float) -> None:
        """Ask one agent after the other until one tells of the group, and go on listening to it.

        Raises:
            AgentsUnreachable: none did within ``timeout`` seconds; says of each why.
            NotAuthorized: those that answer want another token or certificate.
            UnknownGroup: those that answer are of another group.
        """
        deadline = self._now() + timeout
        try:
            while self._known is None:
                pause = self.turn(deadline)
                if self._known is None:
                    self._check_start(deadline)
                    self._stopping.wait(min(pause, max(0.0, deadline - self._now())))
        except BaseException:
            self._close()
            self._interrupter.close()
            raise
        self._thread.start()

    def stop(self) -> None:
        """End the watch and its connection."""
        self._stopping.set()
        self._interrupter.interrupt()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(5.0)
        if not self._thread.is_alive():
            self._close()
            self._interrupter.close()

    def turn(self, deadline: float = float("inf")) -> float:
        """Ask or listen once: one turn of the thread.

        Args:
            deadline: until when it may take at the most; seconds, monotonic.

        Returns:
            Seconds until the next turn.
        """
        try:
            if self._connection is None:
                self._number, due = self._choice.next(self._now())
                if due > self._now():
                    return due - self._now()
                self._begin(deadline)
            elif self._streams_since is not None:
                self._hear(self._streams_since, deadline)
            elif self._choice.streams(self._number, self._now()):
                self._listen(deadline)
            elif self._now() >= self._poll_at:
                self._poll(deadline)
            is_prompt = self._streams_since is not None or self._choice.streams(self._number, self._now())
            return 0.0 if is_prompt else max(0.0, self._poll_at - self._now())
        except AgentFailed as error:
            return self._failed(error)

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                pause = self.turn()
            except Interrupted:
                return
            except Exception:
                log.exception("asking the agents failed; the client stays where it is")
                self._close()
                pause = TROUBLED

    # -- one agent

    def _begin(self, deadline: float) -> None:
        """Ask the next agent how the group is."""
        self._connection = self._connect(self._agents[self._number])
        self._poll(deadline)

    def _poll(self, deadline: float) -> None:
        assert self._connection is not None  # noqa: S101
        self._take(self._parsed(self._connection.group(min(deadline, self._now() + ANSWER))))
        if not self._choice.streams(self._number, self._now()):
            self._choice.worked(self._number)
        self._poll_at = self._now() + POLL * self._random.uniform(0.5, 1.0)

    def _listen(self, deadline: float) -> None:
        """Go over to the stream, if there is one."""
        assert self._connection is not None  # noqa: S101
        now = self._now()
        try:
            self._connection.listen(min(deadline, now + ANSWER))
        except AgentFailed as error:
            self._stream_broke(error)
            return
        self._streams_since, self._has_streamed = now, False
        self._silent_at, self._away_at = now + SILENCE, float("inf")

    def _hear(self, since: float, deadline: float) -> None:
        """Take what comes next of a stream that began at ``since``."""
        assert self._connection is not None  # noqa: S101
        try:
            events = self._connection.hear(min(deadline, self._silent_at))
        except AgentFailed as error:
            now = self._now()
            # One that has been cut after a while did work; one that falls silent is of an agent that hangs.
            if not self._has_streamed or (now < since + BRIEF and now < self._silent_at):
                self._stream_broke(error)
                return
            raise
        for event in events:
            self._heard(event)
        if self._now() >= self._away_at:
            raise AgentFailed(_NO_ZOOKEEPER)
        if self._has_streamed:
            self._silent_at = self._now() + SILENCE

    def _heard(self, event: SentEvent) -> None:
        match event.name:
            case "group":
                self._take(self._parsed(event.data))
                self._has_streamed = True
                self._choice.worked(self._number)
                self._choice.stream_works(self._number)
            case "zookeeper":
                is_away = _is_disconnected(event.data)
                self._away_at = self._now() + PATIENCE if is_away else float("inf")

    def _stream_broke(self, error: AgentFailed) -> None:
        """Another agent's is listened to, or one is polled, if none works."""
        log.info("the stream of agent %s does not work: %s", self._agents[self._number], error)
        self._choice.stream_broke(self._number, self._now())
        self._close()

    # -- what it says

    def _parsed(self, data: bytes) -> GroupAnswer:
        try:
            answer = parse_group(data, self._now())
        except RecordError as error:
            raise AgentFailed(str(error)) from None
        if answer.group != self._group:
            other = printable(answer.group)[:SHOWN]
            self._denied[self._number] = UnknownGroup(
                f"the agent at {self._agents[self._number]} is of group {other!r}, not {self._group!r}"
            )
            raise AgentFailed(f"it is of group {other!r}")
        return answer

    def _take(self, answer: GroupAnswer) -> None:
        """Tell what an agent says, if it is not older than what is known."""
        self._denied.pop(self._number, None)
        order = answer.order(self._newest)
        if order < self._newest:
            raise AgentFailed(
                "it tells of an earlier leader than was seen before "
                f"(incarnation {order[0]}, epoch {order[1]}): it is behind, or wrong"
            )
        if not answer.current:
            self._spare = answer
            raise AgentFailed(_NO_ZOOKEEPER)
        self._choice.answered(self._number)
        self._tell(answer)
        self._set_connected(connected=True)

    def _tell(self, answer: GroupAnswer) -> None:
        self._known, self._spare = answer, None
        self._newest = answer.order(self._newest)
        self._listeners.tell(answer.view)

    # -- its end

    def _failed(self, error: AgentFailed) -> float:
        """The next agent's turn comes; seconds until then."""
        address, why = self._agents[self._number], str(error)
        if error.unauthorized:
            self._denied[self._number] = NotAuthorized(f"the agent at {address}: {why}")
        if self._choice.troubles.get(self._number) != why:  # once, and not at each attempt
            log.log(logging.WARNING if self._number in self._denied else logging.INFO, "%s: %s", address, why)
        self._choice.failed(self._number, why, self._now())
        self._close()
        if self._choice.all_failed:
            if self._known is None and self._spare is not None:
                self._tell(self._spare)
            self._set_connected(connected=False)
        return max(0.0, self._choice.next(self._now())[1] - self._now())

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._streams_since = None
        self._poll_at = 0.0

    def _set_connected(self, *, connected: bool) -> None:
        self.connected = connected
        if self._known is not None and connected != self._was_connected:
            self._was_connected = connected
            self._listeners.emit(AgentsBack() if connected else AgentsLost(self._troubles()))

    def _troubles(self) -> str:
        return "; ".join(f"{self._agents[number]}: {why}" for number, why in self._choice.troubles.items())

    def _check_start(self, deadline: float) -> None:
        """Give up when it is time to, or when each agent has said what it will say again.

        Raises:
            AgentsUnreachable, NotAuthorized, UnknownGroup: see :meth:`start`.
        """
        if len(self._denied) == len(self._agents):
            raise next(iter(self._denied.values()))
        if self._now() < deadline:
            return
        if self._denied:
            raise next(iter(self._denied.values()))
        troubles = self._troubles() or "none was reached in time"
        raise AgentsUnreachable(f"no agent tells of group {self._group!r}: {troubles}")


def _is_disconnected(data: bytes) -> bool:
    """Whether an event ``zookeeper`` says that the agent's connection is lost."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(event, dict) and event.get("state") == "disconnected"


def agent_watch(
    agents: Sequence[AgentAddress], group: str, *, token: str | None, ca: str | None, name: str
) -> AgentWatch:
    """One over HTTP, not started yet.

    Args:
        token: shown to the agents.
        ca: PEM file with the authorities to trust; None: the system's.
        name: of the client.

    Raises:
        ConfigurationError: ``ca`` cannot be read.
    """
    tls = client_context(ca, where="agents")
    interrupter = Interrupter()
    return AgentWatch(
        agents,
        group,
        connect=lambda address: HttpConnection(address, token=token, tls=tls, interrupter=interrupter),
        interrupter=interrupter,
        random=Random(),
        name=name,
    )
