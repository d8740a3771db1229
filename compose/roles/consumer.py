"""The demo's consumer: acks each message and tells its number, ``delivered``, and ``member``."""

import signal
import threading
from typing import Any, NoReturn

from rabbitkeeper.client import Binding, Client, Exchange, Queue
from rabbitkeeper.compose.demo.local_traffic import EXCHANGE, QUEUE
from rabbitkeeper.compose.roles import environment
from rabbitkeeper.compose.roles.output import OutputWriter


class ConsumerRole:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._delivered: list[int] = []
        self._lock = threading.Lock()  # guards the list

    def run(self) -> None:
        """Consume until the client is closed."""
        for message in self._client.consume(QUEUE, prefetch=100):
            with self._lock:
                self._delivered.append(int(message.body.split()[1]))
            message.ack()

    def news(self) -> dict[str, Any]:
        with self._lock:
            delivered, self._delivered = self._delivered, []
        return {"delivered": delivered} if delivered else {}

    def state(self) -> dict[str, Any]:
        return {"member": self._client.status().member}


def main() -> None:
    signal.signal(signal.SIGTERM, _interrupt)
    with environment.connect("demo-consumer") as client:
        client.declare(Exchange(EXCHANGE, "fanout"), Queue(QUEUE), Binding(EXCHANGE, QUEUE))
        consumer = ConsumerRole(client)
        writer = OutputWriter(consumer.news, consumer.state)
        writer.start()
        try:
            consumer.run()
        except KeyboardInterrupt:
            pass
        finally:
            writer.stop()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
