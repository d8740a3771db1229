"""A network of its own for each member, whose cable can be cut: namespaces of this host, joined by a switch.

A process that is killed says goodbye: its kernel closes its connections. Only a cut cable is silent, and to
cut one on a single host each member needs a network namespace of its own.

A namespace has no name here; it lives as long as a process in it does, which the guardian ends, and with it
go its interfaces and their other ends. So there is nothing to clean up, also after a crash. This host gets
one interface, ``rk<N>``, with the address 10.213.<N>.1; the members have .11, .12, …

Needs root, iproute2, iptables and nsenter.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from rabbitkeeper.agent.rabbitmq.runner import Finished, Runner
from rabbitkeeper.compose.local.errors import LocalError
from rabbitkeeper.compose.local.guardian import Guardian

_NETWORKS = range(1, 250)
_TOOLS = ("ip", "iptables", "nsenter", "unshare")
_UP_WITHIN = 10.0  # seconds for a namespace to be there


def why_not() -> str | None:
    """Why networks cannot be made here, a sentence; None if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"there is no {', '.join(missing)}; apt-get install iproute2 iptables util-linux"
    command = "ip link add rk0 type veth peer name rk1 && ip link del rk0 && iptables -w -S OUTPUT"
    tried = subprocess.run(
        ["unshare", "--net", "sh", "-c", command], capture_output=True, text=True, check=False
    )
    return None if tried.returncode == 0 else f"network namespaces do not work here: {tried.stderr.strip()}"


class InNetwork:
    """Runs commands in a member's network.

    Args:
        runner: runs them.
        enter: see :meth:`Network.enter`; empty for this host's network.
    """

    def __init__(self, runner: Runner, enter: Sequence[str]) -> None:
        self._runner = runner
        self._enter = enter

    def run(self, command: Sequence[str], *, stdin: str = "", timeout: float) -> Finished:
        return self._runner.run([*self._enter, *command], stdin=stdin, timeout=timeout)


class Network:
    """A switch and a namespace for each member.

    Args:
        guardian: keeps the namespaces alive.
        members: who gets one.

    Attributes:
        host: this host's address on the switch.
    """

    def __init__(self, guardian: Guardian, members: Sequence[str]) -> None:
        self._guardian = guardian
        self._numbers = {name: number for number, name in enumerate(members, start=11)}
        self._holders: dict[str, int] = {}  # a process in each namespace
        self.host = ""

    def start(self) -> None:
        """Make it.

        Raises:
            LocalError: it cannot be made here; says why.
        """
        reason = why_not()
        if reason is not None:
            raise LocalError(f"members cannot have networks of their own: {reason}")
        switch = self._holder("switch")
        number = self._join_host(switch)
        self.host = f"10.213.{number}.1"
        self._inside(switch, "ip", "link", "add", "switch", "type", "bridge")
        self._inside(switch, "ip", "link", "set", "switch", "up")
        self._inside(switch, "ip", "link", "set", "host", "master", "switch", "up")
        for name, its in self._numbers.items():
            self._join_member(switch, name, f"port{its}")

    def address(self, name: str) -> str:
        """A member's address."""
        return f"{self.host.rpartition('.')[0]}.{self._numbers[name]}"

    def enter(self, name: str) -> tuple[str, ...]:
        """What to put before a command so that it runs in a member's namespace, as the same process."""
        return ("nsenter", f"--net=/proc/{self._holders[name]}/ns/net", "--")

    def cut(self, name: str, *others: str) -> None:
        """From now on no packet passes between a member and others; nobody is told.

        Args:
            name: the member that is cut off.
            others: names of members, or ``host`` for this host (and ZooKeeper). None: from everything.
        """
        addresses = [self.host if other == "host" else self.address(other) for other in others] or ["0/0"]
        for address in addresses:
            self._rule(name, "INPUT", "!", "-i", "lo", "-s", address)
            self._rule(name, "OUTPUT", "!", "-o", "lo", "-d", address)

    def heal(self, name: str) -> None:
        """All packets pass again."""
        self._inside(self._holders[name], "iptables", "-w", "-F")

    # -- inside

    def _rule(self, name: str, *rule: str) -> None:
        self._inside(self._holders[name], "iptables", "-w", "-A", *rule, "-j", "DROP")

    def _holder(self, name: str) -> int:
        """A process in a new namespace."""
        child = self._guardian.spawn(
            f"the network of {name}",
            ["unshare", "--net", "sleep", "infinity"],
            env={"PATH": os.environ["PATH"]},
            log=self._guardian.folder / "network.log",
        )
        ours = Path("/proc/self/ns/net").readlink()
        deadline = time.monotonic() + _UP_WITHIN
        while Path(f"/proc/{child.pid}/ns/net").readlink() == ours:
            if not child.running or time.monotonic() > deadline:
                raise LocalError(f"{child.name} could not be made: {child.last_lines()}")
            child.wait(0.01)
        self._holders[name] = child.pid
        self._inside(child.pid, "ip", "link", "set", "lo", "up")
        return child.pid

    def _join_host(self, switch: int) -> int:
        """Connect this host to the switch by an interface whose name, and so whose network, is free."""
        for number in _NETWORKS:
            ours = f"rk{number}"
            made = subprocess.run(
                ["ip", "link", "add", ours, "type", "veth", "peer", "name", "host", "netns", str(switch)],
                capture_output=True,
                text=True,
                check=False,
            )
            if made.returncode == 0:
                _run("ip", "address", "add", f"10.213.{number}.1/24", "dev", ours)
                _run("ip", "link", "set", ours, "up")
                return number
            if "exists" not in made.stderr:
                raise LocalError(f"the interface {ours} cannot be made: {made.stderr.strip()}")
        raise LocalError("all networks from 10.213.1.0 to 10.213.249.0 are taken")

    def _join_member(self, switch: int, name: str, port: str) -> None:
        holder = self._holder(name)
        peer = ("peer", "name", "eth0", "netns", str(holder))
        self._inside(switch, "ip", "link", "add", port, "type", "veth", *peer)
        self._inside(switch, "ip", "link", "set", port, "master", "switch", "up")
        self._inside(holder, "ip", "address", "add", f"{self.address(name)}/24", "dev", "eth0")
        self._inside(holder, "ip", "link", "set", "eth0", "up")

    @staticmethod
    def _inside(holder: int, *command: str) -> None:
        _run("nsenter", f"--net=/proc/{holder}/ns/net", "--", *command)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LocalError(f"{' '.join(command)} failed: {done.stderr.strip()}")
