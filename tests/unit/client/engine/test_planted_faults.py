"""Faults that are planted in the client, each of which the histories find.

What finds nothing in a client that is well shows nothing, if it finds nothing in one that is not.
"""

from collections.abc import Callable
from typing import Any

import pytest
from simulation.histories.history import by_chance, play
from support.planting import Plant, instead, nothing

from rabbitkeeper.client.amqp.delivery_tracker import DeliveryTracker
from rabbitkeeper.client.consume.acknowledger import Acknowledger
from rabbitkeeper.client.consume.feed import Feed
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.stream import StreamPosition, StreamReading
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.consume.taker import Taker
from rabbitkeeper.client.declare.declarer import Declarer
from rabbitkeeper.client.engine.connections import Connections
from rabbitkeeper.client.engine.consumer_watch import ConsumerWatch
from rabbitkeeper.client.engine.other_members import OtherMembers
from rabbitkeeper.client.engine.subscriptions import Subscriptions
from rabbitkeeper.client.publish.elsewhere import Elsewhere
from rabbitkeeper.client.publish.entry import Entry, Place
from rabbitkeeper.client.publish.future import PublishFuture
from rabbitkeeper.client.publish.lane import Lane
from rabbitkeeper.client.publish.ledger import Ledger
from rabbitkeeper.client.publish.publisher import Publisher
from rabbitkeeper.client.publish.routes import Routes
from rabbitkeeper.client.publish.silence import Silence
from rabbitkeeper.client.publish.trials import Trials
from rabbitkeeper.client.publishing import Publishing
from rabbitkeeper.client.routing.switch import Order, Switch

ENOUGH = 800  # histories in which each fault is found, most of them in the first few


def both(*plants: Plant) -> Plant:
    """The one mends what the other does."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        for one in plants:
            one(patch)

    return plant


def ignore_a_loss_while_moving(
    right: Callable[..., list[Order]], switch: Switch, *given: Any, **named: Any
) -> list[Order]:
    return [] if switch.is_moving else right(switch, *given, **named)


def ignore_the_epoch(
    right: Callable[..., list[Order]], switch: Switch, targets: Any, now: float
) -> list[Order]:
    switch.targets = type(targets)(0, switch.targets.leader, switch.targets.members)
    return right(switch, targets, now)


def settle_twice(
    right: Callable[..., list[Entry]], lane: "Lane[Entry]", tag: int, *, multiple: bool
) -> list[Entry]:
    settled = right(lane, tag, multiple=multiple)
    return settled + settled[-1:]


def confirm_one_of_many(
    right: Callable[..., list[Entry]], lane: "Lane[Entry]", tag: int, *, multiple: bool
) -> list[Entry]:
    return right(lane, tag, multiple=False)


def confirm_too_many(
    right: Callable[..., list[Entry]], lane: "Lane[Entry]", tag: int, *, multiple: bool
) -> list[Entry]:
    return right(lane, tag, multiple=True)


def rewind_backwards(right: Callable[..., None], ledger: "Ledger[Entry]") -> None:
    right(ledger)
    ledger.pending.reverse()


def forget_in_flight(right: Callable[..., None], ledger: "Ledger[Entry]") -> None:
    for lane in ledger.lanes:
        lane.in_flight.clear()
    right(ledger)


def forget_who_waits(_right: Callable[..., None], ledger: "Ledger[Entry]", place: Place) -> None:
    ledger.held.pop(place, None)


def overtake_the_lane_that_was_left(
    right: Callable[..., Any], ledger: "Ledger[Entry]", lane: "Lane[Entry]"
) -> Any:
    held = list(ledger.held)
    before = right(ledger, lane)
    for place in set(ledger.held) - set(held):
        del ledger.held[place]
    return before


def close_the_lane_that_was_left(
    right: Callable[..., Any], ledger: "Ledger[Entry]", lane: "Lane[Entry]"
) -> Any:
    """As if all that is under way there were refused."""
    before = right(ledger, lane)
    if before is not None:
        attempts = [(entry, entry.unanswered) for entry in before]
        before.channel.close()
        ledger.end_lane(before, 0.0)
        for entry, unanswered in attempts:
            entry.unanswered = unanswered
    return before


def wait_for_ever(right: Callable[..., None], silence: "Silence[Entry]", *given: Any, **named: Any) -> None:
    right(silence, *given, **named)
    silence._call_later = lambda *_: None


def forget_what_was_lost(right: Callable[..., None], entry: Entry, closed_over: str | None) -> None:
    """Whatever is refused later was never there."""


def forget_routes(_right: Callable[..., None], routes: Routes, member: str) -> None:
    routes.member = member


def forget_what_was_asked(right: Callable[..., None], elsewhere: "Elsewhere[Entry]", member: str) -> None:
    asked = [entry for lane in elsewhere._ledger.lanes if lane.elsewhere is not None for entry in lane]
    right(elsewhere, member)
    for entry in asked:
        entry.unanswered = 0


def expire_late(right: Callable[..., Any], ledger: "Ledger[Entry]", now: float) -> Any:
    return right(ledger, now - 0.5)


def declare_until_the_first_failure(right: Callable[..., None], declarer: Declarer, *given: Any) -> None:
    right(declarer, *given)
    declarer._jobs.keep(lambda _: False)


def ack_beyond_a_gap(
    right: Callable[[DeliveryTracker], list[tuple[int, bool]]], tracker: DeliveryTracker
) -> list[tuple[int, bool]]:
    acks = right(tracker)
    return [(max(tag for tag, _ in acks), True)] if acks else []


def ack_twice(right: Callable[[Acknowledger], None], acknowledger: Acknowledger) -> None:
    waiting = list(acknowledger._acked)
    right(acknowledger)
    for tag in waiting:
        acknowledger.channel.ack(tag, multiple=False)


def lose_what_was_delivered(right: Callable[..., None], reading: StreamReading, *given: Any) -> None:
    right(reading, *given)
    reading._inbox.keeps_lost = False


def publish_carelessly(_right: Callable[..., Any], publishing: Publishing, *given: Any) -> Any:
    future = publishing.prepare(*given)
    publishing.window.acquire_now(future.size)
    publishing.engine.publish((future,))
    return future


def hand_over_carelessly(
    _right: Callable[..., None], publishing: Publishing, futures: list[PublishFuture], _timeout: float
) -> None:
    publishing.window.acquire([future.size for future in futures], futures[0].deadline)
    publishing.engine.publish(futures)


def take_carelessly(
    _right: Callable[..., Message | None], taker: Taker, timeout: float | None
) -> Message | None:
    taken = taker._take(timeout)
    return None if taken is None else Message(taken[1], taker._queue_name, taken[0])


def ack_carelessly(_right: Callable[..., None], message: Message) -> None:
    if not message.answered:
        message.answered = True
        message._acknowledger.ack(message.delivery_tag)


def stay_blocked(right: Callable[..., None], publisher: "Publisher[Entry]", *given: Any) -> None:
    publisher.blocked = publisher.blocked or "once"
    right(publisher, *given)


FAULTS: dict[str, Plant] = {
    "the ledger does not send again what was in flight": instead(Ledger, "rewind", forget_in_flight),
    "the ledger sends again in the wrong order": instead(Ledger, "rewind", rewind_backwards),
    "the ledger settles twice": instead(Lane, "confirmed", settle_twice),
    "the ledger takes one confirm for all up to it": instead(Lane, "confirmed", confirm_too_many),
    "the ledger takes a confirm of many for one": instead(Lane, "confirmed", confirm_one_of_many),
    "the ledger does not see what came back": instead(Lane, "returned", nothing),
    "what may be there is told to be refused": instead(
        Entry, "if_refused", lambda _right, _entry, told, *_why: told
    ),
    "the ledger looks at deadlines too late": instead(Ledger, "expire", expire_late),
    "what waits for a place is forgotten when that is well": instead(Ledger, "release", forget_who_waits),
    "a channel that was left is not closed": instead(Ledger, "close_idle", nothing),
    "what is in flight on a channel that was left is overtaken": instead(
        Ledger, "promote", overtake_the_lane_that_was_left
    ),
    "a channel is closed over a nack with answers under way": instead(
        Ledger, "promote", close_the_lane_that_was_left
    ),
    "a channel that is stuck is waited for": instead(Silence, "__init__", wait_for_ever),
    "what came back is not sent again when the topology is there": instead(
        Trials, "release_returned", nothing
    ),
    "what was lost with its channel is forgotten": instead(Entry, "left_unanswered", forget_what_was_lost),
    "a member that knows no queue is believed, though another took messages for the place": instead(
        Routes, "elsewhere", nothing
    ),
    "what the next leader says is believed of places that were well before the move": instead(
        Routes, "moved_to", forget_routes
    ),
    "what a member that was asked has not answered was never there": instead(
        Elsewhere, "give_up", forget_what_was_asked
    ),
    "the connection over which a member was asked is not closed": instead(OtherMembers, "_look", nothing),
    "the publisher stays blocked after a switch": instead(Publisher, "attach", stay_blocked),
    "the switch ignores a connection that is lost while moving": instead(
        Switch, "failed", ignore_a_loss_while_moving
    ),
    "the switch takes an older epoch": instead(Switch, "view", ignore_the_epoch),
    "a connection that was left is not closed": instead(Connections, "retire", nothing),
    "a renewed channel is not used": instead(Connections, "renew_publishing", nothing),
    "subscriptions do not follow": instead(Subscriptions, "attach", nothing),
    "a lost consumer is not started again": both(
        instead(Subscription, "_lost", nothing), instead(Subscription, "check", nothing)
    ),
    "a queue that went with its consumer is not declared again": instead(Declarer, "declare_again", nothing),
    "a consumer that is not fed is not noticed": instead(ConsumerWatch, "_answered", nothing),
    "a consumer that is not fed is not replaced": instead(Subscription, "replace", nothing),
    "two consumers are left where one was": instead(Feed, "end", lambda _right, _feed, _one, then: then()),
    "a consumer that was dropped goes on": instead(Subscription, "cancel", nothing),
    "the declarer stops after one failure": instead(Declarer, "_refused", declare_until_the_first_failure),
    "acks are sent for what is not answered": instead(DeliveryTracker, "flush", ack_beyond_a_gap),
    "a declaration that ends the connection is sent again over the next": instead(Declarer, "ended", nothing),
    "acks are sent twice": instead(Acknowledger, "flush", ack_twice),
    "a reader of a stream gets again what it has had": instead(
        StreamPosition, "is_new", lambda _right, _position, _delivery: True
    ),
    "what lies untaken is passed over by the next reader of a stream": instead(
        StreamPosition, "rewind", nothing
    ),
    "who has got nothing of a stream begins with what comes next again": instead(
        StreamPosition, "was_taken_on", nothing
    ),
    "what a stream has delivered goes back with its channel": instead(
        StreamReading, "_begin", lose_what_was_delivered
    ),
    "who is interrupted in a publish keeps its room": instead(Publishing, "publish", publish_carelessly),
    "who is interrupted in a publish of many keeps their room": instead(
        Publishing, "_hand_over", hand_over_carelessly
    ),
    "a message whose taker is interrupted is lost": instead(Taker, "get", take_carelessly),
    "an answer that was interrupted counts as given": instead(Message, "ack", ack_carelessly),
    "a consumer that has no answer is waited for": instead(Subscription, "_await_answer", nothing),
    "nothing is declared while publishers are blocked": instead(Declarer, "blocked", nothing),
    "what the broker closes channel after channel over is not tried by itself": instead(
        Trials, "suspect", nothing
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[fault](monkeypatch)
    with pytest.raises((AssertionError, KeyError)):  # or the client itself fails over it
        play_many()


def play_many() -> None:
    for seed in range(ENOUGH):
        play(by_chance(seed), seed)
