"""What the producer, the consumer and the observer tell from their containers, read as it is told.

They have the clocks of the engine's host, which need not be this one's. Every line says when it was written;
the shortest time that a line has taken from there to here is where the clocks differ, to within milliseconds.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import docker.errors

from rabbitkeeper.compose.containers.errors import DemoError
from rabbitkeeper.compose.containers.project import Project
from rabbitkeeper.compose.demo.local_traffic import PUBLISH_TIMEOUT
from rabbitkeeper.compose.demo.message_log import MessageLog, Totals
from rabbitkeeper.compose.demo.timeline import GroupState, GroupTimeline, MemberCondition
from rabbitkeeper.coordinator.model.records import MemberStatus

_FIRST_WORD = 180.0  # seconds for a role to tell something, once the group is whole
_TAIL = 5  # lines that are no JSON, for errors


class RoleOutput:
    """Follows what one role tells, on a thread of its own.

    Args:
        container: the role's, running.
        service: its name, for errors.
        take: is given each line, and a function that turns the writer's moments into ours.
    """

    def __init__(
        self, container: Any, service: str, take: Callable[[Mapping[str, Any], "Clock"], None]
    ) -> None:
        self.ended = threading.Event()
        self.began = threading.Event()
        self.runs: set[str] = set()
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self._container = container
        self._service = service
        self._take = take
        self._clock = Clock()
        self._thread = threading.Thread(target=self._follow, name=f"told by {service}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """
        Raises:
            DemoError: the role has ended, or was started again.
        """
        if self.ended.is_set() or len(self.runs) > 1:
            what = "has ended" if self.ended.is_set() else "was started again, and its counts are broken"
            raise DemoError(f"the {self._service} {what}; it said: {' | '.join(self.tail) or 'nothing'}")

    def wait(self) -> None:
        """Wait for the first line of JSON.

        Raises:
            DemoError: there was none in time.
        """
        if not self.began.wait(_FIRST_WORD):
            raise DemoError(
                f"the {self._service} tells nothing for {_FIRST_WORD:.0f} s; "
                f"it said: {' | '.join(self.tail) or 'nothing'}"
            )

    def _follow(self) -> None:
        try:
            for line in _lines(self._container.logs(stream=True, follow=True)):
                try:
                    told = json.loads(line)
                    run, now = str(told["run"]), float(told["now"])
                except (ValueError, TypeError, KeyError):
                    self.tail.append(line)
                    continue
                self.runs.add(run)
                self._clock.heard(now, time.monotonic())
                self._take(told, self._clock)
                self.began.set()
        except (docker.errors.DockerException, OSError) as error:
            self.tail.append(f"(its output cannot be read any more: {error})")
        finally:
            self.ended.set()


class Clock:
    """Turns another host's monotonic moments into ours. Pure."""

    def __init__(self) -> None:
        self._difference: float | None = None

    def heard(self, sent: float, received: float) -> None:
        """A line was written at ``sent`` there and read at ``received`` here."""
        difference = received - sent
        if self._difference is None or difference < self._difference:
            self._difference = difference

    def ours(self, moment: float) -> float:
        return moment + (self._difference or 0.0)


class ContainerTraffic:
    """What became of the messages, as producer and consumer tell it.

    What the methods that :class:`~rabbitkeeper.compose.demo.stage.Traffic` has are for stands there.

    Args:
        project: both of them started.
    """

    def __init__(self, project: Project) -> None:
        self._messages = MessageLog()
        self._members: dict[str, str | None] = {"producer": None, "consumer": None}
        self._stopping = False
        self._producer = project.container("producer")
        self._produced = RoleOutput(self._producer, "producer", self._take_produced)
        self._consumed = RoleOutput(project.container("consumer"), "consumer", self._take_consumed)

    def wait(self) -> None:
        """Wait until both are at work.

        Raises:
            DemoError: not in time.
        """
        for told in (self._produced, self._consumed):
            told.wait()

    @property
    def failures(self) -> tuple[str, ...]:
        return tuple(self._messages.failures)

    def totals(self) -> Totals:
        return self._messages.totals()

    def last_confirm(self) -> float:
        return self._messages.last_confirm()

    def longest_pause(self, start: float, end: float) -> float:
        return self._messages.longest_pause(start, end)

    def connected(self) -> Mapping[str, str | None]:
        return self._members

    def check(self) -> None:
        if not self._stopping:
            self._produced.check()
            self._consumed.check()

    def finish(self, timeout: float) -> frozenset[int]:
        self._stopping = True
        patience = PUBLISH_TIMEOUT + 10
        self._producer.stop(timeout=round(patience))
        self._produced.ended.wait(10)
        deadline = time.monotonic() + timeout
        while self._messages.missing() and time.monotonic() < deadline:
            time.sleep(0.05)
        return self._messages.missing()

    def resume(self) -> None:
        """Start the producer again after :meth:`finish`; nobody counts what it does then."""
        self._producer.start()

    # -- inside

    def _take_produced(self, told: Mapping[str, Any], clock: Clock) -> None:
        self._members["producer"] = told["member"]
        self._messages.published = int(told["published"])
        for number, asked, at in told.get("confirmed", ()):
            self._messages.confirm(number, clock.ours(asked), clock.ours(at))
        self._messages.failures += told.get("failed", ())

    def _take_consumed(self, told: Mapping[str, Any], _clock: Clock) -> None:
        self._members["consumer"] = told["member"]
        self._messages.deliver(told.get("delivered", ()))


class RemoteTimeline(GroupTimeline):
    """What the observer's container tells.

    Args:
        project: the observer started.
        members: the names of all members.
    """

    def __init__(self, project: Project, members: tuple[str, ...]) -> None:
        super().__init__(members)
        self._told = RoleOutput(project.container("observer"), "observer", self._take)

    def check(self) -> None:
        """
        Raises:
            DemoError: the observer has ended.
        """
        self._told.check()

    def _take(self, told: Mapping[str, Any], clock: Clock) -> None:
        for seen in told.get("seen", ()):
            members = {
                name: MemberCondition(MemberStatus(state), tuple(reasons))
                for name, (state, *reasons) in seen["members"].items()
            }
            state = GroupState(seen["leader"], seen["epoch"], members, seen["incarnation"])
            self.record(state, clock.ours(seen["at"]))


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Lines of a stream that comes in pieces of any size."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")
