"""Places that refuse or do not answer: they wait by themselves, and are tried on other channels."""

from itertools import pairwise

import pytest
from support.client.publishing import Scene

from rabbitkeeper.client.publish.entry import Outcome
from rabbitkeeper.client.publish.refusals import CALM_PATIENCE, LONGEST_PAUSE, NACK_PATIENCE, RENEW_PAUSE
from rabbitkeeper.client.publish.silence import LONGEST_SILENCE, SILENCE
from rabbitkeeper.client.publish.trials import MOST_LANES


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.attach()
    return scene


def test_after_a_nack_a_new_channel_is_tried_until_the_queue_is_well(scene: Scene) -> None:
    scene.publisher.trouble()
    scene.add("ab")
    tried_at = [scene.now]
    for _ in range(20):
        scene.nack(1)
        scene.wait_for_channel()
        tried_at.append(scene.now)
        assert scene.sent == "a"
    scene.ack(1)
    scene.ack(2)
    assert scene.outcomes == {"a": Outcome.CONFIRMED, "b": Outcome.CONFIRMED}
    assert scene.renewals == 20
    pauses = [after - before for before, after in pairwise(tried_at)]
    assert pauses[0] < 0.05
    assert max(pauses) <= LONGEST_PAUSE + 0.02
    assert pauses[-1] > pauses[0], "they grow"
    assert all(pause <= 0.02 + tried / 3 for pause, tried in zip(pauses, tried_at, strict=False)), (
        "but slowly"
    )


@pytest.mark.parametrize(("trouble", "patience"), [(True, NACK_PATIENCE), (False, CALM_PATIENCE)])
def test_a_queue_that_goes_on_refusing_is_believed(scene: Scene, trouble: bool, patience: float) -> None:
    if trouble:
        scene.publisher.trouble()
    else:
        scene.wait(NACK_PATIENCE)
    started = scene.now
    scene.add("a")
    refuse_until_believed(scene)
    assert scene.outcomes == {"a": Outcome.NACKED}
    assert patience <= scene.now - started <= patience + LONGEST_PAUSE + 0.1


def refuse_until_believed(scene: Scene) -> None:
    """Nack what is tried on each channel that comes."""
    while True:
        scene.nack(1)
        if scene.outcomes:
            return
        scene.wait_for_channel()


def test_a_place_that_begins_to_refuse_before_the_trouble_is_told_has_the_patience_of_one(
    scene: Scene,
) -> None:
    scene.add("a")
    scene.nack(1)
    scene.wait_for_channel()
    scene.publisher.trouble()
    scene.nack(1)
    while scene.now < NACK_PATIENCE - LONGEST_PAUSE:
        scene.wait_for_channel()
        scene.nack(1)
        scene.publisher.trouble()  # and no more of it, however often the group changes
    assert scene.outcomes == {}
    while scene.now < NACK_PATIENCE + 2 * LONGEST_PAUSE and not scene.outcomes:
        scene.wait_for_channel()
        scene.nack(1)
        scene.publisher.trouble()
    assert scene.outcomes == {"a": Outcome.NACKED}


def test_a_full_queue_ends_its_messages_at_once_then_and_holds_nobody_up(scene: Scene) -> None:
    main = scene.channel
    scene.add("a", key="full")
    refuse_until_believed(scene)
    scene.publisher.trouble()  # what is believed stays so
    renewals = scene.renewals
    scene.add("bcdef", key="full")
    scene.add("gh", key="well")
    assert main.sent == list("abcdefgh")
    for tag in range(2, 7):
        scene.nack(tag, channel=main)
    assert [scene.outcomes.get(name) for name in "bcdef"] == [Outcome.NACKED] * 5
    assert scene.renewals == renewals, "another channel was asked for"
    scene.ack(8, multiple=True, channel=main)
    assert scene.outcomes["g"] is scene.outcomes["h"] is Outcome.CONFIRMED
    scene.wait(RENEW_PAUSE)
    scene.add("i", key="full")
    scene.nack(9, channel=main)
    assert "i" not in scene.outcomes
    scene.wait_for_channel()
    assert scene.sent == "i", "now and then one is tried on a new channel"
    scene.ack(1)
    assert scene.outcomes["i"] is Outcome.CONFIRMED


def test_a_queue_that_takes_messages_again_has_all_patience_again(scene: Scene) -> None:
    scene.add("a")
    refuse_until_believed(scene)
    scene.wait(RENEW_PAUSE)
    scene.attach()
    scene.add("b")
    scene.ack(1)
    scene.add("c")
    scene.nack(2)
    assert "c" not in scene.outcomes


# -- places that wait by themselves


def test_a_place_that_refuses_waits_and_the_others_go_on(scene: Scene) -> None:
    scene.add("ab", key="sick")
    scene.add("cd", key="well")
    assert scene.sent == "ac", "a new channel begins with one of each place"
    scene.nack(1)
    scene.ack(2)
    scene.add("e", key="sick")
    scene.add("f", key="well")
    assert scene.sent == "acdf"
    main = scene.channel
    scene.wait_for_channel()
    assert main.is_open, "answers are still under way there"
    assert scene.sent == "a"
    scene.ack(1)
    assert scene.sent == "abe"
    scene.add("g", key="well")
    assert scene.sent == "abe", "it would overtake what is in flight on the channel before"
    scene.ack(4, multiple=True, channel=main)
    assert scene.sent == "abeg"
    assert not main.is_open


def test_what_is_answered_on_a_channel_that_was_left_ends_as_it_was_answered(scene: Scene) -> None:
    scene.add("a", key="sick")
    scene.add("b", key="well")
    scene.ack(2)
    scene.add("cd", key="well")
    main = scene.channel
    scene.nack(1)
    scene.wait_for_channel()
    scene.ack(1)
    scene.ack(3, channel=main)
    scene.nack(4, channel=main)
    assert [scene.outcomes.get(name) for name in "abcd"] == [Outcome.CONFIRMED] * 3 + [None]
    scene.wait(0.05)
    assert scene.sent[-1] == "d"


def test_what_is_in_flight_when_its_place_refuses_is_waited_for_before_it_is_tried_again(
    scene: Scene,
) -> None:
    scene.add("a")
    scene.ack(1)
    scene.add("bc")
    scene.nack(2)
    scene.wait(0.5)
    assert scene.renewals == 0
    scene.nack(3)
    scene.wait_for_channel()
    assert scene.sent == "b"
    scene.ack(1)
    assert scene.sent == "bc"


def test_a_trial_without_an_answer_is_made_again_on_another_channel_with_growing_patience(
    scene: Scene,
) -> None:
    scene.add("a", key="sick")
    scene.add("b", key="well")
    scene.ack(2)
    began = scene.now
    for silence in (SILENCE, 2 * SILENCE, 4 * SILENCE):
        scene.wait_for_channel()
        assert scene.now - began == pytest.approx(silence, abs=0.02)
        assert scene.sent == "a"
        began = scene.now
    scene.nack(1)
    scene.wait(30.0)
    scene.publisher.expire()
    assert scene.outcomes["a"] is Outcome.UNKNOWN, "it may be there from the first time"
    assert LONGEST_SILENCE > 4 * SILENCE


def test_a_place_that_is_silent_for_hours_is_tried_on_and_on(scene: Scene) -> None:
    scene.add("a", key="sick", deadline=1e6)
    scene.add("b", key="well")
    scene.ack(2)
    scene.wait(1100 * LONGEST_SILENCE)
    assert scene.renewals >= 1100
    assert "a" not in scene.outcomes


def test_a_channel_on_which_nothing_is_answered_is_given_up_and_each_place_is_tried_alone(
    scene: Scene,
) -> None:
    scene.add("ab", key="sick")
    scene.add("cd", key="well")
    stuck = scene.channel
    scene.wait(SILENCE - 0.01)
    assert stuck.is_open
    scene.wait(0.1)
    assert not stuck.is_open
    main, *others = scene.channels
    assert (main.sent, [other.sent for other in others]) == ([], [["a"], ["c"]])
    scene.ack(1, channel=others[1])
    assert main.sent == ["d"]
    scene.ack(1, channel=main)
    scene.add("e", key="well")
    assert main.sent == ["d", "e"]
    assert not others[1].is_open
    assert others[0].is_open


def test_there_are_never_more_channels_than_that(scene: Scene) -> None:
    for number in range(3 * MOST_LANES):
        scene.add("a", key=f"sick {number}")
    scene.wait(4 * SILENCE)
    assert len(scene.publisher.ledger.lanes) <= MOST_LANES


def test_a_place_that_was_cancelled_empty_is_forgotten(scene: Scene) -> None:
    scene.add("a")
    scene.nack(1)
    (entry,) = scene.publisher.ledger
    scene.publisher.ledger.withdraw(entry)
    scene.wait(1.0)
    assert scene.publisher.ledger.held == {}
