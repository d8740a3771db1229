"""A client's picture of its group from its agents, in virtual time: whatever becomes of them."""

import logging

import pytest
from support.client.scripted_agents import Scene

from rabbitkeeper.client.discovery.agent_choice import STREAM_AGAIN
from rabbitkeeper.client.discovery.agent_connection import AgentFailed
from rabbitkeeper.client.discovery.agent_watch import ANSWER, PATIENCE, POLL, SILENCE
from rabbitkeeper.client.discovery.event_stream import SentEvent
from rabbitkeeper.client.model.errors import AgentsUnreachable, NotAuthorized
from rabbitkeeper.client.model.events import AgentsBack, AgentsLost
from rabbitkeeper.coordinator.model.errors import UnknownGroup

GONE = AgentFailed("it cannot be reached: Connection refused")
DENIED = AgentFailed("it wants another token or certificate (401)", unauthorized=True)


def leaders(scene: Scene) -> list[str | None]:
    return [None if one.leader is None else one.leader.member for one in scene.seen]


def test_the_group_is_asked_for_once_and_every_change_is_sent() -> None:
    scene = Scene()
    scene.pass_time(10.0)
    assert leaders(scene) == ["a"]
    assert sum(agent.asked for agent in scene.agents) == 1
    assert len(scene.listened) == 1
    scene.all(leader="b", epoch=8)
    before = scene.clock.now
    scene.turn()
    assert scene.clock.now == before
    assert leaders(scene) == ["a", "b"]
    scene.all(members=("b", "c"))
    scene.turn()
    assert sorted(scene.seen[-1].members) == ["b", "c"]
    assert scene.watch.connected


def test_when_its_agent_is_gone_the_next_one_tells() -> None:
    scene = Scene()
    scene.pass_time(10.0)
    (first,) = scene.listened
    first.fails = GONE
    scene.pass_time(0.1)
    (second,) = scene.listened
    assert second is not first
    scene.all(leader="b", epoch=8)
    scene.turn()
    assert leaders(scene) == ["a", "b"]
    assert scene.events == []


def test_an_agent_that_hangs_is_left_after_its_silence() -> None:
    scene = Scene()
    scene.pass_time(10.0)
    (first,) = scene.listened
    first.hangs = True
    before = scene.clock.now
    while first in scene.listened or not scene.listened:
        scene.turn()
    assert scene.clock.now - before <= SILENCE + 0.1
    assert len(scene.listened) == 1


def test_one_that_hangs_from_the_start_costs_its_time_once() -> None:
    scene = Scene(2)
    number, _ = scene.watch._choice.next(0.0)
    scene.agents[number].hangs = True
    scene.pass_time(ANSWER + 0.1)
    assert leaders(scene) == ["a"]


def test_while_no_agent_answers_the_last_picture_stays() -> None:
    scene = Scene()
    scene.pass_time(10.0)
    for agent in scene.agents:
        agent.fails = GONE
    scene.pass_time(60.0)
    assert leaders(scene) == ["a"]
    assert not scene.watch.connected
    (lost,) = scene.events
    assert isinstance(lost, AgentsLost)
    assert all(f"http://mq{number}:8008: it " in lost.why for number in range(3))
    assert scene.agents[0].connections == []
    for agent in scene.agents:
        agent.fails, agent.leader, agent.epoch = None, "c", 9
    scene.pass_time(6.0)
    assert leaders(scene) == ["a", "c"]
    assert [type(event) for event in scene.events] == [AgentsLost, AgentsBack]


def test_a_token_that_has_ended_is_a_state_that_can_be_read() -> None:
    scene = Scene()
    scene.pass_time(10.0)
    for agent in scene.agents:
        agent.fails = DENIED
    scene.pass_time(30.0)
    (lost,) = scene.events
    assert isinstance(lost, AgentsLost)
    assert "wants another token" in lost.why
    assert leaders(scene) == ["a"]
    assert not scene.watch.connected


@pytest.mark.parametrize(("stream", "within"), [("held", SILENCE), ("refused", 0.0), ("cut", 0.0)])
def test_where_no_stream_comes_through_the_agent_is_polled(stream: str, within: float) -> None:
    scene = Scene(1)
    scene.agents[0].stream = stream
    scene.pass_time(within + POLL)
    scene.agents[0].leader, scene.agents[0].epoch = "b", 8
    scene.pass_time(POLL)
    assert leaders(scene) == ["a", "b"]
    asked = scene.agents[0].asked
    scene.pass_time(10.0)
    assert 10 <= scene.agents[0].asked - asked <= 21
    scene.agents[0].stream = "well"
    scene.pass_time(STREAM_AGAIN)
    assert len(scene.listened) == 1
    assert scene.events == []


def test_where_one_agent_takes_no_more_listeners_another_one_is_listened_to() -> None:
    scene = Scene()
    number, _ = scene.watch._choice.next(0.0)
    scene.agents[number].stream = "refused"
    scene.pass_time(10.0)
    assert len(scene.listened) == 1
    assert scene.listened != [scene.agents[number]]
    assert scene.agents[number].connections == []


def test_a_stream_that_is_cut_after_a_while_is_begun_again() -> None:
    scene = Scene(1)
    for _ in range(5):
        scene.pass_time(10.0)
        scene.agents[0].end_streams()
        scene.agents[0].epoch += 1
        scene.pass_time(1.0)
        assert len(scene.listened) == 1
        assert scene.seen[-1].epoch == scene.agents[0].epoch


@pytest.mark.parametrize("older", [{"epoch": 6}, {"epoch": 99, "incarnation": 0}])
def test_what_is_told_never_goes_backwards(older: dict[str, int]) -> None:
    scene = Scene(2)
    scene.pass_time(10.0)
    (first,) = scene.listened
    (other,) = [agent for agent in scene.agents if agent is not first]
    other.leader = "c"
    for name, value in older.items():
        setattr(other, name, value)
    first.fails = GONE
    scene.pass_time(20.0)
    assert leaders(scene) == ["a"]
    assert isinstance(scene.events[0], AgentsLost)
    assert "earlier leader" in scene.events[0].why
    first.fails = None
    scene.pass_time(6.0)
    assert scene.listened == [first]


def test_it_does_not_go_back_while_nobody_leads() -> None:
    scene = Scene(2)
    scene.pass_time(10.0)
    (first,) = scene.listened
    (other,) = [agent for agent in scene.agents if agent is not first]
    first.leader = None
    first.tell()
    scene.turn()
    assert leaders(scene) == ["a", None]
    other.leader, other.epoch = "c", 6
    first.fails = GONE
    scene.pass_time(20.0)
    assert leaders(scene) == ["a", None]


def test_an_agent_without_zookeeper_is_left_when_that_lasts() -> None:
    scene = Scene(2)
    scene.pass_time(10.0)
    (first,) = scene.listened
    first.send(SentEvent("zookeeper", b'{"state": "disconnected"}'))
    first.send(SentEvent("zookeeper", b'{"state": "connected"}'))
    scene.pass_time(2 * PATIENCE)
    assert scene.listened == [first]
    first.send(SentEvent("zookeeper", b'{"state": "disconnected"}'))
    first.lease_left = 0.0
    scene.pass_time(2 * PATIENCE)
    assert scene.listened != [first]
    assert len(scene.listened) == 1


def test_an_older_picture_of_an_agent_without_zookeeper_is_not_taken() -> None:
    """It tells of the same leader, and of members as they were."""
    scene = Scene(2)
    scene.pass_time(10.0)
    (first,) = scene.listened
    (other,) = [agent for agent in scene.agents if agent is not first]
    other.lease_left, other.members = 0.0, ("a",)
    first.fails = GONE
    scene.pass_time(20.0)
    assert sorted(scene.seen[-1].members) == ["a", "b", "c"]


@pytest.mark.parametrize("data", [b"<html>", b"{}", b"[" * 100_000, b'{"group": "other"}'])
def test_nonsense_in_the_stream_is_as_good_as_no_agent(data: bytes) -> None:
    scene = Scene(2)
    scene.pass_time(10.0)
    (first,) = scene.listened
    first.send(SentEvent("zookeeper", data))
    first.send(SentEvent("group", data))
    scene.pass_time(1.0)
    assert len(scene.listened) == 1
    assert scene.listened != [first]
    assert leaders(scene) == ["a"]


def test_each_trouble_is_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene = Scene(2)
    for agent in scene.agents:
        agent.fails = DENIED
    scene.pass_time(60.0)
    assert [one.levelname for one in caplog.records] == ["WARNING", "WARNING"]
    assert scene.agents[0].asked == 0


# -- the start


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_start_asks_until_one_tells(scene: Scene) -> None:
    for agent in scene.agents[:2]:
        agent.fails = GONE
    scene.watch.start(10.0)
    scene.watch.stop()
    assert leaders(scene)[0] == "a"
    assert all(agent.connections == [] for agent in scene.agents)


@pytest.mark.parametrize(
    ("agent", "error"), [({"fails": DENIED}, NotAuthorized), ({"group": "other"}, UnknownGroup)]
)
def test_what_will_not_change_soon_ends_a_start_at_once(
    scene: Scene, agent: dict[str, object], error: type[Exception]
) -> None:
    scene.all(**agent)
    before = scene.clock.now
    with pytest.raises(error):
        scene.watch.start(10.0)
    assert scene.clock.now == before


def test_a_start_says_of_each_agent_why_it_failed(scene: Scene) -> None:
    scene.all(hangs=True)
    with pytest.raises(AgentsUnreachable) as caught:
        scene.watch.start(7.0)
    assert scene.clock.now == pytest.approx(107.0)
    for number in range(3):
        assert f"http://mq{number}:8008: it does not answer in time" in str(caught.value)


def test_without_zookeeper_a_start_takes_what_the_agents_knew_last(scene: Scene) -> None:
    scene.all(lease_left=0.0)
    scene.watch.start(10.0)
    scene.watch.stop()
    assert leaders(scene)[0] == "a"
    assert not scene.watch.connected
    assert [type(event) for event in scene.events] == [AgentsLost]
