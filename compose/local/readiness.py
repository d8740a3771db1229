"""Waiting until a group can be used: is well, on ZooKeeper's watches instead of a clock, and has its user."""

import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from rabbitkeeper.agent.rabbitmq import definitions
from rabbitkeeper.agent.rabbitmq.ctl import NodeNotRunning, RabbitmqCtlTimeout
from rabbitkeeper.agent.rabbitmq.definitions import Definitions
from rabbitkeeper.compose.local.errors import LocalError
from rabbitkeeper.coordinator.backend.access import ANYBODY, BackendAccess
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.errors import CoordinationError, ZooKeeperUnreachable
from rabbitkeeper.coordinator.model.records import MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.store.reader import GroupReader

Condition = Callable[[GroupView], str | None]  # what is still missing, a sentence; None: nothing

_LONGEST_WAIT = 0.5  # seconds between looks at the processes, and at what cannot be watched for
_TOOLS_PAUSE = 0.5  # seconds between two attempts of RabbitMQ's tools, each of which starts an Erlang machine


def await_group(
    hosts: str,
    group: str,
    condition: Condition,
    check: Callable[[], None],
    timeout: float,
    access: BackendAccess = ANYBODY,
) -> GroupView:
    """Read the group at each of its changes until it is as wanted.

    Args:
        hosts: ZooKeeper's connection string.
        group: its name; it need not exist yet.
        condition: says what is still missing, or None.
        check: raises when waiting has become senseless.
        timeout: seconds.
        access: who asks.

    Raises:
        LocalError: not in time; says what was missing.
    """
    deadline = time.monotonic() + timeout
    session = backend_at(hosts, access=access, name="local")
    missing: str | None = "ZooKeeper does not answer"
    try:
        with suppress(ZooKeeperUnreachable):
            session.start(timeout)
        reader = GroupReader(session, group, with_history=False)
        while True:
            check()
            seen = session.events
            try:
                view = reader.read()
                missing = condition(view)
                if missing is None:
                    return view
            except CoordinationError as error:
                missing = str(error)
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise LocalError(f"group {group!r} is not ready after {timeout:.0f} s: {missing}")
            session.await_event(seen, min(remaining, _LONGEST_WAIT))
    finally:
        session.close()


def founded(view: GroupView) -> str | None:
    """Waits for the RabbitMQ cluster to be founded."""
    return None if view.cluster is not None else f"no cluster is founded yet; {_members(view, ())}"


def ready(names: Iterable[str]) -> Condition:
    """Waits for a leader, and for all these members to run in the cluster."""
    wanted = tuple(names)

    def condition(view: GroupView) -> str | None:
        running = all(
            name in view.members and view.members[name].record.state is MemberStatus.RUNNING
            for name in wanted
        )
        if running and view.leader is not None:
            return None
        leader = "nobody leads" if view.leader is None else f"{view.leader.record.name} leads"
        return f"{leader}; {_members(view, wanted)}"

    return condition


class Tools(Protocol):
    """What is needed of ``rabbitmqctl``."""

    node: str

    def import_definitions(self, definitions: Definitions) -> None: ...


def add_user(
    tools: Tools,
    credentials: tuple[str, str],
    logs: Path,
    deadline: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Make a user with all permissions on vhost ``/``.

    A tool of a busy host can give up before it is connected to its node: then it is tried again.

    Args:
        credentials: name and password.
        logs: the folder with the broker's logs, for the error.
        deadline: of ``clock``, in seconds: no attempt begins after it.

    Raises:
        LocalError: the node did not answer in time.
        RabbitmqCtlError: it refused.
    """
    name, password = credentials
    wanted = {
        "users": [definitions.user(name, password, salt=secrets.token_bytes(4))],
        "permissions": [definitions.full_access(name, "/")],
    }
    while True:
        try:
            tools.import_definitions(wanted)
        except (NodeNotRunning, RabbitmqCtlTimeout) as error:
            if clock() >= deadline:
                raise LocalError(
                    f"the application's user cannot be made on {tools.node}, which does not answer: "
                    f"{error}; see why in its logs in {logs}"
                ) from None
            sleep(_TOOLS_PAUSE)
        else:
            return


def _members(view: GroupView, wanted: Iterable[str]) -> str:
    states = {
        name: f"{member.record.state} ({', '.join(member.record.reasons)})"
        if member.record.reasons
        else str(member.record.state)
        for name, member in view.members.items()
    }
    for name in wanted:
        states.setdefault(name, "not registered")
    return ", ".join(f"{name}: {state}" for name, state in sorted(states.items())) or "nobody is registered"
