"""Channels that were left, or that the broker closes again and again: they hold up nobody else."""

import pytest
from support.client.publishing import Scene

from rabbitkeeper.client.publish.entry import Outcome
from rabbitkeeper.client.publish.silence import LEFT_SILENCE, LONGEST_LEFT_SILENCE, SILENCE


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.attach()
    scene.add("a")
    scene.ack(1)
    return scene


def leave_a_silent_channel(scene: Scene) -> None:
    """The main channel answers nothing of what is in flight, and another takes its place."""
    scene.add("bc", key="silent")
    scene.wait_for_channel()


def test_a_channel_that_was_left_in_silence_does_not_hold_up_the_search_for_a_refused_message(
    scene: Scene,
) -> None:
    leave_a_silent_channel(scene)
    scene.add("d")
    scene.ack(1)
    scene.add("xyz", key="others")
    assert scene.sent == "dxyz"
    scene.close_channel("PRECONDITION_FAILED - one of them")
    scene.wait(SILENCE / 2)
    assert scene.sent == "x", "one at a time, and at once"
    scene.ack(1)
    assert scene.sent == "xy"


def test_a_channel_that_was_left_and_answers_is_kept_however_often_the_group_changes(scene: Scene) -> None:
    scene.add("bcdefghi", key="slow")
    left = scene.channel
    scene.wait_for_channel()
    for tag in range(2, 10):
        scene.wait(0.7 * SILENCE)
        scene.ack(tag, channel=left)
        scene.publisher.trouble()
        scene.wait(0.2 * SILENCE)
    assert set(scene.outcomes) == set("abcdefghi")
    assert set(scene.outcomes.values()) == {Outcome.CONFIRMED}
    assert all(channel.sent == [] for channel in scene.channels), "nothing was sent twice"


def test_a_channel_that_was_left_in_silence_is_given_up_however_often_the_group_changes(scene: Scene) -> None:
    left = scene.channel
    leave_a_silent_channel(scene)
    timers = len(scene._timers)
    for _ in range(50):
        scene.publisher.trouble()
    assert len(scene._timers) - timers <= 1, "one look at it is enough"
    for _ in range(4):
        scene.wait(SILENCE / 2)
        scene.publisher.trouble()
    assert not left.is_open
    assert scene.sent == "b"


def test_without_a_change_it_is_waited_for_longer_each_time(scene: Scene) -> None:
    left = scene.channel
    leave_a_silent_channel(scene)
    scene.wait(LEFT_SILENCE - 0.1)
    assert left.is_open
    scene.wait(0.2)
    assert not left.is_open
    assert LONGEST_LEFT_SILENCE > LEFT_SILENCE
