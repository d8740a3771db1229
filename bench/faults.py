"""Faults that strike the leader of a local group, one after the other, for benchmarks."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from common import end_alarm, operate, others, raise_alarm

from rabbitkeeper.compose.demo.local_faults import LocalStage
from rabbitkeeper.compose.local import Local

HELD = 20.0  # seconds that a host stands still, or a cable is cut
ALARM = 3.0  # seconds
NOTICED = 10.0  # seconds after which what such a fault has changed has been seen


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind.

    Attributes:
        strike: does it to the leader that is given, and undoes what lasts.
        replaced: the leader's broker is another process afterwards; None: it may be.
        forgets: the agent is another one, and what the old one said stands until its session ends.
    """

    name: str
    strike: Callable[[str], object]
    replaced: bool | None = False
    forgets: bool = False


def faults(local: Local, *, networks: bool) -> list[Fault]:
    """Those that can be made here.

    Args:
        networks: whether each member has a network of its own, which can be cut.
    """

    def kill_node(leader: str) -> None:
        local.kill_node(leader)
        local.start_agent(leader)

    def restart(leader: str) -> None:
        operate(local, lambda operator: operator.restart(leader, by="bench"))

    def switch(leader: str) -> None:
        operate(local, lambda operator: operator.switchover(by="bench"))

    found = [
        Fault("broker killed", local.kill_broker, replaced=True),
        Fault("broker stopped", local.stop_broker, replaced=True),
        Fault("agent and broker killed", kill_node, replaced=True, forgets=True),
        Fault("orderly restart", restart, replaced=True),
        Fault("planned switchover", switch),
        Fault("memory alarm", lambda leader: _alarm(local, leader)),
        Fault("queues move", lambda leader: _move_queues(local, leader)),
        Fault("host paused", lambda leader: _pause_host(local, leader), replaced=None),
    ]
    if networks:
        found += [
            Fault("node cut off", lambda leader: _cut(local, leader), replaced=None),
            Fault(
                "broker cut off", lambda leader: _cut(local, leader, *others(local, leader)), replaced=None
            ),
            Fault("half cut", lambda leader: _cut(local, leader, others(local, leader)[0]), replaced=None),
        ]
    return found


def _alarm(local: Local, leader: str) -> None:
    raise_alarm(local, leader)
    try:
        time.sleep(ALARM)
    finally:
        end_alarm(local, leader)


def _move_queues(local: Local, leader: str) -> None:
    """All quorum queues are led elsewhere: an election for each."""
    target = local.node(others(local, leader)[0])
    local.ctl(leader)._run(
        "eval",
        f"[rabbit_quorum_queue:transfer_leadership(Q, '{target}') || Q <- rabbit_amqqueue:list(), "
        "amqqueue:get_type(Q) == rabbit_quorum_queue].",
    )


def _pause_host(local: Local, leader: str) -> None:
    stage = LocalStage(local)
    stage.hang_agent(leader)
    stage.hang_broker(leader)
    time.sleep(HELD)
    local.continue_broker(leader)
    stage.continue_agent(leader)
    time.sleep(NOTICED)


def _cut(local: Local, leader: str, *of: str) -> None:
    local.network.cut(leader, *of)
    time.sleep(HELD)
    local.network.heal(leader)
    time.sleep(NOTICED)
