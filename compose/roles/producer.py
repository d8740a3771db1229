"""The demo's producer: numbered messages, each confirmed before the next is published.

Tells ``published`` (how many so far), ``confirmed`` (number, when it was published, when confirmed),
``failed`` (a sentence each) and ``member`` (where it is connected). SIGTERM ends it gracefully: what is being
published gets its outcome.
"""

import signal
import threading
import time
from typing import Any

from rabbitkeeper.client import Binding, Client, Exchange, PublishError, Queue
from rabbitkeeper.compose.demo.local_traffic import EXCHANGE, PAUSE, PUBLISH_TIMEOUT, QUEUE
from rabbitkeeper.compose.roles import environment
from rabbitkeeper.compose.roles.output import OutputWriter


class ProducerRole:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._published = 0
        self._confirmed: list[tuple[int, float, float]] = []
        self._failed: list[str] = []
        self._lock = threading.Lock()  # guards the two lists

    def run(self, stopping: threading.Event) -> None:
        """Publish until ``stopping``."""
        while not stopping.wait(PAUSE):
            self._published += 1
            number, asked = self._published, time.monotonic()
            try:
                self._client.publish(EXCHANGE, "", f"Message {number}".encode(), timeout=PUBLISH_TIMEOUT)
            except PublishError as error:
                with self._lock:
                    self._failed.append(f"Message {number}: {error}")
            else:
                with self._lock:
                    self._confirmed.append((number, round(asked, 4), round(time.monotonic(), 4)))

    def news(self) -> dict[str, Any]:
        with self._lock:
            news = {"confirmed": self._confirmed, "failed": self._failed}
            self._confirmed, self._failed = [], []
        return {name: told for name, told in news.items() if told}

    def state(self) -> dict[str, Any]:
        return {"published": self._published, "member": self._client.status().member}


def main() -> None:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with environment.connect("demo-producer") as client:
        client.declare(Exchange(EXCHANGE, "fanout"), Queue(QUEUE), Binding(EXCHANGE, QUEUE))
        producer = ProducerRole(client)
        writer = OutputWriter(producer.news, producer.state)
        writer.start()
        producer.run(stopping)
        writer.stop()


if __name__ == "__main__":
    main()
