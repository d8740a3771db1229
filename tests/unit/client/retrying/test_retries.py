"""Messages that a function fails over: they wait, come again, and are never lost, whatever brokers do."""

from typing import Any

import pytest
from simulation.async_client import AsyncScene, play

from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.backoff import Backoff
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.model.events import DeclarationFailed, HandlerFailed
from rabbitkeeper.client.model.topology import Queue


class Worker:
    """A function that fails over each message so often, and remembers what it was called with."""

    def __init__(self, failures: int) -> None:
        self.seen: list[Message] = []
        self.done: list[str] = []
        self._failures = failures
        self._counts: dict[str, int] = {}

    async def __call__(self, message: Message) -> None:
        name = str(message.message_id)
        self.seen.append(message)
        self._counts[name] = self._counts.get(name, 0) + 1
        if self._counts[name] <= self._failures:
            raise KeyError(name)
        self.done.append(name)


def test_a_message_comes_again_after_each_delay_as_it_was_and_counts_its_attempts() -> None:
    async def script(scene: AsyncScene) -> None:
        worker = Worker(2)
        workers = scene.client.on_message("orders", worker, dedupe=100, retry=Backoff(1, 5, 30))
        properties = BasicProperties(
            headers={"a": 1, "CC": ["other"]},
            expiration="60000",
            priority=3,
            user_id="app",
            correlation_id="c",
        )
        receipt = await scene.client.publish("", "orders", b"body", properties)
        began = scene.simulation.time.now
        await scene.until(lambda: worker.done)
        assert 6.0 <= scene.simulation.time.now - began < 9.0
        first, *_, last = worker.seen
        assert [message.attempt for message in worker.seen] == [1, 2, 3]
        assert [message.retries for message in worker.seen] == [0, 1, 2]
        assert {message.message_id for message in worker.seen} == {receipt.message_id}
        assert (last.body, last.exchange, last.routing_key) == (b"body", "", "orders")
        assert (last.properties.priority, last.properties.correlation_id) == (3, "c")
        assert (last.properties.expiration, last.properties.user_id) == (None, None)
        assert last.headers["a"] == 1
        assert "CC" in first.headers
        assert "CC" not in last.headers
        assert len([event for event in scene.events if isinstance(event, HandlerFailed)]) == 2
        await scene.until(lambda: scene.cluster.kept == set())
        await workers.stop()

    play(script)


def test_where_a_message_was_published_to_is_kept() -> None:
    async def script(scene: AsyncScene) -> None:
        scene.simulation.fanout("news", "orders")
        worker = Worker(1)
        scene.client.on_message("orders", worker, retry=Backoff(0.5))
        await scene.client.publish("news", "a.b", b"")
        await scene.until(lambda: worker.done)
        assert [(one.exchange, one.routing_key) for one in worker.seen] == [("news", "a.b")] * 2

    play(script)


def test_after_its_last_try_a_message_is_rejected() -> None:
    async def script(scene: AsyncScene) -> None:
        await scene.client.declare(
            Queue("dead"),
            Queue("mortal", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}),
        )
        worker = Worker(10)
        scene.client.on_message("mortal", worker, retry=Backoff(0.1, 0.2))
        await scene.client.publish("", "mortal", b"")
        await scene.until(lambda: scene.cluster.queues["dead"].ready)
        assert [message.attempt for message in worker.seen] == [1, 2, 3]

    play(script)


def test_no_message_is_lost_when_brokers_die_meanwhile() -> None:
    async def script(scene: AsyncScene) -> None:
        worker = Worker(2)
        scene.client.on_message("orders", worker, workers=4, retry=Backoff(0.3, 0.5))
        outcomes = await scene.client.publish_many([("", "orders", b"%d" % number) for number in range(100)])
        names = {outcome.message_id for outcome in outcomes}  # type: ignore[union-attr]
        await scene.until(lambda: len(worker.seen) >= 150)
        scene.cluster.kill("a")
        await scene.until(lambda: set(worker.done) == names)
        await scene.until(lambda: scene.cluster.kept == set())

    play(script)


def test_a_message_whose_wait_queue_does_not_take_it_is_given_back_and_waits_in_another() -> None:
    async def script(scene: AsyncScene) -> None:
        worker = Worker(2)
        scene.client.on_message("orders", worker, retry=Backoff(0.3, 0.3))
        await scene.until(lambda: "orders.retry.300" in scene.cluster.queues)
        scene.cluster.queues["orders.retry.300"].lose_leader(1e6)  # declared while a node was killed
        receipt = await scene.client.publish("", "orders", b"")
        await scene.until(lambda: worker.done)
        assert scene.journal.stored["orders.retry.300"] == []
        assert scene.journal.stored["orders.retry.300.2"] == [receipt.message_id]
        await scene.until(lambda: scene.cluster.kept == set())

    play(script)


def test_without_a_wait_queue_a_message_goes_back_at_once_and_that_is_told() -> None:
    async def script(scene: AsyncScene) -> None:
        for number in ("", ".2", ".3", ".4"):
            name = f"orders.retry.300{number}"
            scene.cluster.refusals[name] = ChannelLost(406, "PRECONDITION_FAILED - other arguments")
        worker = Worker(2)
        scene.client.on_message("orders", worker, retry=Backoff(0.3))
        await scene.client.publish("", "orders", b"")
        await scene.until(lambda: worker.done)
        assert [message.retries for message in worker.seen] == [0, 0, 0]
        assert [event.entity for event in scene.events if isinstance(event, DeclarationFailed)]

    play(script)


@pytest.mark.parametrize(("version", "is_native"), [((4, 3), True), ((4, 2), False)])
def test_a_queue_that_waits_by_itself_gets_the_message_back_where_the_broker_can_do_it(
    version: tuple[int, int], is_native: bool
) -> None:
    async def script(scene: AsyncScene) -> None:
        scene.behind.engine.broker_version = version
        backoff = Backoff(0.2, 0.4)
        await scene.client.declare(Queue("own", arguments=backoff.queue_arguments()))
        worker = Worker(1)
        scene.client.on_message("own", worker, retry=backoff)
        receipt = await scene.client.publish("", "own", b"")
        await scene.until(lambda: worker.done)
        waited = [name for name in ("own.retry.200", "own.retry.400") if scene.journal.stored[name]]
        assert waited == ([] if is_native else ["own.retry.200"])
        assert worker.done == [receipt.message_id]

    play(script)


@pytest.mark.parametrize(
    ("queue", "options", "what"),
    [
        ("orders", {"retry": 5}, "retry 5 is not valid: use Backoff"),
        ("orders", {"on_error": "reject"}, "on_error is given with retry"),
        ("orders", {"no_ack": True}, "no_ack is given with retry"),
        (Queue("", exclusive=True), {}, "what waits must find its queue again"),
        (Queue("log", type="stream"), {}, "what waits must find its queue again"),
        ("o" * 250, {}, "the name of a wait queue"),
    ],
)
def test_what_retries_do_not_go_with_is_refused(
    queue: str | Queue, options: dict[str, Any], what: str
) -> None:
    async def script(scene: AsyncScene) -> None:
        declared = list(scene.cluster.queues)
        with pytest.raises(InvalidArgument, match=what):
            scene.client.on_message(queue, Worker(0), **{"retry": Backoff(1), **options})
        assert list(scene.cluster.queues) == declared

    play(script)
