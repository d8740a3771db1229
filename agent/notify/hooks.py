"""Runs an operator's commands, and calls the webhook, when something has happened.

Commands and webhook have a queue and a thread each, so that none can hold up the loop or the other; what
does not fit into a queue is left out, logged and counted. A command is killed with its children
at its deadline.
"""

import contextlib
import logging
import os
import queue
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from rabbitkeeper.agent.config.hooks import HooksConfig
from rabbitkeeper.agent.notify.event_log import fields
from rabbitkeeper.agent.notify.events import Event, EventKind
from rabbitkeeper.agent.notify.webhook import Webhook
from rabbitkeeper.agent.runtime.child import be_an_ordinary_process, fitting

LOG = logging.getLogger("rabbitkeeper.agent.hooks")

HOOKED = (EventKind.LEADER_ELECTED, EventKind.LEADER_LOST, EventKind.MEMBER_DOWN, EventKind.MEMBER_UP)
BACKLOG = 100  # events that may wait for a command, and as many for the webhook
_KILL_TIMEOUT = 5.0  # seconds for a killed command to go
_STOP_TIMEOUT = 5.0  # seconds for what is queued when the agent stops
_STDERR = 2
# What a command gets of the agent's environment, which may hold passwords (``password_env``).
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ")

# What came of an event: its kind, "command" or "webhook", and "done", "failed", "killed" or "dropped".
Outcome = tuple[str, str, str]


class Hooks:
    """From :meth:`start` to :meth:`stop`.

    Args:
        config: what to run and call.

    Attributes:
        outcomes: how often each outcome has come about.
    """

    def __init__(self, config: HooksConfig) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self._config = config
        self._queues: list[_DeliveryQueue] = []
        if any(config.command(kind) for kind in HOOKED):
            self._queues.append(_DeliveryQueue("command", self._run_command, self.outcomes))
        if config.webhook is not None:
            webhook = Webhook(config.webhook.get_secret_value(), config.timeout)
            self._queues.append(_DeliveryQueue("webhook", webhook.call, self.outcomes))

    @property
    def wanted(self) -> bool:
        """Whether there are any."""
        return bool(self._queues)

    def start(self) -> None:
        for way in self._queues:
            way.start()

    def stop(self) -> None:
        """Wait for what is queued, five seconds at the most; what still runs then is left to its deadline."""
        deadline = time.monotonic() + _STOP_TIMEOUT
        for way in self._queues:
            way.stop(max(0.0, deadline - time.monotonic()))

    def receive(self, _state: object, events: tuple[Event, ...]) -> None:
        """Queue what is hooked. From the dispatcher's thread; returns at once."""
        for event in events:
            if event.kind in HOOKED:
                for way in self._queues:
                    way.offer(event)

    def _run_command(self, event: Event) -> str | None:
        command = self._config.command(event.kind)
        return None if command is None else run(command, event, self._config.timeout)


class _DeliveryQueue:
    """One queue and the thread that works it off."""

    def __init__(self, name: str, deliver: Callable[[Event], str | None], outcomes: Counter[Outcome]) -> None:
        self._name = name
        self._deliver = deliver
        self._outcomes = outcomes
        self._events: queue.Queue[Event | None] = queue.Queue(BACKLOG)
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=f"rabbitkeeper-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        if self._thread.is_alive():
            self._ending = True
            with contextlib.suppress(queue.Full):  # then it sees by itself that nothing is left
                self._events.put_nowait(None)
            self._thread.join(timeout)

    def offer(self, event: Event) -> None:
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self._outcomes[event.kind, self._name, "dropped"] += 1
            LOG.warning(
                "%s for %s of %s left out: %d wait already",
                self._name,
                event.kind,
                event.member,
                BACKLOG,
                extra=fields(event),
            )

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                outcome = self._deliver(event)
            except Exception:  # the top of this thread: the next event is to be told
                LOG.exception("the %s for %s has failed", self._name, event.kind, extra=fields(event))
                outcome = "failed"
            if outcome is not None:
                self._outcomes[event.kind, self._name, outcome] += 1
            if self._ending and self._events.empty():
                return


def environment(event: Event) -> dict[str, str]:
    """What a command is told, as ``docs/operations.md`` lists it. Empty where there is nothing to say."""
    told: Mapping[str, object] = {
        "EVENT": event.kind,
        "EVENT_ID": event.event_id,
        "GROUP": event.group,
        "AGENT": event.agent,
        "MEMBER": event.member,
        "LEADER": event.leader,
        "EPOCH": event.epoch,
        "INCARNATION": event.incarnation,
        "CAUSE": event.cause,
        "OPERATION_ID": event.operation,
        "STATE": event.state,
        "REASON": event.reason,
        "AT": event.at,
    }
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {
        f"RABBITKEEPER_{name}": "" if value is None else fitting(str(value)) for name, value in told.items()
    }


def run(command: list[str], event: Event, timeout: float) -> str:
    """Run a command to its end, or to its deadline; what it writes goes to the agent's log.

    Returns:
        ``done``, ``failed`` or ``killed``.
    """
    name, about = command[0], fields(event)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=_STDERR,
            stderr=_STDERR,
            env=environment(event),
            start_new_session=True,  # so that its children can be killed with it
        )
    except OSError as error:
        LOG.warning("the hook %s cannot be started: %s", name, error.strerror or error, extra=about)
        return "failed"
    be_an_ordinary_process(process.pid)
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILL_TIMEOUT)
        LOG.warning("the hook %s was killed: it had not ended after %g s", name, timeout, extra=about)
        return "killed"
    if code != 0:
        LOG.warning("the hook %s has failed: exit status %d", name, code, extra=about)
        return "failed"
    return "done"
