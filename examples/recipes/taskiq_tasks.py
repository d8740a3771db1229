"""taskiq's tasks over RabbitKeeper: a broker for it, a task, and a program that sends some.

taskiq worker taskiq_tasks:broker    (in this folder; where the group is, is taken from the environment)
python taskiq_tasks.py 100
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator

from pika import BasicProperties
from taskiq import AckableMessage, AsyncBroker, BrokerMessage

from rabbitkeeper.client import AsyncClient, Queue


class RabbitKeeperBroker(AsyncBroker):
    """Sends tasks to a queue and takes them from there.

    Args:
        queue: is declared at the start.
    """

    def __init__(self, queue: Queue) -> None:
        super().__init__()
        self._queue = queue
        self._client = AsyncClient(
            os.environ["RABBITKEEPER_ZOOKEEPER"],
            os.environ["RABBITKEEPER_GROUP"],
            (os.environ["RABBITKEEPER_USER"], os.environ["RABBITKEEPER_PASSWORD"]),
        )

    async def startup(self) -> None:
        """Connect: here, in the process and on the loop that the client is for."""
        await self._client.start()
        await self._client.declare(self._queue)
        await super().startup()

    async def shutdown(self) -> None:
        """What taskiq has taken and not run goes back to the queue."""
        await super().shutdown()
        await self._client.close()

    async def kick(self, message: BrokerMessage) -> None:
        """Send a task; who awaits it knows that it is there."""
        await self._client.publish(
            "", self._queue.name, message.message, BasicProperties(message_id=message.task_id)
        )

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """What is to be run, as it comes. taskiq acks it when it has been."""
        async for message in self._client.consume(self._queue):
            yield AckableMessage(data=message.body, ack=message.ack)


broker = RabbitKeeperBroker(Queue("recipes-taskiq"))


@broker.task
async def greet(name: str) -> None:
    """A task."""
    print(f"greeted: {name}", flush=True)


async def main(count: int) -> None:
    """Send so many tasks."""
    await broker.startup()
    for number in range(1, count + 1):
        await greet.kiq(f"guest {number}")
        print(f"sent: guest {number}", flush=True)
        await asyncio.sleep(0.05)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
