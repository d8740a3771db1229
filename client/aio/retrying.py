"""Retries as tasks do them; see :mod:`rabbitkeeper.client.retrying.retries`."""

from rabbitkeeper.client.aio.bridge import Bridge
from rabbitkeeper.client.aio.publishing import AsyncPublishing
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.errors import RabbitKeeperError
from rabbitkeeper.client.retrying.message_copy import copy_properties
from rabbitkeeper.client.retrying.retries import COPY_TIMEOUT, Retries


class AsyncRetries:
    """Of one consumer.

    Args:
        retries: decides.
        publishing: publishes copies.
    """

    def __init__(self, retries: Retries, publishing: AsyncPublishing, bridge: Bridge) -> None:
        self._retries = retries
        self._publishing = publishing
        self._bridge = bridge

    async def __call__(self, message: Message) -> bool:
        """See :meth:`Retries.__call__`."""
        if self._retries.settles(message):
            return True
        wait = self._retries.wait_for(message)
        try:
            await self._bridge.settled(wait.declaration, COPY_TIMEOUT)
            wait.declaration.result(0)
            properties = copy_properties(message)
            await self._publishing.publish(
                "", wait.declared.name, message.body, properties, mandatory=True, timeout=COPY_TIMEOUT
            )
        except (RabbitKeeperError, TimeoutError) as error:
            self._retries.failed(wait, error)
            return False
        message.moved()
        return True
