"""The publisher against a broker made by hand: who is sent when, and which message an answer ends."""

import pytest
from support.client.publishing import Scene

from rabbitkeeper.client.publish.entry import Outcome
from rabbitkeeper.client.publish.lane import ROOM_POLL
from rabbitkeeper.client.publish.publisher import LOST_RETRY


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.attach()
    return scene


def test_a_channel_starts_with_one_message_and_goes_on_with_all(scene: Scene) -> None:
    scene.add("abcd")
    assert scene.sent == "a"
    scene.ack(1)
    assert scene.sent == "abcd"
    scene.ack(4, multiple=True)
    assert set(scene.outcomes.values()) == {Outcome.CONFIRMED}


def test_a_returned_message_is_unroutable_and_its_neighbours_are_not(scene: Scene) -> None:
    scene.add("abcd")
    scene.ack(1)
    scene.come_back("c")
    scene.ack(4, multiple=True)
    assert {name for name, outcome in scene.outcomes.items() if outcome is Outcome.RETURNED} == {"c"}
    assert "NO_ROUTE" in scene.details["c"]


def test_what_comes_back_while_the_topology_is_declared_again_is_sent_again(scene: Scene) -> None:
    scene.publisher.restoring(active=True)
    scene.add("ab")
    scene.come_back("a")
    scene.ack(1)
    assert scene.sent == "a"
    scene.publisher.restoring(active=False)
    assert scene.sent == "aab"
    scene.ack(3, multiple=True)
    assert scene.outcomes == {"a": Outcome.CONFIRMED, "b": Outcome.CONFIRMED}


def test_while_the_broker_blocks_nothing_is_sent_and_what_waits_ends_unsent(scene: Scene) -> None:
    scene.publisher.blocked = "low on disk"
    scene.add("a", deadline=5.0)
    scene.wait(5.0)
    scene.publisher.expire()
    assert (scene.sent, scene.outcomes) == ("", {"a": Outcome.UNSENT})
    scene.add("b")
    scene.publisher.blocked = None
    scene.publisher.pump()
    assert scene.sent == "b"


def test_what_was_sent_before_the_block_ends_unknown(scene: Scene) -> None:
    scene.add("a", deadline=5.0)
    scene.publisher.blocked = "low on disk"
    scene.wait(5.0)
    scene.publisher.expire()
    assert scene.outcomes == {"a": Outcome.UNKNOWN}


def test_a_socket_that_takes_less_than_it_is_given_is_waited_for(scene: Scene) -> None:
    scene.add("a")
    scene.ack(1)
    scene.channel.room = 0
    scene.add("bcd")
    scene.wait(10 * ROOM_POLL)
    assert scene.sent == "a"
    scene.channel.room = 2
    scene.wait(ROOM_POLL)
    assert scene.sent[:3] == "abc"


def test_a_channel_closed_over_one_of_many_is_searched_for_it(scene: Scene) -> None:
    scene.add("abcdef")
    scene.ack(1)
    assert scene.sent == "abcdef"
    scene.close_channel("406 PRECONDITION_FAILED - message size is larger than configured")
    scene.wait(LOST_RETRY)
    for expected in ("b", "bc", "bcd"):
        assert scene.sent == expected, "not one at a time"
        if expected != "bcd":
            scene.ack(len(expected))
    scene.close_channel("406 PRECONDITION_FAILED - message size is larger than configured")
    scene.wait(LOST_RETRY)
    assert scene.outcomes["d"] is Outcome.NACKED
    scene.ack(1)
    scene.ack(2)
    del scene.outcomes["d"]
    assert set(scene.outcomes.values()) == {Outcome.CONFIRMED}
    assert set(scene.outcomes) == set("abcef")


def test_an_exchange_that_does_not_exist_ends_its_messages_and_no_others(scene: Scene) -> None:
    scene.add("a")
    scene.ack(1)
    scene.add("bcd", exchange="gone")
    scene.add("ef")
    scene.close_channel("404 NOT_FOUND - no exchange 'gone' in vhost '/'")
    assert [scene.outcomes.get(name) for name in "bcd"] == [Outcome.NACKED] * 3
    scene.wait(LOST_RETRY)
    scene.ack(1)
    scene.ack(2)
    assert scene.outcomes["e"] is scene.outcomes["f"] is Outcome.CONFIRMED


def test_a_cancelled_message_is_not_sent(scene: Scene) -> None:
    scene.add("a")
    scene.cancelled.add("c")
    scene.add("bcd")
    scene.ack(1)
    assert scene.sent == "abd"


def test_an_answer_of_an_earlier_channel_means_nothing(scene: Scene) -> None:
    scene.add("a")
    old = scene.channel
    scene.attach()
    scene.publisher.answered(old, [(1, True, True)])
    scene.publisher.returned(old, "a", "e", "k", "312 NO_ROUTE")
    scene.publisher.channel_lost(old, "404", final=True)
    assert scene.outcomes == {}
    scene.ack(1)
    assert scene.outcomes == {"a": Outcome.CONFIRMED}


def test_the_end_settles_what_is_open(scene: Scene) -> None:
    scene.add("ab")
    scene.publisher.close()
    assert scene.outcomes == {"a": Outcome.CLOSED, "b": Outcome.CLOSED}


def test_answers_that_come_together_count_one_after_the_other(scene: Scene) -> None:
    scene.add("abcd")
    scene.ack(1)
    scene.publisher.answered(scene.channel, [(2, False, True), (3, False, False), (4, False, True)])
    assert set(scene.outcomes) == set("abd")
    assert set(scene.outcomes.values()) == {Outcome.CONFIRMED}
