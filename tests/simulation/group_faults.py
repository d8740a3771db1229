"""What goes wrong in a group, by name: each fault ends after a while, and the group should get over it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from rabbitkeeper.agent.model.observation import NodeState
from rabbitkeeper.coordinator.model.errors import CoordinationError, RecordError
from rabbitkeeper.coordinator.operations.service import OperationRefused, OperationService
from rabbitkeeper.coordinator.store.store import Store
from simulation.agents import GROUP, SimulatedAgent
from simulation.managed_group import Group
from simulation.world import World
from simulation.zookeeper import TICK

ALARM = "low on memory"


@dataclass(frozen=True)
class Fault:
    """One fault of a history.

    Attributes:
        kind: a key of :data:`KINDS`.
        member: which member it meets.
        after: seconds from the one before.
        lasts: seconds.
    """

    kind: str
    member: str
    after: float
    lasts: float


Inflict = Callable[[Group, SimulatedAgent, float], object]


def _later(group: Group, lasts: float, what: Callable[[], object]) -> None:
    group.world.after(lasts, what)


def _hang(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    agent.broker.hang()


def _stall(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    agent.broker.hang()
    _later(group, min(lasts, 8.0), agent.broker.go_on)


def _stall_together(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    for each in group.agents.values():
        _stall(group, each, min(lasts, 20.0))


def _pause_host(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    """All that runs there stands still: broker, agent and its heartbeats."""
    agent.broker.hang()
    agent.session.suspended = True

    def resume() -> None:
        agent.session.suspended = False
        agent.broker.go_on()

    _later(group, lasts, resume)


def _storm(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    agent.broker.storm(True)
    _later(group, min(lasts, 15.0), lambda: agent.broker.storm(False))


def _alarm(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    agent.broker.sound_alarm(ALARM)
    _later(group, lasts, lambda: agent.broker.sound_alarm(None))


def _alarm_and_storm(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    _alarm(group, agent, lasts)
    group.world.after(0.5, lambda: _storm(group, agent, lasts))


def _slow_boot(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    agent.broker.slow = 5.0 * lasts
    agent.broker.die()
    _later(group, 1.0, lambda: setattr(agent.broker, "slow", 8.0))


def _cut(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    """From the other brokers, and from them alone."""
    agent.broker.cut_off = True
    _later(group, lasts, lambda: setattr(agent.broker, "cut_off", False))


def _cut_all(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    """Everything: brokers and ZooKeeper."""
    agent.broker.cut_off = True
    agent.session.link = False

    def heal() -> None:
        agent.session.link = True
        agent.broker.cut_off = False

    _later(group, lasts, heal)


def _crash(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    agent.crash()
    _later(group, lasts, lambda: None if agent.alive else agent.start())


def _node_down(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    agent.broker.die()
    _crash(group, agent, lasts)


def _suspend(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    agent.session.suspended = True
    _later(group, lasts, lambda: setattr(agent.session, "suspended", False))


def _unlink(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    agent.session.link = False
    _later(group, lasts, lambda: setattr(agent.session, "link", True))


def _trouble(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    agent.session.trouble = 0.7
    _later(group, lasts, lambda: setattr(agent.session, "trouble", 0.0))


def _slow_store(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    agent.session.slow = 1.5
    _later(group, lasts, lambda: setattr(agent.session, "slow", 0.0))


def _read_only(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    agent.session.read_only = True
    _later(group, lasts, lambda: setattr(agent.session, "read_only", False))


def _stop_zookeeper(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    if group.zookeeper.up:
        group.zookeeper.stop()
        _later(group, lasts, lambda: None if group.zookeeper.up else group.zookeeper.start())


def _expire(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    """Cut from ZooKeeper for just as long as its session lives: no server ends one before its time."""
    session, number = agent.session, agent.session.session_id
    session.link = False

    def look() -> None:
        if number in group.zookeeper.sessions and not session.link:
            _later(group, TICK, look)
        else:
            session.link = True

    look()


def _app_stopped(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    """Somebody stops the broker inside its Erlang machine, and starts it again or forgets to."""
    if agent.broker.well:
        agent.broker.refuse(NodeState.STOPPED)


def _asked_for(rolling: bool) -> Inflict:
    """No fault, but what an operator asks for in the middle of them; it may be refused."""

    def ask(group: Group, agent: SimulatedAgent, lasts: float) -> None:
        through = [each for each in group.agents.values() if each.alive and each.session.connected]
        if not through or through[0].session.suspended:
            return
        session = through[0].session
        service = OperationService(Store(session, GROUP, clock=lambda: group.world.now))
        with suppress(OperationRefused, CoordinationError, RecordError):
            if rolling:
                service.rolling_restart(by="ann")
            else:
                service.restart(agent.name, by="ann")

    return ask


def _delete(name: str) -> Inflict:
    return lambda group, agent, lasts: group.zookeeper.by_hand(_path(group, agent, name), None)


def _spoil(name: str) -> Inflict:
    return lambda group, agent, lasts: group.zookeeper.by_hand(_path(group, agent, name), b"{]")


def _path(group: Group, agent: SimulatedAgent, name: str) -> str:
    return f"{group.paths.root}/{name.format(name=agent.name)}"


FAULTS: dict[str, Inflict] = {
    "broker dies": lambda group, agent, lasts: agent.broker.die(),
    "broker hangs": _hang,
    "broker stalls": _stall,
    "brokers stall together": _stall_together,
    "host pauses": _pause_host,
    "storm of connections": _storm,
    "alarm": _alarm,
    "alarm and storm": _alarm_and_storm,
    "slow boot": _slow_boot,
    "cut from brokers": _cut,
    "cut off": _cut_all,
    "agent crashes": _crash,
    "node crashes": _node_down,
    "agent suspended": _suspend,
    "cut from ZooKeeper": _unlink,
    "packets are lost": _trouble,
    "slow store": _slow_store,
    "read only": _read_only,
    "ZooKeeper stops": _stop_zookeeper,
    "session expires": _expire,
    "broker stopped inside": _app_stopped,
    "leader deleted": _delete("leader"),
    "leader spoilt": _spoil("leader"),
    "cluster deleted": _delete("cluster"),
    "cluster spoilt": _spoil("cluster"),
    "member deleted": _delete("members/{name}"),
    "member spoilt": _spoil("members/{name}"),
    "config deleted": _delete("config"),
    "config spoilt": _spoil("config"),
    "members deleted": _delete("members"),
}


REQUESTS: dict[str, Inflict] = {
    "restart": _asked_for(rolling=False),
    "rolling restart": _asked_for(rolling=True),
}
"""What operators ask for, in the middle of faults."""


def _starve(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    if agent.broker.up:
        agent.broker.feeding.starves = True


def _starve_together(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    for each in group.agents.values():
        _starve(group, each, lasts)


def _mute(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    if agent.broker.up:
        agent.broker.mute = True


def _deny(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    if agent.broker.up:
        agent.broker.deny(True)


def _stop(group: Group, agent: SimulatedAgent, lasts: float) -> None:
    """As by SIGSTOP, on a host that is starved for a while; nobody has it go on."""
    agent.starved = True
    agent.stop_broker()
    _later(group, lasts, lambda: setattr(agent, "starved", False))


STOPS: dict[str, Inflict] = {"broker stopped by a signal": _stop}
"""Its process does not run at all."""

DENIES: dict[str, Inflict] = {"refuses every login": _deny}
"""Its store of users has ended, until the broker's process has."""

MUTE: dict[str, Inflict] = {"tools find no node": _mute}
"""Clients are served, and no node can connect, until the broker's process has ended."""

STARVES: dict[str, Inflict] = {"feeds nobody": _starve, "all feed nobody": _starve_together}
"""Messages are taken, and no consumer that was there gets one until its broker has started again."""

KINDS = FAULTS | REQUESTS | STARVES | DENIES | MUTE | STOPS
"""All there are; histories that name none have :data:`FAULTS` alone, so that a seed stays what it was."""


def by_chance(world: World, names: tuple[str, ...], kinds: tuple[str, ...]) -> list[Fault]:
    """One to four faults."""
    chance = world.chance
    return [
        Fault(
            chance.choice(kinds),
            chance.choice(names),
            chance.choice((0.0, 0.5, 3.0, 9.0, 20.0)),
            chance.choice((1.0, 3.5, 8.0, 20.0, 45.0)),
        )
        for _ in range(chance.choice((1, 1, 2, 2, 3, 4)))
    ]
