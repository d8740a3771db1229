"""Calling as the caller's thread does it: send a request, and wait for its reply."""

import time
from concurrent.futures import TimeoutError as FutureTimeout

from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.guard import Guard
from rabbitkeeper.client.model.checks import check_timeout
from rabbitkeeper.client.model.errors import NoLeader, PublishError, Unroutable
from rabbitkeeper.client.publish.future import Receipt
from rabbitkeeper.client.publishing import Publishing
from rabbitkeeper.client.rpc.messages import check_request, is_queue, reply_to
from rabbitkeeper.client.rpc.replies import CONSUMER_PATIENCE, Replies, ReplyQueue


class Calling:
    """The half of :class:`Client` that asks and replies, for any number of threads."""

    _guard: Guard
    _publishing: Publishing
    _replies: Replies

    def call(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: BasicProperties | None = None,
        *,
        timeout: float = 30.0,
    ) -> Message:
        """Publish a request, and wait for the reply to it (RPC).

        Request and reply are messages as others: both are confirmed, and survive a switch. Whoever consumes
        the request answers it with :meth:`reply`, or as usual with AMQP: to the queue that ``reply_to``
        names, with the same ``correlation_id``. The request expires with ``timeout``, unless ``properties``
        say otherwise.

        Args:
            exchange, routing_key, body, properties: as in ``publish``; without ``reply_to`` and
                ``correlation_id``.
            timeout: seconds to the deadline.

        Returns:
            The reply, which needs no ack.

        Raises:
            NoReply: the request was confirmed, and there is no reply by the deadline; it may have been worked
                on. So too when the replies were lost.
            Unroutable, Nacked, Blocked, NoLeader, PublishUnknown, Closed: as in ``publish``, of the request.
            TopologyError, NotAuthorized: the broker refused a queue for the replies.
            InvalidArgument, WrongThread: at once; nothing was sent.
        """
        self._guard.check_usable()
        check_timeout("timeout", timeout)
        check_request(properties)
        deadline = time.monotonic() + timeout
        call = self._replies.open(self._reply_queue(deadline, timeout))
        try:
            left = max(0.001, deadline - time.monotonic())
            sent = call.request_properties(properties, left)
            self._publishing.result(
                self._publishing.publish(exchange, routing_key, body, sent, mandatory=True, timeout=left)
            )
            return call.result.result(max(0.0, deadline - time.monotonic()))
        except PublishError:
            reply = call.reply  # the request came through, whatever became of its confirm
            if reply is None:
                raise
            return reply
        except FutureTimeout:
            raise self._replies.no_reply(call, timeout) from None
        finally:
            self._replies.close_call(call)

    def reply(
        self,
        message: Message,
        body: bytes,
        properties: BasicProperties | None = None,
        *,
        timeout: float = 30.0,
    ) -> Receipt | None:
        """Publish the reply to ``message``, a request; to be called before the request is acked.

        Returns:
            When it is confirmed; None when nobody waits for it any more: the queue for it is gone. (Of a
            caller that uses RabbitMQ's direct reply-to, that is not known.)

        Raises:
            InvalidArgument: ``message`` asks for no reply, or the reply cannot be sent.
            PublishError: the reply may not be there, as in ``publish``.
        """
        self._guard.check_usable()
        place, sent = reply_to(message, properties)
        try:
            return self._publishing.result(
                self._publishing.publish("", place, body, sent, mandatory=is_queue(place), timeout=timeout)
            )
        except Unroutable:
            return None

    def _reply_queue(self, deadline: float, timeout: float) -> ReplyQueue:
        """One that has a consumer."""
        while True:
            queue = self._replies.queue()
            left = deadline - time.monotonic()
            try:
                queue.ready.result(max(0.0, min(left, CONSUMER_PATIENCE)))
            except FutureTimeout:
                if left <= 0:
                    raise no_queue(timeout) from None
                if queue.is_declared:
                    queue.give_up()
            else:
                return queue


def no_queue(timeout: float) -> NoLeader:
    """There was no queue for replies in time."""
    return NoLeader(f"no queue for replies was there within {timeout:g} s; the request was not sent")
