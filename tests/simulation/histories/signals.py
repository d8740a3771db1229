"""Signals in a history: exceptions that a handler raises, out of whatever line of a user's call."""

import queue
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from support.interrupting import interrupted

from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.model.errors import RabbitKeeperError
from rabbitkeeper.client.publish.future import PublishFuture
from simulation.histories.places import PLACES
from simulation.histories.steps import MOST_OPEN, TIMEOUTS, Player

LINES, STEP = 70, 6  # a publish has fewer lines; every sixth of them is tried in one step
ANSWER_LINES = 12


def interrupt_publishing(player: Player, choice: int) -> None:
    """A signal's exception comes out of a publish. What was handed over then ends as all else does."""
    client = player.simulation.client
    if client.publishing.unconfirmed + 2 * LINES > MOST_OPEN:
        return
    engine, handed_over = client.engine, list[PublishFuture]()
    hand_over = engine.publish

    def note(futures: Iterable[PublishFuture]) -> None:
        futures = list(futures)
        handed_over.extend(futures)
        hand_over(futures)

    exchange, key = list(PLACES)[choice % len(PLACES)]
    publishing, timeout = client.publishing, TIMEOUTS[choice % 4]
    engine.publish = note  # type: ignore[method-assign, assignment]
    try:
        for line in range(choice // 2 % STEP, LINES, STEP):
            call: Callable[[], object]
            if choice % 2:
                call = partial(publishing.publish, exchange, key, b"1", None, True, timeout)
            else:
                some = [publishing.prepare(exchange, key, b"1", None, True, timeout) for _ in range(2)]
                call = partial(publishing._hand_over, some, timeout)
            interrupted(call, line)
    finally:
        del engine.publish
    for future in handed_over:
        client.futures.append(future)
        player.on_publish(future)


def interrupt_taking(player: Player, choice: int) -> None:
    """A signal's exception comes out of a call that takes a message; the next call takes it."""
    for subscription in player.subscriptions:
        messages: list[Message] = []

        def take(subscription: Subscription = subscription, messages: list[Message] = messages) -> None:
            message = subscription.get(0)
            if message is not None:
                messages.append(message)

        with suppress(queue.Empty, RabbitKeeperError):
            interrupted(take, choice % 40)
        player.took(subscription, messages)


def interrupt_answering(player: Player, choice: int) -> None:
    """A signal's exception comes out of an answer, which is given again."""
    for subscription in player.subscriptions:
        with suppress(RabbitKeeperError):
            player.took(subscription, player.simulation.client.take(subscription))
    for number, message in enumerate(player.in_hand):
        name = str(message.message_id)
        if choice % 3:
            player.acked.add(name)
            interrupted(message.ack, (choice + number) % ANSWER_LINES)
            message.ack()
        else:
            player.given_up.add(name)
            interrupted(message.reject, (choice + number) % ANSWER_LINES)
            message.reject()
    player.in_hand.clear()
