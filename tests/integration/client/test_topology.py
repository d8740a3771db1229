"""Declaring, deleting and looking on a real broker, and what it refuses by ending the connection."""

import pytest
from support.announcer import Announcer
from support.waiting import wait_for

from rabbitkeeper.client import Binding, Client, Exchange, ExchangeBinding, Queue, TopologyError
from rabbitkeeper.client.model.events import DeclarationFailed, Event, Switched

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

MANY = 1_000


def is_there(client: Client, queue: str) -> bool:
    try:
        return client.check(Queue(queue)) == 0
    except TopologyError:
        return False


def test_what_is_declared_can_be_looked_at_purged_unbound_and_deleted(announcer: Announcer) -> None:
    with announcer.client() as client:
        source, between, queue = Exchange("source", "fanout"), Exchange("between", "fanout"), Queue("target")
        inner = ExchangeBinding("source", "between")
        client.declare(source, between, queue, inner, Binding("between", "target"))
        client.publish("source", "", b"over two exchanges")
        wait_for(lambda: client.check(queue, source) == 1, "it is ready")
        assert client.purge(queue) == 1
        client.unbind(inner)
        client.publish("source", "", b"nowhere", mandatory=False)
        assert client.check(queue) == 0
        client.delete(source, between, queue)
        for gone in (source, between, queue):
            with pytest.raises(TopologyError, match="NOT_FOUND"):
                client.check(gone)
        assert client.delete(queue) == 0


def test_an_unknown_exchange_type_is_one_error_and_costs_one_connection(announcer: Announcer) -> None:
    with announcer.client() as client:
        events: list[Event] = []
        client.on_event(events.append)
        with pytest.raises(TopologyError, match="unknown exchange type 'no-such-type'"):
            client.declare(Exchange("odd", "no-such-type"))
        client.declare(Queue("after"))
        client.publish("", "after", b"it goes on")
        lost = [one for one in events if isinstance(one, Switched) and not one.planned]
        assert len(lost) <= 1, "and it may have moved back to the leader since"


def test_many_queues_are_declared_again_in_batches_one_of_them_in_vain(announcer: Announcer) -> None:
    with announcer.client() as client:
        events: list[Event] = []
        client.on_event(events.append)
        names = [f"many-{number}" for number in range(MANY)]
        client.declare(*(Queue(name, type="classic", durable=False) for name in names), timeout=120.0)
        with announcer.stranger() as stranger:
            with announcer.nobody_there(client):
                for name in names[: MANY // 2]:
                    stranger.queue_delete(name)
                stranger.queue_declare(names[0], durable=True)
            wait_for(lambda: any(isinstance(one, DeclarationFailed) for one in events), "the refusal is told")
            wait_for(lambda: is_there(client, names[MANY // 2 - 1]), "they are there again")
            for name in names:
                stranger.queue_delete(name)
        told = [one.entity for one in events if isinstance(one, DeclarationFailed)]
        assert told == [f"queue {names[0]!r}"]
