"""Free loopback ports that stay ours.

A port is reserved by binding a socket to it and never listening. On Linux a server that sets SO_REUSEADDR
(Java, the Erlang VM and epmd do) may listen on it nevertheless, while the kernel gives it to nobody else:
neither to another ``bind(0)`` nor, as the source port, to an outgoing connection. So the reservation is
kept as long as its servers may be started again, and "address in use" cannot happen by chance.
"""

import socket

LOOPBACK = "127.0.0.1"


class Ports:
    """Reserves ports until it is closed."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def reserve(self) -> int:
        """A free TCP port on 127.0.0.1."""
        reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind((LOOPBACK, 0))
        self._sockets.append(reservation)
        port: int = reservation.getsockname()[1]
        return port

    def close(self) -> None:
        for reservation in self._sockets:
            reservation.close()
        self._sockets.clear()
