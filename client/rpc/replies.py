"""Replies: the queue that a client's replies come to, and who waits for which of them.

The queue is a quorum queue of the client's own: it and what is in it survive a broker, so that a call
survives a switch as any other message does. (Direct reply-to would tie a reply to the channel that has sent
the request, and an exclusive queue to its connection; both are lost with the broker.) It goes by itself some
minutes after its client.

A quorum queue that is declared in the moment in which a node is killed may never get a leader, though it was
declared (decision 0012). So a queue is taken into use only when it has a consumer; one that gets none is
given up for another.
"""

import threading
import time
import uuid
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from queue import Empty

from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.consume.subscription import Subscription
from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.model.errors import Closed, NoReply, RabbitKeeperError
from rabbitkeeper.client.model.requests import DeleteEntity
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.client.rpc.messages import request_properties

EXPIRES = 300.0  # seconds without a consumer after which the broker deletes the queue
PREFETCH = 500
DECLARE_PATIENCE = 30.0  # seconds for the broker to declare it
DELETE_PATIENCE = 0.5  # seconds for the end of a client to wait for its end
CONSUMER_PATIENCE = 3.0  # seconds for its consumer, or another queue is tried


@dataclass(slots=True, eq=False)
class Call:
    """One request that somebody waits for the reply to."""

    queue: "ReplyQueue"
    correlation_id: str
    result: Future[Message] = field(default_factory=Future)

    def request_properties(self, given: BasicProperties | None, timeout: float) -> BasicProperties:
        """Those that the request is sent with, which expires in ``timeout`` seconds."""
        return request_properties(
            given,
            reply_to=self.queue.declared.name,
            correlation_id=self.correlation_id,
            timeout=timeout,
        )

    @property
    def reply(self) -> Message | None:
        """It, if it has come."""
        return self.result.result() if self.result.done() and self.result.exception() is None else None


class ReplyQueue:
    """One queue for replies. Made by :class:`Replies`.

    Attributes:
        ready: ends with the queue's name when it has a consumer; or with why it cannot be declared.
        is_over: another one is to be used.
    """

    def __init__(self, engine: Engine) -> None:
        self.declared = Queue(
            f"rabbitkeeper.replies.{uuid.uuid4().hex}", arguments={"x-expires": int(EXPIRES * 1000)}
        )
        self.ready: Future[str] = Future()
        self.is_over = False
        self.is_declared = False
        self.pending: dict[str, Call] = {}
        self._engine = engine
        self._subscription: Subscription | None = None

    def begin(self) -> None:
        """Have it declared and consumed from."""
        self._engine.declare(self.declared, DECLARE_PATIENCE).add_done_callback(self._answered)

    @property
    def has_consumer(self) -> bool:
        """At the moment."""
        return self._subscription is not None and self._subscription.active

    def give_up(self) -> Future[int] | None:
        """Have it deleted; what comes back ends when it is. None if it was given up before."""
        if self.is_over:
            return None
        self.is_over = True
        if self._subscription is not None:
            self._engine.drop(self._subscription)
        return self._engine.declare(DeleteEntity(self.declared), DECLARE_PATIENCE)

    # -- on the I/O thread

    def _answered(self, declaration: Future[int]) -> None:
        error = declaration.exception()
        if error is not None:
            self.is_over = True
            self.ready.set_exception(error)
            return
        self.is_declared = True
        if self.is_over:
            return
        subscription = self._engine.subscribe(self.declared.name, PREFETCH, 0)
        subscription.on_active = self._active
        subscription.inbox.on_news = self._take
        self._subscription = subscription

    def _active(self) -> None:
        if not self.ready.done():
            self.ready.set_result(self.declared.name)

    def _take(self) -> None:
        """Give out what has come."""
        subscription = self._subscription
        if subscription is None:
            return
        with suppress(Empty):
            while True:
                try:
                    message = subscription.get(0)
                except RabbitKeeperError as error:
                    self._end(error)
                    return
                if message is None:
                    self._end(Closed("the client is closed"))
                    return
                message.ack()
                call = self.pending.pop(str(message.properties.correlation_id), None)
                if call is not None:
                    with suppress(InvalidStateError):
                        call.result.set_result(message)

    def _end(self, error: RabbitKeeperError) -> None:
        """Nothing comes any more: the client has ended, or somebody has deleted the queue."""
        self.is_over = True
        if not isinstance(error, Closed):
            error = NoReply(f"the queue for replies is gone: {error}")
        if not self.ready.done():
            self.ready.set_exception(error)
        while self.pending:
            call = self.pending.popitem()[1]
            with suppress(InvalidStateError):
                call.result.set_exception(error)


class Replies:
    """The calls of one client. From any thread.

    Args:
        engine: declares the queue and consumes from it, when the first call needs that.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: ReplyQueue | None = None
        self._lock = threading.RLock()  # a signal handler may come back in
        self._prefix = uuid.uuid4().hex[:16]
        self._ids = count(1)

    def queue(self) -> ReplyQueue:
        """The one to use; it may not be ready yet."""
        with self._lock:
            if self._queue is None or self._queue.is_over:
                self._queue = ReplyQueue(self._engine)
                self._queue.begin()
            return self._queue

    def open(self, queue: ReplyQueue) -> Call:
        """A call whose reply comes to ``queue``; it is to be closed in any case."""
        call = Call(queue, f"{self._prefix}-{next(self._ids)}")
        queue.pending[call.correlation_id] = call
        return call

    def close_call(self, call: Call) -> None:
        """Nobody waits for the reply any more."""
        call.queue.pending.pop(call.correlation_id, None)

    def no_reply(self, call: Call, timeout: float) -> NoReply:
        """What to raise when none has come. A queue that has no consumer then is given up for another."""
        why = ""
        if not call.queue.has_consumer:
            why = "; the queue for replies had no consumer, so one may be there"
            call.queue.give_up()
        return NoReply(
            f"the request was confirmed, and no reply came within {timeout:g} s{why}: "
            "whether somebody has worked on it is not known",
            call.correlation_id,
        )

    def stop(self, deadline: float) -> None:
        """The client ends: delete the queue, if there is one, and wait for that for a moment, or until
        ``deadline`` (seconds, monotonic). If that does not come, it goes by itself."""
        deletion = None if self._queue is None else self._queue.give_up()
        if deletion is not None:
            left = max(0.0, deadline - time.monotonic())
            with suppress(FutureTimeout, RabbitKeeperError):
                deletion.result(min(DELETE_PATIENCE, left))
