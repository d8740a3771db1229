"""Publishing with ``await``: outcomes, the window, and tasks that are cancelled at any moment."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from simulation.async_client import AsyncScene, cancelled_after, play

from rabbitkeeper.client.aio.publishing import AT_ONCE, TURN, PublishHandle
from rabbitkeeper.client.model.errors import (
    Blocked,
    Closed,
    InvalidArgument,
    PublishInterrupted,
    RabbitKeeperError,
    Unroutable,
)
from rabbitkeeper.client.model.events import CancelledPublish
from rabbitkeeper.client.publish.future import Receipt

Outcomes = list[Receipt | RabbitKeeperError]


def test_a_publish_is_awaited_for_its_receipt() -> None:
    async def script(scene: AsyncScene) -> None:
        receipt = await scene.client.publish("", "orders", b"1")
        assert scene.simulation.stored() == [receipt.message_id]
        with pytest.raises(Unroutable):
            await scene.client.publish("", "nowhere", b"1")
        with pytest.raises(InvalidArgument):
            await scene.client.publish("", "orders", "text")  # type: ignore[arg-type]

    play(script)


def test_what_is_handed_over_keeps_its_order_and_is_awaited_later_and_again() -> None:
    async def script(scene: AsyncScene) -> None:
        handles = [await scene.client.publish_nowait("", "orders", b"%d" % number) for number in range(300)]
        assert not handles[-1].done()
        for look in (handles[-1].result, handles[-1].exception):
            with pytest.raises(asyncio.InvalidStateError):
                look()
        last = await handles[-1]
        assert await handles[-1] == last == handles[-1].result()
        receipts = await asyncio.gather(*handles)
        assert scene.simulation.stored() == [receipt.message_id for receipt in receipts]
        refused = await scene.client.publish_nowait("", "nowhere", b"1")
        await asyncio.wait({asyncio.ensure_future(refused)})
        assert handles[0].exception() is None
        assert isinstance(refused.exception(), Unroutable)

    play(script)


def test_callbacks_of_a_publish_are_called_on_the_event_loop() -> None:
    async def script(scene: AsyncScene) -> None:
        called: list[PublishHandle] = []
        handle = await scene.client.publish_nowait("", "orders", b"1")
        handle.add_done_callback(called.append)
        removed = called.append
        handle.add_done_callback(removed)
        assert handle.remove_done_callback(removed) == 2
        handle.add_done_callback(called.append)
        done, pending = await asyncio.wait({asyncio.ensure_future(handle)})
        assert (len(done), pending) == (1, set())
        await scene.until(lambda: called == [handle])
        handle.add_done_callback(called.append)
        assert called == [handle]
        await scene.until(lambda: called == [handle, handle])

    play(script)


def test_many_messages_have_their_outcomes_in_order() -> None:
    def given() -> Iterator[tuple[str, str, bytes]]:
        yield from (("", "orders", b"%d" % number) for number in range(200))
        yield "", "nowhere", b"1"
        yield "", "orders", 7  # type: ignore[misc]
        yield "", "orders", b"last"

    async def later() -> AsyncIterator[tuple[str, str, bytes]]:
        for message in given():
            await asyncio.sleep(0)
            yield message

    async def script(scene: AsyncScene) -> None:
        for messages in (given(), list(given()), later()):
            outcomes = await scene.client.publish_many(messages)
            kinds = [type(outcome) for outcome in outcomes]
            assert kinds == [Receipt] * 200 + [Unroutable, InvalidArgument, Receipt]
        assert len(scene.simulation.stored()) == 3 * 201

    play(script, window=50)


def test_messages_that_end_in_an_error_have_the_outcomes_of_those_before() -> None:
    async def broken() -> AsyncIterator[tuple[str, str, bytes]]:
        yield "", "orders", b"1"
        raise KeyError("gone")

    async def script(scene: AsyncScene) -> None:
        with pytest.raises(PublishInterrupted) as caught:
            await scene.client.publish_many(broken())
        assert [type(outcome) for outcome in caught.value.outcomes] == [Receipt]
        assert isinstance(caught.value.__cause__, KeyError)

    play(script)


def test_the_loop_is_woken_for_many_outcomes_at_once() -> None:
    async def script(scene: AsyncScene) -> None:
        loop = asyncio.get_running_loop()
        wakes = 0
        wake = loop.call_soon_threadsafe

        def count(*arguments: object) -> object:
            nonlocal wakes
            wakes += 1
            return wake(*arguments)  # type: ignore[arg-type]

        loop.call_soon_threadsafe = count  # type: ignore[method-assign,assignment]
        await asyncio.gather(*(scene.client.publish("", "orders", b"1") for _ in range(1000)))
        assert wakes <= 100

    play(script)


def test_a_task_that_publishes_without_end_leaves_turns_to_others() -> None:
    async def script(scene: AsyncScene) -> None:
        others = 0

        async def other() -> None:
            nonlocal others
            while True:
                others += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        await scene.turns(1)
        before = others
        for _ in range(10 * TURN):
            await scene.client.publish_nowait("", "orders", b"1")
        assert others - before >= 9
        task.cancel()
        await scene.until(task.done)

    play(script)


def test_of_many_tasks_that_go_on_together_only_some_do_in_one_turn() -> None:
    async def script(scene: AsyncScene) -> None:
        ended = 0

        async def publish() -> None:
            nonlocal ended
            await scene.client.publish("", "orders", b"1")
            ended += 1

        tasks = [asyncio.create_task(publish()) for _ in range(8 * AT_ONCE)]
        steps = []
        while ended < len(tasks):
            before = ended
            await asyncio.sleep(0)
            steps.append(ended - before)
        assert max(steps) <= AT_ONCE
        await asyncio.gather(*tasks)

    play(script)


# -- the window


def test_who_waits_for_room_is_let_in_in_the_order_of_asking() -> None:
    async def script(scene: AsyncScene) -> None:
        scene.cluster.hold_confirms()
        first = [await scene.client.publish_nowait("", "orders", b"%d" % number) for number in range(10)]
        tasks = [
            asyncio.create_task(scene.client.publish("", "orders", b"%d" % number))
            for number in range(10, 40)
        ]
        await scene.turns(50)
        assert scene.open_messages == 10
        assert not any(task.done() for task in tasks)
        scene.cluster.release_confirms()
        receipts = [*await asyncio.gather(*first), *await asyncio.gather(*tasks)]
        assert scene.simulation.stored() == [receipt.message_id for receipt in receipts]

    play(script, window=10)


def test_one_who_waits_for_room_in_vain_has_handed_over_nothing() -> None:
    async def script(scene: AsyncScene) -> None:
        scene.is_standing = True
        await scene.client.publish_nowait("", "orders", b"1")
        for publish in (scene.client.publish, scene.client.publish_nowait):
            with pytest.raises(Blocked):
                await publish("", "orders", b"2", timeout=0.02)
        outcomes = await scene.client.publish_many([("", "orders", b"3")] * 2, timeout=0.02)
        assert [type(outcome) for outcome in outcomes] == [Blocked, Blocked]
        scene.is_standing = False
        await scene.client.publish("", "orders", b"4")
        assert len(scene.simulation.stored()) == 2

    play(script, window=1)


def test_one_who_waits_for_room_and_is_cancelled_leaves_no_trace() -> None:
    async def script(scene: AsyncScene) -> None:
        scene.cluster.hold_confirms()
        await scene.client.publish_nowait("", "orders", b"1")
        tasks = [asyncio.create_task(scene.client.publish("", "orders", b"2")) for _ in range(3)]
        await scene.turns(5)
        tasks[0].cancel()
        tasks[2].cancel()
        scene.cluster.release_confirms()
        await tasks[1]
        await scene.until(lambda: all(task.done() for task in tasks))
        assert [task.cancelled() for task in tasks] == [True, False, True]
        assert len(scene.simulation.stored()) == 2

    play(script, window=1)


def test_one_who_is_let_in_and_cancelled_at_the_same_moment_gives_the_room_back() -> None:
    async def script(scene: AsyncScene) -> None:
        scene.cluster.hold_confirms()
        first = await scene.client.publish_nowait("", "orders", b"1")
        task = asyncio.create_task(scene.client.publish("", "orders", b"2"))
        await scene.turns(5)
        waiting = scene.client._publishing._waiting[0]
        scene.cluster.release_confirms()
        first.add_done_callback(lambda _: None)
        await scene.until(lambda: waiting.is_counted)
        task.cancel()
        await scene.until(task.done)
        assert task.cancelled()
        await scene.client.publish("", "orders", b"3")

    play(script, window=1)


def test_a_large_message_has_its_turn() -> None:
    async def script(scene: AsyncScene) -> None:
        scene.behind.publishing.window._size = 100
        small = [asyncio.create_task(scene.client.publish("", "orders", b"x" * 40)) for _ in range(5)]
        large = asyncio.create_task(scene.client.publish("", "orders", b"x" * 1000))
        more = [asyncio.create_task(scene.client.publish("", "orders", b"x" * 40)) for _ in range(5)]
        receipts = await asyncio.gather(*small, large, *more)
        assert scene.simulation.stored() == [receipt.message_id for receipt in receipts]

    play(script)


# -- cancelled


def test_a_publish_that_is_cancelled_before_it_is_sent_is_nowhere() -> None:
    async def script(scene: AsyncScene) -> None:
        scene.is_standing = True
        task = asyncio.create_task(scene.client.publish("", "orders", b"1"))
        await scene.turns(2)
        assert scene.open_messages == 1
        task.cancel()
        await scene.turns(2)
        assert scene.open_messages == 0
        scene.is_standing = False
        await scene.client.publish("", "orders", b"2")
        assert len(scene.simulation.stored()) == 1
        assert scene.simulation.client.seen(CancelledPublish) == []

    play(script)


@pytest.mark.parametrize(("queue", "error"), [("orders", type(None)), ("nowhere", Unroutable)])
def test_of_one_that_is_cancelled_after_it_was_sent_the_outcome_is_told(queue: str, error: type) -> None:
    async def script(scene: AsyncScene) -> None:
        scene.cluster.hold_confirms()
        task = asyncio.create_task(scene.client.publish("", queue, b"1"))
        await scene.turns(30)
        task.cancel()
        await scene.turns(5)
        scene.cluster.release_confirms()
        await scene.until(lambda: scene.simulation.client.seen(CancelledPublish))
        (told,) = scene.simulation.client.seen(CancelledPublish)
        assert (told.routing_key, type(told.error)) == (queue, error)

    play(script)


def test_a_task_that_awaits_what_was_handed_over_ends_alone() -> None:
    async def script(scene: AsyncScene) -> None:
        async def waits(handle: PublishHandle) -> Receipt:
            return await handle

        scene.cluster.hold_confirms()
        handle = await scene.client.publish_nowait("", "orders", b"1")
        tasks = [asyncio.create_task(waits(handle)) for _ in range(2)]
        await scene.turns(5)
        tasks[0].cancel()
        scene.cluster.release_confirms()
        assert await tasks[1] == await handle

    play(script)


def test_what_was_handed_over_can_be_taken_back() -> None:
    async def script(scene: AsyncScene) -> None:
        scene.is_standing = True
        handle = await scene.client.publish_nowait("", "orders", b"1")
        assert handle.cancel()
        with pytest.raises(asyncio.CancelledError):
            await handle
        scene.is_standing = False
        await scene.client.publish("", "orders", b"2")
        assert len(scene.simulation.stored()) == 1

    play(script)


@pytest.mark.parametrize("turns", range(0, 60, 3))
def test_whenever_many_are_cancelled_each_message_is_taken_back_or_told(turns: int) -> None:
    """A window that is full, and tasks that are cancelled in any of their awaits."""

    async def script(scene: AsyncScene) -> None:
        def message(number: int) -> tuple[str, str, bytes]:
            return "", "orders", b"%d" % number

        many = asyncio.ensure_future(
            cancelled_after(turns, scene.client.publish_many([message(number) for number in range(30)]))
        )
        others = [cancelled_after(turns, scene.client.publish(*message(number))) for number in range(30, 40)]
        receipts = await asyncio.gather(*others)
        outcomes = await many
        await scene.until(lambda: scene.open_messages == 0)
        await scene.client.publish("", "orders", b"last")
        known = [one.message_id for one in outcomes or () if isinstance(one, Receipt)]
        known += [one.message_id for one in receipts if one is not None]
        told = [one.message_id for one in scene.simulation.client.seen(CancelledPublish)]
        assert not set(known) & set(told)
        stored = scene.simulation.stored()[:-1]
        # what publish_many had outcomes of when it was cancelled, nobody is told of again
        gone = set(stored) - {*known, *told}
        assert outcomes is None or not gone
        assert len(stored) == len(set(stored))
        assert set(told) <= set(stored)

    play(script, window=7)


def test_a_client_that_is_closed_ends_what_is_under_way() -> None:
    async def script(scene: AsyncScene) -> None:
        scene.cluster.hold_confirms()
        tasks = [asyncio.create_task(scene.client.publish("", "orders", b"1")) for _ in range(5)]
        await scene.turns(30)
        assert len(await scene.client.close(0.01)) == 2
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Closed}
        with pytest.raises(Closed):
            await scene.client.publish("", "orders", b"2")
        with pytest.raises(Closed):
            await scene.client.publish_many([("", "orders", b"2")])
        assert await scene.client.close() == ()

    play(script, window=2)
