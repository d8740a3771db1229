"""Calling as tasks do it: send a request, and await its reply; the names are those of ``Client``."""

import time
from collections.abc import Callable

from rabbitkeeper.client.aio.bridge import Bridge
from rabbitkeeper.client.aio.publishing import AsyncPublishing
from rabbitkeeper.client.amqp.properties import BasicProperties
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.checks import check_timeout
from rabbitkeeper.client.model.errors import PublishError, Unroutable
from rabbitkeeper.client.publish.future import Receipt
from rabbitkeeper.client.rpc.calling import no_queue
from rabbitkeeper.client.rpc.messages import check_request, is_queue, reply_to
from rabbitkeeper.client.rpc.replies import CONSUMER_PATIENCE, Replies, ReplyQueue


class AsyncCalling:
    """The half of :class:`AsyncClient` that asks and replies."""

    _calling: Callable[[], tuple[Replies, AsyncPublishing, Bridge]]  # if it can be used here

    async def call(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: BasicProperties | None = None,
        *,
        timeout: float = 30.0,
    ) -> Message:
        """Publish a request, and wait for the reply to it (RPC).

        A task that is cancelled meanwhile takes the request back, if it has not been sent; else it expires,
        or is worked on in vain. Arguments and errors are those of ``Client.call``."""
        replies, publishing, bridge = self._calling()
        check_timeout("timeout", timeout)
        check_request(properties)
        deadline = time.monotonic() + timeout
        call = replies.open(await _reply_queue(replies, bridge, deadline, timeout))
        try:
            left = max(0.001, deadline - time.monotonic())
            sent = call.request_properties(properties, left)
            await publishing.publish(exchange, routing_key, body, sent, mandatory=True, timeout=left)
            await bridge.settled(call.result, max(0.0, deadline - time.monotonic()))
        except PublishError:
            if call.reply is None:  # else the request came through, whatever became of its confirm
                raise
        finally:
            replies.close_call(call)
        if not call.result.done():
            raise replies.no_reply(call, timeout)
        return call.result.result()

    async def reply(
        self,
        message: Message,
        body: bytes,
        properties: BasicProperties | None = None,
        *,
        timeout: float = 30.0,
    ) -> Receipt | None:
        """Publish the reply to ``message``, a request. Arguments, what is returned and errors are those of
        ``Client.reply``."""
        _, publishing, _ = self._calling()
        place, sent = reply_to(message, properties)
        mandatory = is_queue(place)
        try:
            return await publishing.publish("", place, body, sent, mandatory=mandatory, timeout=timeout)
        except Unroutable:
            return None


async def _reply_queue(replies: Replies, bridge: Bridge, deadline: float, timeout: float) -> ReplyQueue:
    """One that has a consumer."""
    while True:
        queue = replies.queue()
        left = deadline - time.monotonic()
        if await bridge.settled(queue.ready, max(0.0, min(left, CONSUMER_PATIENCE))):
            queue.ready.result()
            return queue
        if left <= 0:
            raise no_queue(timeout)
        if queue.is_declared:
            queue.give_up()
