"""The broker's end of a channel: takes what the client sends, in order, and answers."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from rabbitkeeper.client.amqp.frames import Outgoing
from rabbitkeeper.client.amqp.transport import ChannelLost
from rabbitkeeper.client.model.requests import Request
from rabbitkeeper.client.model.topology import Entity
from simulation.broker.confirms import Confirms
from simulation.broker.consumer_end import ConsumerEnd, ConsumingClient
from simulation.broker.declarations import Refused, answer, declare
from simulation.broker.journal import Publish
from simulation.broker.messages import StoredMessage
from simulation.broker.queues import SimulatedQueue

if TYPE_CHECKING:
    from simulation.broker.connection_end import ConnectionEnd


class ClientChannel(ConsumingClient, Protocol):
    """The client's end: what a broker can say."""

    def opened(self) -> None: ...
    def closed(self, lost: ChannelLost) -> None: ...
    def confirming(self) -> None: ...
    def answered(self, tag: int, multiple: bool, ack: bool, ids: list[str]) -> None: ...
    def returned(self, message_id: str, exchange: str, routing_key: str, why: str) -> None: ...
    def declared(self, name: str | None) -> None: ...
    def requested(self, count: int) -> None: ...
    def seen(self, ready: int, consumers: int) -> None: ...


class ChannelEnd:
    """See the module.

    Args:
        number: of the channel in its connection.
        client: the other end.
    """

    def __init__(self, connection: "ConnectionEnd", number: int, client: ClientChannel) -> None:
        self.connection = connection
        self.number = number
        self.client = client
        self.cluster = connection.cluster
        self.is_open = False
        self.known_queues: set[str] = set()
        self.poisoned: dict[str, str] = {}
        self._unread: list[Callable[[], None]] | None = None  # what has come while it is stuck
        self._undeclared: deque[tuple[Entity, str, bool]] = deque()
        self._published = 0
        self._ids: dict[int, str] = {}  # of what is not answered, by tag
        self.consumer = ConsumerEnd(self, client)
        cluster = self.cluster
        self.confirms = Confirms(
            cluster.time, cluster.random, cluster.confirm_delay, lambda: cluster.confirm_style, self._answer
        )
        self.confirms.is_held = cluster.holds_confirms

    @property
    def node(self) -> str:
        return self.connection.node.name

    @property
    def consumes(self) -> SimulatedQueue | None:
        """The queue that it has a consumer of."""
        return self.consumer.consumes

    def send(self, call: Callable[[], None]) -> None:
        """Say something to the client."""
        if self.is_open:
            self.connection.send(call)

    def open(self) -> None:
        if self.node in self.cluster.silent_channels:
            self.cluster.later(self.open)
            return
        self.is_open = True
        self.send(self.client.opened)

    def close(self) -> None:
        """The client has given it up, or the connection has ended."""
        if not self.is_open:
            return
        self.is_open = False
        self.consumer.end()

    def refuse(self, lost: ChannelLost) -> None:
        """End it with an error."""
        self.send(partial(self.client.closed, lost))
        self.close()

    # -- publishing

    def select(self) -> None:
        self.send(self.client.confirming)

    def is_stuck(self, again: Callable[[], None], *queues: str) -> bool:
        """Whether it reads nothing at the moment; ``again`` is called when it does.

        It is stuck, and says nothing, when it first asks for a queue whose record names a node that is gone:
        that waits until Erlang gives up connecting.
        """
        if self._unread is not None:
            self._unread.append(again)
            return True
        names = set(queues) - self.known_queues
        known = self.cluster.queues
        if not any(self.node in known[name].is_stale_at for name in names if name in known):
            return False
        self._unread = [again]
        self.confirms.is_held = True
        self.cluster.stuck.append(self._go_on)
        return True

    def _go_on(self) -> None:
        unread, self._unread = self._unread or [], None
        self.confirms.is_held = self.cluster.holds_confirms
        if not self.confirms.is_held:
            self.confirms.release()
        for call in unread:
            call()

    def publish(self, message: Outgoing) -> None:
        if not self.is_open:
            return
        template = message.template
        known = [name for name in self.cluster.queues if name not in self.connection.node.lacks]
        names = self.cluster.exchanges.route(template.exchange, template.routing_key, known)
        if self.is_stuck(partial(self.publish, message), *names):
            return
        self._published += 1
        tag = self._published
        if template.header_size > self.connection.node.frame_max:
            self.connection.close_by_broker(501, "FRAME_ERROR - type 2, too large")
            return
        self.connection.has_published()
        self.cluster.journal.arrived.append(
            Publish(
                self.cluster.time.now,
                self.node,
                self.connection.number,
                self.number,
                tag,
                template.exchange,
                template.routing_key,
                message.message_id,
            )
        )
        if not self.cluster.exchanges.has(template.exchange):
            self.refuse(ChannelLost(404, f"NOT_FOUND - no exchange '{template.exchange}' in vhost '/'"))
            return
        if template.exchange in self.cluster.forbidden:
            self.refuse(
                ChannelLost(403, f"ACCESS_REFUSED - access to exchange '{template.exchange}' refused")
            )
            return
        fatal = self.cluster.fatal.get(template.routing_key)
        if fatal is not None:
            self.refuse(fatal)
            return
        self._ids[tag] = message.message_id
        self.confirms.expect(tag)
        queues = self.cluster.route(template.exchange, template.routing_key, self.connection.node)
        if not queues:
            if template.mandatory:
                self.send(
                    partial(
                        self.client.returned,
                        message.message_id,
                        template.exchange,
                        template.routing_key,
                        "312 NO_ROUTE",
                    )
                )
            self.confirms.resolve(tag, ack=True)
            return
        self._offer(tag, message, queues)

    def _offer(self, tag: int, message: Outgoing, queues: list[SimulatedQueue]) -> None:
        open_offers, all_taken = len(queues), True

        def done(taken: bool) -> None:
            nonlocal open_offers, all_taken
            open_offers -= 1
            all_taken = all_taken and taken
            if not taken:
                self.cluster.journal.refused.add(message.message_id)
            if not open_offers:
                self.confirms.resolve(tag, ack=all_taken)

        template = message.template
        properties = template.encoded_properties(message.message_id)
        for queue in queues:
            queue.offer(
                StoredMessage(
                    template.exchange, template.routing_key, message.message_id, properties, message.body
                ),
                self,
                done,
            )

    def _answer(self, tag: int, multiple: bool, ack: bool) -> None:
        if multiple:
            ids = [self._ids.pop(known) for known in sorted(self._ids) if known <= tag]
        else:
            ids = [self._ids.pop(tag)]
        if not ack and self.is_open:
            self.cluster.journal.nacked.update(ids)
        self.send(partial(self.client.answered, tag, multiple, ack, ids))

    # -- declaring

    def declare(self, entity: Entity, queue: str, *, is_answered: bool = True) -> None:
        """``queue``: the broker's name of the queue that ``entity`` is, or binds."""
        if self.is_open and self.is_stuck(
            partial(self.declare, entity, queue, is_answered=is_answered), queue
        ):
            return
        self._undeclared.append((entity, queue, is_answered))
        if len(self._undeclared) == 1:
            self._declare_next()

    def _declare_next(self) -> None:
        """In order: who has no answer keeps the others waiting."""
        while self._undeclared and self.is_open:
            entity, queue, is_answered = self._undeclared[0]
            if not self.cluster.answers_declaration(self._declare_next, entity):
                return
            self._undeclared.popleft()
            try:
                name = declare(self.cluster, self, entity, queue)
            except Refused as refused:
                if refused.ends_connection:
                    self.cluster.journal.ended_over.append(entity)
                    self.connection.close_by_broker(refused.lost.code, refused.lost.why)
                else:
                    self.refuse(refused.lost)
                return
            if is_answered:
                self.send(partial(self.client.declared, name))

    def request(self, request: Request, resolve: Callable[[str], str]) -> None:
        if not self.is_open:
            return
        try:
            count = answer(self.cluster, self, request, resolve)
        except Refused as refused:
            self.refuse(refused.lost)
        else:
            self.send(partial(self.client.requested, count))

    def look(self, name: str) -> None:
        """A passive declaration. Of a quorum queue without a leader RabbitMQ says that nothing is there."""
        if not self.is_open:
            return
        queue = self.cluster.queues.get(name)
        if queue is None:
            self.refuse(ChannelLost(404, f"NOT_FOUND - no queue '{name}' in vhost '/'"))
        elif queue.owner not in (None, self.connection):
            self.refuse(ChannelLost(405, f"RESOURCE_LOCKED - '{name}' in vhost '/'"))
        elif not queue.is_reachable:
            self.refuse(ChannelLost(404, f"NOT_FOUND - home node of '{name}' is down or inaccessible"))
        elif queue.serves:
            self.send(partial(self.client.seen, len(queue.ready), len(queue.consumers)))
        else:
            self.send(partial(self.client.seen, 0, 0))
