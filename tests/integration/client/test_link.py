"""A link to a broker that takes connections and does not go on: it can be given up at any moment."""

import socket
import threading

import pytest
from pika import frame, spec

from rabbitkeeper.client.amqp.pika_connection import PikaConnection, PikaTransport
from rabbitkeeper.client.amqp.transport import Access, ConnectionLost

START = frame.Method(0, spec.Connection.Start(0, 9, {}, "PLAIN", "en_US")).marshal()


@pytest.mark.parametrize("says", [b"", START], ids=["mute", "in the handshake"])
@pytest.mark.parametrize("leave", [PikaConnection.close, PikaConnection.abort])
def test_a_link_that_is_not_open_yet_is_left_without_a_trace(leave: object, says: bytes) -> None:
    assert callable(leave)
    lost: list[ConnectionLost] = []
    ended = threading.Event()
    transport = PikaTransport()
    loop = transport.loop

    def stop_soon() -> None:
        loop.call_later(0, loop.stop)

    def serve() -> None:
        peer, _ = server.accept()
        with peer:
            peer.recv(8)  # the protocol's header
            if says:
                peer.sendall(says)
                peer.recv(4096)
            loop.call_soon_threadsafe(lambda: leave(link))
            while peer.recv(4096):
                pass
            ended.set()
            loop.call_soon_threadsafe(stop_soon)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        link = transport.connect(
            f"127.0.0.1:{server.getsockname()[1]}",
            Access("user", "password"),
            timeout=20,
            on_open=lambda: None,
            on_lost=lost.append,
            on_blocked=lambda _why: None,
        )
        broker = threading.Thread(target=serve)
        broker.start()
        loop.run()  # raises what pika raises in it
        loop.release()
        broker.join(20)
    assert ended.is_set()
    assert lost == [], "whoever gives a link up is not told of its end"
