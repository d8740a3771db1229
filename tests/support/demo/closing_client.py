"""A program that publishes and consumes without a pause, and closes its client where programs close things.

``python -m support.demo.closing_client ZOOKEEPER GROUP USER PASSWORD HOW``: in a handler of SIGTERM
(``signal``), which raises then; at the interpreter's end (``atexit``); in a callback of a publish
(``callback``), of an event (``event``), or of a message (``handler``). It writes "ready" when it may be sent
a signal, and "closed".
"""

import atexit
import os
import signal
import sys
import threading
from typing import Any

from rabbitkeeper.client import Client, Message, Queue
from rabbitkeeper.client.model.errors import RabbitKeeperError


def main(zookeeper: str, group: str, user: str, password: str, how: str) -> None:
    client = Client(zookeeper, group, (user, password))
    closed = threading.Event()

    def close(*_: Any) -> None:
        client.close(5.0)
        closed.set()
        os.write(1, b"closed\n")

    def on_signal(*_: Any) -> None:
        close()
        raise SystemExit(0)

    def handle(message: Message) -> None:
        message.ack()
        if how == "handler" and not closed.is_set():
            close()

    client.declare(Queue("closing"))
    client.on_message("closing", handle, workers=2)
    match how:
        case "signal":
            signal.signal(signal.SIGTERM, on_signal)
        case "atexit":
            atexit.register(close)
        case "callback":
            client.publish_nowait("", "closing", b"last").add_done_callback(close)
        case "event":
            client.on_event(close)
            client.consume("closing")  # which is an event
    os.write(1, b"ready\n")
    try:
        for number in range(10**9):
            if how == "atexit" and number == 500:
                return
            client.publish("", "closing", b"%d" % number) if number % 3 else client.publish_nowait(
                "", "closing", b"%d" % number
            )
            client.status()
    except RabbitKeeperError:  # the client was closed
        closed.wait(20.0)
    finally:
        if how == "signal" and not closed.is_set():
            os._exit(3)


if __name__ == "__main__":
    main(*sys.argv[1:])
