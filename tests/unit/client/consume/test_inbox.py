"""The inbox: what users take, and how they hear of the end."""

import queue
import threading

import pytest

from rabbitkeeper.client.amqp.decoding import Delivery
from rabbitkeeper.client.consume.acknowledger import Acknowledger
from rabbitkeeper.client.consume.inbox import Inbox
from rabbitkeeper.client.model.errors import RabbitKeeperError


class Channel:
    """Notes what is answered."""

    def __init__(self) -> None:
        self.is_open = True
        self.given_back: list[int] = []

    def ack(self, tag: int, *, multiple: bool) -> None: ...

    def nack(self, tag: int, *, requeue: bool) -> None:
        raise AssertionError("that would count towards a delivery limit")

    def give_back(self, tag: int) -> None:
        self.given_back.append(tag)


def acknowledger(channel: Channel) -> Acknowledger:
    """One that answers at once."""
    return Acknowledger(channel, 10, post=lambda call: call(), call_later=lambda _, call: call())


def deliveries(*tags: int) -> list[Delivery]:
    return [(tag, False, b"", b"", b"") for tag in tags]


def test_what_a_lost_channel_had_delivered_is_dropped() -> None:
    inbox, lost, open_ = Inbox(), Channel(), Channel()
    inbox.put(acknowledger(lost), deliveries(1, 2))
    inbox.put(acknowledger(open_), deliveries(1))
    lost.is_open = False
    taken = inbox.take(0)
    assert taken is not None
    assert taken[1] == deliveries(1)[0]
    with pytest.raises(queue.Empty):
        inbox.take(0)


def test_what_is_given_back_is_answered_and_the_end_stays() -> None:
    inbox, channel = Inbox(), Channel()
    answers = acknowledger(channel)
    answers.delivered(2)
    inbox.put(answers, deliveries(1, 2))
    inbox.end(None)
    inbox.give_back()
    assert channel.given_back == [1, 2]
    assert inbox.take(0) is None


@pytest.mark.parametrize("other", [None, RabbitKeeperError("late")])
def test_the_first_end_counts_for_everybody_who_asks(other: RabbitKeeperError | None) -> None:
    inbox = Inbox()
    inbox.end(None)
    inbox.end(other)
    assert [inbox.take(0) for _ in range(3)] == [None, None, None]


def test_one_read_wakes_as_many_threads_as_it_has_messages_for() -> None:
    inbox, answers = Inbox(), acknowledger(Channel())
    taken: queue.SimpleQueue[int] = queue.SimpleQueue()

    def work() -> None:
        while (item := inbox.take(20)) is not None:
            taken.put(item[1][0])

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    expected = 0
    for size in (1, 3, 4, 9, 1000):
        inbox.put(answers, deliveries(*range(expected + 1, expected + size + 1)))
        expected += size
        found = {taken.get(timeout=20) for _ in range(size)}
        assert found == set(range(expected - size + 1, expected + 1))
    inbox.end(None)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_who_has_not_waited_long_enough_does_not_keep_others_from_being_woken() -> None:
    inbox, answers = Inbox(), acknowledger(Channel())
    for _ in range(3):
        with pytest.raises(queue.Empty):
            inbox.take(0.001)
    got: list[int] = []

    def work() -> None:
        item = inbox.take(20)
        got.append(0 if item is None else item[1][0])

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    inbox.put(answers, deliveries(7))
    thread.join(20)
    assert got == [7]
    assert not inbox._waiting


def test_what_came_before_the_end_is_taken_before_it() -> None:
    inbox = Inbox()
    inbox.put(acknowledger(Channel()), deliveries(1))
    inbox.end(RabbitKeeperError("gone"))
    assert inbox.take(None) is not None
    for _ in range(2):
        with pytest.raises(RabbitKeeperError, match="gone"):
            inbox.take(None)
