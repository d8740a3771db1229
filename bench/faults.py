"""Faults that strike a member of a local group, its leader mostly, one after the other, for benchmarks."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from common import end_alarm, operate, others, raise_alarm

from rabbitkeeper.compose.demo.local_faults import LocalStage
from rabbitkeeper.compose.local import Local

ALARM = 3.0  # seconds
NOTICED = 10.0  # seconds after which what such a fault has changed has been seen


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind.

    Attributes:
        strike: does it to the member that is given, and undoes what lasts.
        replaced: the member's broker is another process afterwards; None: it may be.
        forgets: the agent is another one, and what the old one said stands until its session ends.
    """

    name: str
    strike: Callable[[str], object]
    replaced: bool | None = False
    forgets: bool = False


def faults(
    local: Local, *, networks: bool, held: float = 20.0, ended: Callable[[], None] = lambda: None
) -> list[Fault]:
    """Those that can be made here.

    Args:
        networks: whether each member has a network of its own, which can be cut.
        held: seconds that a host stands still, or a cable is cut.
        ended: is called at the moment at which it goes on, or the cable is mended.
    """

    def pause(member: str, *, cut: bool = False) -> None:
        _pause_host(local, member, held, ended, cut=cut)

    def cut(member: str, *of: str) -> None:
        _cut(local, member, held, ended, *of)

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
        Fault("host paused", pause, replaced=None),
    ]
    if networks:
        found += [
            Fault("host paused and cut off", partial(pause, cut=True), replaced=None),
            Fault("node cut off", cut, replaced=None),
            Fault("broker cut off", lambda member: cut(member, *others(local, member)), replaced=None),
            Fault("half cut", lambda member: cut(member, others(local, member)[0]), replaced=None),
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


def _pause_host(
    local: Local, member: str, held: float, ended: Callable[[], None], *, cut: bool = False
) -> None:
    stage = LocalStage(local)
    if cut:
        local.network.cut(member)
    stage.hang_agent(member)
    stage.hang_broker(member)
    time.sleep(held)
    if cut:
        local.network.heal(member)
    local.continue_broker(member)
    stage.continue_agent(member)
    ended()
    time.sleep(NOTICED)


def _cut(local: Local, member: str, held: float, ended: Callable[[], None], *of: str) -> None:
    local.network.cut(member, *of)
    time.sleep(held)
    local.network.heal(member)
    ended()
    time.sleep(NOTICED)
