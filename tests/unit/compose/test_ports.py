"""Reserved ports: ours to listen on, nobody else's by chance."""

import socket

import pytest

from rabbitkeeper.compose.local.ports import LOOPBACK, Ports


def test_a_server_can_listen_on_a_reserved_port_and_again_after_it_has_ended() -> None:
    ports = Ports()
    port = ports.reserve()
    for _ in range(2):
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((LOOPBACK, port))
        server.listen()
        socket.create_connection((LOOPBACK, port), timeout=1).close()
        server.close()
    ports.close()


def test_reserved_ports_are_given_to_nobody_else() -> None:
    ports = Ports()
    reserved = {ports.reserve() for _ in range(50)}
    assert len(reserved) == 50
    others = Ports()
    assert not reserved & {others.reserve() for _ in range(200)}
    stranger = socket.socket()
    with pytest.raises(OSError, match="in use"):
        stranger.bind((LOOPBACK, next(iter(reserved))))
    for each in (stranger, ports, others):
        each.close()


def test_nothing_answers_on_a_reserved_port() -> None:
    ports = Ports()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, ports.reserve()), timeout=1)
    ports.close()
