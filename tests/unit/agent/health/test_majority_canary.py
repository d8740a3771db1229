"""The majority canary's attempts, on connections and channels that are not there."""

from collections.abc import Callable
from dataclasses import dataclass

import pika

from rabbitkeeper.agent.health import channel as of_pika
from rabbitkeeper.agent.health.channel import Frame
from rabbitkeeper.agent.health.majority_canary import (
    QUEUE,
    RETRY_AFTER_ANSWER,
    RETRY_AFTER_SILENCE,
    CanaryChannel,
    MajorityCanary,
)


class Timer:
    def __init__(self) -> None:
        self.now = 0.0
        self._planned: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self._planned.append((self.now + delay, callback))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [plan for plan in self._planned if plan[0] <= end + 1e-9]:
            plan = min(due, key=lambda plan: plan[0])
            self._planned.remove(plan)
            self.now = plan[0]
            plan[1]()
        self.now = end


@dataclass(frozen=True)
class Said:
    """A frame of the broker's."""

    method: object


class Channel:
    """Records what is asked of it; the test gives the answers."""

    def __init__(self, on_open: Callable[["Channel"], None]) -> None:
        self.is_open = True
        self.published = 0
        self.declared: dict[str, object] | None = None
        self._on_open = on_open
        self._on_declared: Callable[[object], None] = lambda _: None
        self._on_confirm: Callable[[Frame], None] = lambda _: None
        self._on_return: Callable[..., None] = lambda *_: None
        self._on_close: Callable[[of_pika.Channel, Exception], None] = lambda *_: None

    def add_on_close_callback(self, callback: Callable[[of_pika.Channel, Exception], None]) -> None:
        self._on_close = callback

    def add_on_return_callback(self, callback: Callable[..., None]) -> None:
        self._on_return = callback

    def confirm_delivery(
        self, on_confirm: Callable[[Frame], None], callback: Callable[[object], None]
    ) -> None:
        self._on_confirm = on_confirm
        callback(None)

    def basic_publish(
        self, exchange: str, key: str, body: bytes, properties: pika.BasicProperties, mandatory: bool
    ) -> None:
        assert (exchange, key, properties.delivery_mode, mandatory) == ("", QUEUE, 2, True)
        self.published += 1

    def basic_qos(self, *, prefetch_count: int, callback: Callable[[object], None]) -> None:
        raise AssertionError("a canary consumes nothing")

    def queue_declare(
        self, queue: str, callback: Callable[[object], None] | None = None, **arguments: object
    ) -> None:
        assert queue == QUEUE
        assert callback is not None
        self.declared = arguments
        self._on_declared = callback

    def close(self) -> None:
        self.is_open = False

    # the broker's answers

    def open(self) -> "Channel":
        self._on_open(self)
        return self

    def ack(self) -> None:
        self._confirm(pika.spec.Basic.Ack())

    def nack(self) -> None:
        self._confirm(pika.spec.Basic.Nack())

    def give_back(self) -> None:
        self._on_return(self, None, None, b"")
        self.ack()

    def declare_ok(self) -> None:
        self._on_declared(None)

    def close_by_broker(self) -> None:
        self.is_open = False
        self._on_close(self, RuntimeError("(404) no queue"))

    def _confirm(self, method: object) -> None:
        self._on_confirm(Said(method))


class Connection:
    is_open = True

    def __init__(self) -> None:
        self.channels: list[Channel] = []

    def channel(self, on_open_callback: Callable[[Channel], None]) -> Channel:
        self.channels.append(Channel(on_open_callback))
        return self.channels[-1]


class Case:
    def __init__(self, connection: Connection | None, kept: CanaryChannel | None = None) -> None:
        self.timer = Timer()
        self.confirmed: list[int] = []
        self.canary = MajorityCanary(
            connection,
            call_later=self.timer.call_later,
            on_confirmed=self.confirmed.append,
            kept=kept,
        )
        self.timer.run(0)


def test_the_first_confirm_ends_it() -> None:
    connection = Connection()
    case = Case(connection)
    channel = connection.channels[0].open()
    assert channel.published == 1
    channel.ack()
    assert case.confirmed == [1]
    case.timer.run(10)
    assert len(connection.channels) == 1


def test_a_channel_that_works_is_kept_for_the_next_canary() -> None:
    connection = Connection()
    first = Case(connection)
    connection.channels[0].open().ack()
    second = Case(connection, first.canary.kept)
    assert connection.channels[0].published == 2
    connection.channels[0].ack()
    assert (first.confirmed, second.confirmed) == ([1], [1])
    assert len(connection.channels) == 1


def test_a_kept_channel_that_is_nacked_is_given_up() -> None:
    connection = Connection()
    first = Case(connection)
    kept = connection.channels[0].open()
    kept.ack()
    second = Case(connection, first.canary.kept)
    kept.nack()
    assert not kept.is_open
    second.timer.run(RETRY_AFTER_ANSWER)
    connection.channels[1].open().ack()
    assert second.confirmed == [2]


def test_silence_on_a_kept_channel_is_not_waited_for() -> None:
    connection = Connection()
    first = Case(connection)
    kept = connection.channels[0].open()
    kept.ack()
    second = Case(connection, first.canary.kept)
    second.timer.run(RETRY_AFTER_SILENCE)
    connection.channels[1].open().ack()
    assert second.confirmed == [2]
    assert not kept.is_open, "a late answer to this canary must not be taken for one to the next"


def test_a_kept_channel_that_was_closed_meanwhile_is_not_used() -> None:
    connection = Connection()
    first = Case(connection)
    connection.channels[0].open().ack()
    connection.channels[0].close_by_broker()
    second = Case(connection, first.canary.kept)
    connection.channels[1].open().ack()
    assert second.confirmed == [1]


def test_each_nack_is_followed_by_a_new_channel() -> None:
    connection = Connection()
    case = Case(connection)
    for attempt in range(5):
        connection.channels[attempt].open().nack()
        assert not connection.channels[attempt].is_open
        case.timer.run(RETRY_AFTER_ANSWER)
    connection.channels[5].open().ack()
    assert case.confirmed == [6]


def test_silence_is_not_waited_for_and_a_late_answer_counts() -> None:
    connection = Connection()
    case = Case(connection)
    first = connection.channels[0].open()
    case.timer.run(RETRY_AFTER_SILENCE)
    second = connection.channels[1].open()
    assert first.is_open
    first.ack()
    assert case.confirmed == [2]
    assert first.is_open
    assert not second.is_open


def test_not_too_many_attempts_are_open() -> None:
    connection = Connection()
    case = Case(connection)
    for number in range(30):
        connection.channels[number].open()
        case.timer.run(RETRY_AFTER_SILENCE)
    assert sum(channel.is_open for channel in connection.channels) <= 8
    connection.channels[-1].open().ack()
    assert len(case.confirmed) == 1


def test_a_queue_that_is_not_there_is_declared_and_its_return_is_no_confirm() -> None:
    connection = Connection()
    case = Case(connection)
    channel = connection.channels[0].open()
    channel.give_back()
    assert case.confirmed == []
    assert channel.declared is not None
    assert channel.declared["durable"] is True
    assert isinstance(arguments := channel.declared["arguments"], dict)
    assert arguments["x-queue-type"] == "quorum"
    channel.declare_ok()
    assert channel.published == 2
    channel.ack()
    assert case.confirmed == [1]


def test_a_channel_closed_by_the_broker_is_replaced() -> None:
    connection = Connection()
    case = Case(connection)
    connection.channels[0].open().close_by_broker()
    assert "404" in case.canary.last_answer
    case.timer.run(RETRY_AFTER_ANSWER)
    connection.channels[1].open().ack()
    assert case.confirmed == [2]


def test_it_goes_on_when_there_is_a_connection_again() -> None:
    case = Case(None)
    assert case.canary.last_answer == "no connection to the broker"
    connection = Connection()
    case.canary.moved(connection)
    case.timer.run(0)
    connection.channels[0].open().ack()
    assert case.confirmed == [1]


def test_what_is_given_up_says_no_more() -> None:
    connection = Connection()
    case = Case(connection)
    channel = connection.channels[0].open()
    case.canary.end()
    assert not channel.is_open
    channel.ack()
    assert case.confirmed == []
