"""From one queue to another on uvloop: a message is acked when what came of it is confirmed.

python uvloop_relay.py SOURCE TARGET         until Ctrl-C or SIGTERM
"""

import asyncio
import os
import signal
import sys

import uvloop
from pika import BasicProperties

from rabbitkeeper.client import AsyncClient, Message, Queue


async def main(source: Queue, target: Queue) -> None:
    """Relay until the program is to end."""
    stopping = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    async with AsyncClient(
        os.environ["RABBITKEEPER_ZOOKEEPER"],
        os.environ["RABBITKEEPER_GROUP"],
        (os.environ["RABBITKEEPER_USER"], os.environ["RABBITKEEPER_PASSWORD"]),
    ) as client:
        await client.declare(source, target)

        async def relay(message: Message) -> None:
            # The same id: who consumes from the target with dedupe gets each message once.
            properties = BasicProperties(message_id=message.message_id)
            await client.publish("", target.name, message.body.upper(), properties)

        async with client.on_message(source, relay, workers=20):
            print(f"relaying on {type(asyncio.get_running_loop()).__module__}", flush=True)
            await stopping.wait()


if __name__ == "__main__":
    uvloop.run(main(Queue(sys.argv[1]), Queue(sys.argv[2])))
