"""What the Erlang nodes of one folder share: a port mapper, the cookie, settings for a small machine.

Everything listens on loopback only, or on the address in its own network. With their own port mapper the
nodes neither see nor disturb others on this host, and their names need not be unique on it.
"""

import os
import secrets
import socket
import time
from collections.abc import Sequence

from rabbitkeeper.compose.local import installed
from rabbitkeeper.compose.local.errors import LocalError
from rabbitkeeper.compose.local.guardian import Guardian
from rabbitkeeper.compose.local.ports import LOOPBACK, Ports

# Two scheduler threads that sleep when idle, where the default is one a core that spins before it sleeps.
_SMALL = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"


class ErlangHost:
    """One epmd and what its nodes need to know.

    Args:
        guardian: starts epmd.
        ports: where ports come from.
        peer: another host, with whose nodes these shall talk: they share cookie and epmd's port.
        address: what everything listens on.
        enter: put before the command, to start epmd where the address is.
    """

    def __init__(
        self,
        guardian: Guardian,
        ports: Ports,
        *,
        peer: "ErlangHost | None" = None,
        address: str = LOOPBACK,
        enter: Sequence[str] = (),
    ) -> None:
        self.cookie: str = secrets.token_hex(16).upper() if peer is None else peer.cookie
        self._guardian = guardian
        self._ports = ports
        self._address = address
        self._enter = enter
        self._epmd_port: int = ports.reserve() if peer is None else peer._epmd_port

    def start(self, timeout: float = 10.0) -> None:
        """Start epmd; returns when it answers.

        Raises:
            LocalError: Erlang is not installed, or epmd does not answer.
        """
        epmd = self._guardian.spawn(
            "epmd",
            [*self._enter, installed.epmd(), "-address", self._address, "-port", str(self._epmd_port)],
            env={"PATH": os.environ["PATH"]},
            log=self._guardian.folder / "epmd.log",
        )
        deadline = time.monotonic() + timeout
        while not listening(self._epmd_port, self._address):
            if not epmd.running or time.monotonic() > deadline:
                raise LocalError(f"epmd does not answer on port {self._epmd_port}: {epmd.last_lines()}")
            epmd.wait(0.01)

    def environment(self) -> dict[str, str]:
        """Environment for one node and its tools; each call reserves another distribution port."""
        interface = f"-kernel inet_dist_use_interface {{{self._address.replace('.', ',')}}}"
        return {
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": self._address,
            "RABBITMQ_DIST_PORT": str(self._ports.reserve()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{interface} {_SMALL}",
            "RABBITMQ_CTL_ERL_ARGS": f"{interface} {_SMALL}",
            "RABBITMQ_CTL_DIST_PORT_MIN": "0",  # any free port
            "RABBITMQ_CTL_DIST_PORT_MAX": "0",
        }


def listening(port: int, address: str = LOOPBACK) -> bool:
    """Whether something accepts connections on a port of this host, or of a network that it is in."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((address, port)) == 0
