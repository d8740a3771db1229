"""How things are broken for the alerts, in a group of processes, and put right again.

When, and what comes of it, is not known here.
"""

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from common import end_alarm, others, raise_alarm, wait
from kazoo.client import KazooClient

from rabbitkeeper.compose.demo.local_faults import LocalStage
from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.model.paths import GroupPaths

PATIENCE = 120.0  # seconds for anything that is waited for while a fault is made or undone
ZOOKEEPERS = 3
MOVES = 6  # of the lead; more than three are too many
PACE = 4.0  # seconds between two moves: those between two scrapes would count as one


class Stage(LocalStage):
    """A group of three whose agents have their API on, with more ways to break it.

    Args:
        local: running.
        leader: who leads now.
        flag: a file; while it is there, hooks fail.
        networks: whether each member has a network of its own.
    """

    def __init__(self, local: Local, leader: Callable[[], str | None], flag: Path, *, networks: bool) -> None:
        super().__init__(local)
        self.networks = networks
        self._leader = leader
        self._flag = flag
        self._spoilt: bytes | None = None

    def repair(self, _member: str) -> None:
        """Start again what has ended, as systemd or Docker would, and nothing else."""
        self.local.zookeeper.start(timeout=PATIENCE)
        for name in self.local.members:
            self.local.start_agent(name)

    def enter(self, member: str) -> tuple[str, ...]:
        """What to put before a command so that it runs in a member's network, if it has one of its own."""
        return self.local.network.enter(member) if self.networks else ()

    # -- brokers and agents

    def stop_broker(self, member: str) -> None:
        pid = self.local.broker_pid(member)
        assert pid is not None
        os.kill(pid, signal.SIGTERM)

    def hang_boot(self, member: str) -> None:
        """Kill the broker, and stop the one that is started in its place."""
        old = self.local.broker_pid(member)
        self.local.kill_broker(member)
        wait(lambda: self.local.broker_pid(member) not in (None, old), "it is started again", PATIENCE)
        self.local.stop_broker(member)

    def continue_broker(self, member: str) -> None:
        self.local.continue_broker(member)

    def stop_agent(self, member: str) -> None:
        self.local.stop_agent(member)

    def continue_agent(self, member: str) -> None:
        super().continue_agent(member)
        self.repair(member)

    def kill_others(self, member: str) -> None:
        for name in others(self.local, member):
            self.local.kill_node(name)

    def kill_in_a_pause(self, member: str) -> None:
        self.ask(others(self.local, member)[0], "pause")
        self.local.kill_node(member)

    def resume(self, member: str) -> None:
        self.repair(member)
        self.ask(others(self.local, member)[0], "resume")

    def raise_alarm(self, member: str) -> None:
        raise_alarm(self.local, member)

    def end_alarm(self, member: str) -> None:
        end_alarm(self.local, member)

    def restart_all(self, member: str) -> None:
        for number in range(ZOOKEEPERS):
            self.local.kill_zookeeper(number)
        for name in self.local.members:
            self.local.kill_node(name)
        self.repair(member)

    # -- networks

    def cut_broker(self, member: str) -> None:
        self.local.network.cut(member, *others(self.local, member))

    def cut_agent(self, member: str) -> None:
        """From ZooKeeper's ports alone: who scrapes is on the same host as ZooKeeper."""
        for server in self.local.zookeeper_hosts.split(","):
            host, port = server.split(":")
            rule = ["OUTPUT", "-p", "tcp", "-d", host, "--dport", port, "-j", "DROP"]
            subprocess.run(
                [*self.enter(member), "iptables", "-w", "-A", *rule], check=True, capture_output=True
            )

    # -- ZooKeeper

    def kill_zookeeper(self, _member: str) -> None:
        self.local.kill_zookeeper(ZOOKEEPERS - 1)

    def stop_zookeeper(self, _member: str) -> None:
        self.local.stop_zookeeper(0)

    def freeze_zookeeper(self, _member: str) -> None:
        self.local.zookeeper.freeze(ZOOKEEPERS - 1)

    def thaw_zookeeper(self, _member: str) -> None:
        self.local.zookeeper.thaw(ZOOKEEPERS - 1)

    def stop_all_zookeepers(self, _member: str) -> None:
        for number in range(ZOOKEEPERS):
            self.local.stop_zookeeper(number)

    def spoil_configuration(self, _member: str) -> None:
        self._spoilt = self._configuration(b"{")

    def restore_configuration(self, _member: str) -> None:
        assert self._spoilt is not None
        self._configuration(self._spoilt)

    # -- what operators do

    def ask(self, asked: str, operation: str, **arguments: object) -> None:
        """Ask an agent for an operation, by its HTTP API."""
        request = urllib.request.Request(  # noqa: S310 - an agent's own address
            f"{self.local.api(asked)}/{operation}",
            json.dumps({"by": "bench", **arguments}).encode(),
            {"Authorization": f"Bearer {self.local.api_token(asked)}"},
        )
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            pass

    def pause(self, member: str) -> None:
        self.ask(member, "pause")

    def end_pause(self, member: str) -> None:
        self.ask(member, "resume")

    def switch_over(self, member: str) -> None:
        self.move(member, others(self.local, member)[0])

    def restart(self, member: str) -> None:
        """Have an operator restart a broker; returns when the old one is gone."""
        old = self.local.broker_pid(member)
        self.ask(member, "restart", member=member)
        wait(lambda: self.local.broker_pid(member) != old, f"the broker of {member} ends", PATIENCE)

    def move_on_and_on(self, member: str) -> None:
        for number in range(MOVES):
            here, to = self.local.members[number % 3], self.local.members[(number + 1) % 3]
            if number == 0 and member != here:
                self.move(member, here)
            self.move(here, to)
            time.sleep(PACE)

    def fail_hooks(self, member: str) -> None:
        self._flag.touch()
        self.switch_over(member)

    def heal_hooks(self, _member: str) -> None:
        self._flag.unlink()

    def move(self, asked: str, to: str) -> None:
        """Switch the lead over; returns when ``to`` leads."""
        self.ask(asked, "switchover", to=to)
        wait(lambda: self._leader() == to, f"{to} leads", PATIENCE)

    # -- inside

    def _configuration(self, content: bytes) -> bytes:
        """Write the group's configuration with another tool; what was there."""
        session = KazooClient(self.local.zookeeper_hosts)
        session.start(PATIENCE)
        try:
            path = GroupPaths(self.local.group).config
            before: bytes = session.get(path)[0]
            session.set(path, content)
        finally:
            session.stop()
            session.close()
        return before
