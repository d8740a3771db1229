"""The first step into a group, with a ZooKeeper that does not always answer."""

from pathlib import Path

import pytest
from simulation.backend import SimulatedBackend
from simulation.world import World
from simulation.zookeeper import SimulatedZooKeeper

from rabbitkeeper.agent.config import AgentConfig
from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.group.await_zookeeper import await_zookeeper
from rabbitkeeper.agent.group.entry import enter_group
from rabbitkeeper.agent.group.membership import Membership
from rabbitkeeper.agent.runtime.wakeup import Wakeup
from rabbitkeeper.coordinator.model.errors import SessionLost, ZooKeeperUnreachable
from rabbitkeeper.coordinator.store.store import Store

CONFIG = AgentConfig.model_validate(
    {
        "group": "orders",
        "name": "node1",
        "zookeeper": {"hosts": "simulated:2181"},
        "broker": {"driver": "external", "node": "rabbit@node1", "amqp": {"username": "rk", "password": "x"}},
    },
    context={"directory": Path("/nowhere")},
)


def test_what_is_not_answered_is_asked_again_until_the_group_is_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(1)
    backend = SimulatedBackend(SimulatedZooKeeper(world), 6.0, lambda: None)
    backend.start(10)
    store = Store(backend, CONFIG.group, clock=lambda: world.now)
    announcer = Announcer(CONFIG, instance="first")
    membership = Membership(backend, store, announcer, Wakeup(), lambda: None, wall=lambda: 1769860800.5)
    backend.slow = 3.0  # longer than a request waits
    world.at(world.now + 20.0, lambda: setattr(backend, "slow", 0.0))
    with pytest.raises(ZooKeeperUnreachable):
        enter_group(CONFIG, backend, membership)

    def pause() -> None:
        world.advance(world.now + 0.2)

    await_zookeeper(lambda: enter_group(CONFIG, backend, membership), pause=pause)
    group = store.snapshot()
    assert (group.config is not None, group.incarnation) == (True, 1769860800)
    assert len([said for said in caplog.messages if said.startswith("waiting for ZooKeeper: ")]) == 1


def test_a_session_that_ends_meanwhile_is_no_reason_to_give_up() -> None:
    asked: list[str] = []

    def ask() -> None:
        asked.append("ask")
        if asked.count("ask") < 3:
            raise SessionLost("the session has expired")

    await_zookeeper(ask, pause=lambda: asked.append("pause"))
    assert asked == ["ask", "pause", "ask", "pause", "ask"]


def test_who_is_stopped_asks_no_more() -> None:
    def ask() -> None:
        raise AssertionError("asked")

    await_zookeeper(ask, stopped=lambda: True)
