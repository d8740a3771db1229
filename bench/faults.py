"""Faults that strike the leader of a local group, one after the other, for benchmarks."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from common import operate

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
                "broker cut off", lambda leader: _cut(local, leader, *_others(local, leader)), replaced=None
            ),
            Fault("half cut", lambda leader: _cut(local, leader, _others(local, leader)[0]), replaced=None),
        ]
    return found


def _others(local: Local, leader: str) -> list[str]:
    return [name for name in local.members if name != leader]


def _alarm(local: Local, leader: str) -> None:
    ctl = local.ctl(leader)
    ctl._run("set_vm_memory_high_watermark", "0.00001")
    try:
        time.sleep(ALARM)
    finally:
        ctl._run("set_vm_memory_high_watermark", "absolute", "512MiB")


def _move_queues(local: Local, leader: str) -> None:
    """All quorum queues are led elsewhere: an election for each."""
    target = local.node(_others(local, leader)[0])
    local.ctl(leader)._run(
        "eval",
        f"[rabbit_quorum_queue:transfer_leadership(Q, '{target}') || Q <- rabbit_amqqueue:list(), "
        "amqqueue:get_type(Q) == rabbit_quorum_queue].",
    )


def _pause_host(local: Local, leader: str) -> None:
    agent = local.agent_pid(leader)
    if agent is not None:
        os.kill(agent, signal.SIGSTOP)
    local.stop_broker(leader)
    time.sleep(HELD)
    local.continue_broker(leader)
    if agent is not None:
        os.kill(agent, signal.SIGCONT)
    time.sleep(NOTICED)


def _cut(local: Local, leader: str, *others: str) -> None:
    local.network.cut(leader, *others)
    time.sleep(HELD)
    local.network.heal(leader)
    time.sleep(NOTICED)
