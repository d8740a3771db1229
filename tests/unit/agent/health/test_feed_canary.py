"""The canaries' consumer, on channels that are not there."""

from collections.abc import Callable
from dataclasses import dataclass

from rabbitkeeper.agent.health.feed_canary import REPLACED_AFTER, ConsumingChannel, Delivery, FeedCanary
from rabbitkeeper.agent.health.majority_canary import QUEUE


@dataclass(frozen=True)
class Tagged:
    """What comes with a message."""

    delivery_tag: int


class Channel:
    """Records what is asked of it; the test gives the answers."""

    def __init__(self, on_open: Callable[[ConsumingChannel], None]) -> None:
        self.is_open = True
        self.acked: list[int] = []
        self.consumes: str | None = None
        self.on_open = on_open
        self.on_close: Callable[[object, Exception], None] = lambda *_: None
        self.on_cancel: Callable[[object], None] = lambda _: None
        self.on_message: Callable[[object, Delivery, object, bytes], None] = lambda *_: None
        self.begun: Callable[[object], None] = lambda _: None

    def close(self) -> None:
        self.is_open = False

    def add_on_close_callback(self, callback: Callable[[object, Exception], None]) -> None:
        self.on_close = callback

    def add_on_cancel_callback(self, callback: Callable[[object], None]) -> None:
        self.on_cancel = callback

    def basic_qos(self, *, prefetch_count: int, callback: Callable[[object], None]) -> None:
        assert prefetch_count == 1, "ended consumers hold what they have"
        callback(None)

    def basic_consume(
        self,
        queue: str,
        on_message: Callable[[object, Delivery, object, bytes], None],
        *,
        callback: Callable[[object], None],
    ) -> None:
        self.consumes, self.on_message, self.begun = queue, on_message, callback

    def basic_ack(self, delivery_tag: int) -> None:
        self.acked.append(delivery_tag)

    # the broker's answers

    def deliver(self, tag: int) -> None:
        self.on_message(self, Tagged(tag), None, b"canary")

    def close_by_broker(self) -> None:
        self.is_open = False
        self.on_close(self, RuntimeError("(404) no queue"))


class Case:
    is_open = True

    def __init__(self) -> None:
        self.now = 0.0
        self.channels: list[Channel] = []
        self.feed = FeedCanary(self, clock=lambda: self.now)

    def channel(self, *, on_open_callback: Callable[[ConsumingChannel], None]) -> None:
        self.channels.append(Channel(on_open_callback))

    def consuming(self) -> "Case":
        self.feed.confirmed()
        self.channels[-1].on_open(self.channels[-1])
        assert self.channels[-1].consumes == QUEUE
        self.channels[-1].begun(None)
        return self

    def confirmed(self, *at: float) -> None:
        for self.now in at:
            self.feed.confirmed()

    @property
    def counted(self) -> tuple[int, float | None]:
        return self.feed.unfed, self.feed.since


def test_it_consumes_once_the_queue_is_there_and_counts_from_then() -> None:
    case = Case()
    assert not case.channels, "nothing was published yet, and there may be no queue"
    case.confirmed(1.0, 2.0)
    (channel,) = case.channels
    channel.on_open(channel)
    case.confirmed(3.0)
    assert case.counted == (0, None), "it does not consume before the broker has said so"
    channel.begun(None)
    case.confirmed(4.0, 9.0)
    assert case.counted == (2, 4.0)
    assert case.channels == [channel]


def test_a_message_ends_the_count_and_is_acked() -> None:
    case = Case().consuming()
    case.confirmed(4.0, 9.0)
    case.channels[0].deliver(7)
    assert case.counted == (0, None)
    assert case.channels[0].acked == [7]
    case.confirmed(14.0)
    assert case.counted == (1, 14.0)


def test_an_alarm_makes_what_was_counted_void() -> None:
    case = Case().consuming()
    case.confirmed(4.0, 9.0)
    case.feed.blocked()
    assert case.counted == (0, None)


def test_a_consumer_that_the_broker_ends_is_made_again_with_the_next_canary() -> None:
    for end in (Channel.close_by_broker, lambda channel: channel.on_cancel(None)):
        case = Case().consuming()
        case.confirmed(4.0)
        end(case.channels[0])
        assert case.counted == (0, None)
        assert not case.channels[0].is_open
        case.consuming()
        assert len(case.channels) == 2
        case.channels[0].deliver(1)
        assert not case.channels[0].acked, "it is of the past"


def test_what_a_channel_of_the_past_begins_does_not_count() -> None:
    case = Case()
    case.confirmed(1.0)
    first = case.channels[0]
    first.on_open(first)
    first.close_by_broker()
    first.begun(None)
    case.confirmed(2.0, 3.0)
    assert case.counted == (0, None)


def test_one_that_has_starved_for_long_is_replaced_so_that_a_broker_nobody_can_restart_may_serve() -> None:
    case = Case().consuming()
    case.confirmed(10.0, 10.0 + REPLACED_AFTER - 0.1)
    assert case.counted == (2, 10.0)
    case.confirmed(10.0 + REPLACED_AFTER)
    assert not case.channels[0].is_open
    assert case.counted == (0, None)
    assert len(case.channels) == 2
