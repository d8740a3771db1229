"""What the Erlang nodes of one folder share: a port mapper, the cookie, settings for a small machine.

Everything listens on loopback only. With their own port mapper the nodes neither see nor disturb others on
this host, and their names need not be unique on it.
"""

import secrets
import socket
import time

from rabbitkeeper.compose.local import installed
from rabbitkeeper.compose.local.errors import LocalError
from rabbitkeeper.compose.local.guardian import Guardian
from rabbitkeeper.compose.local.ports import LOOPBACK, Ports

_LOOPBACK_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"
# Two scheduler threads that sleep when idle, where the default is one a core that spins before it sleeps.
_SMALL = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"


class ErlangHost:
    """One epmd and what its nodes need to know.

    Args:
        guardian: starts epmd.
        ports: where ports come from.
    """

    def __init__(self, guardian: Guardian, ports: Ports) -> None:
        self.cookie = secrets.token_hex(16).upper()
        self._guardian = guardian
        self._ports = ports
        self._epmd_port = ports.reserve()

    def start(self, timeout: float = 10.0) -> None:
        """Start epmd; returns when it answers.

        Raises:
            LocalError: Erlang is not installed, or epmd does not answer.
        """
        epmd = self._guardian.spawn(
            "epmd",
            [installed.epmd(), "-address", LOOPBACK, "-port", str(self._epmd_port)],
            env={},
            log=self._guardian.folder / "epmd.log",
        )
        deadline = time.monotonic() + timeout
        while not listening(self._epmd_port):
            if not epmd.running or time.monotonic() > deadline:
                raise LocalError(f"epmd does not answer on port {self._epmd_port}: {epmd.last_lines()}")
            epmd.wait(0.01)

    def environment(self) -> dict[str, str]:
        """Environment for one node and its tools; each call reserves another distribution port."""
        return {
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_DIST_PORT": str(self._ports.reserve()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_LOOPBACK_ONLY} {_SMALL}",
            "RABBITMQ_CTL_ERL_ARGS": f"{_LOOPBACK_ONLY} {_SMALL}",
            "RABBITMQ_CTL_DIST_PORT_MIN": "0",  # any free port
            "RABBITMQ_CTL_DIST_PORT_MAX": "0",
        }


def listening(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0
