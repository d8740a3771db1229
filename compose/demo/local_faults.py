"""What the demo and the fault tests break when everything runs in processes on this machine."""

import os
import signal

from rabbitkeeper.compose.demo.scenario import Fault
from rabbitkeeper.compose.demo.timeline import GroupTimeline
from rabbitkeeper.compose.local import Local


class LocalStage:
    """A running :class:`~rabbitkeeper.compose.local.Local` as the scenario's stage."""

    def __init__(self, local: Local) -> None:
        self.local = local

    def logs(self, target: str) -> str:
        return str(self.local.logs(target))

    def is_back(self, target: str, timeline: GroupTimeline) -> bool:
        return timeline.runs(target)

    def kill_broker(self, member: str) -> None:
        self.local.kill_broker(member)

    def kill_node(self, member: str) -> None:
        self.local.kill_node(member)

    def hang_broker(self, member: str) -> None:
        self.local.stop_broker(member)

    def start_node(self, member: str) -> None:
        self.local.start_agent(member)  # as systemd or Docker would

    def kill_agent(self, member: str) -> None:
        self.local.kill_agent(member)

    def hang_agent(self, member: str) -> None:
        self._signal_agent(member, signal.SIGSTOP)

    def continue_agent(self, member: str) -> None:
        self._signal_agent(member, signal.SIGCONT)

    def cut_node(self, member: str) -> None:
        self.local.network.cut(member)

    def cut_from_zookeeper(self, member: str) -> None:
        self.local.network.cut(member, "host")

    def heal_network(self, member: str) -> None:
        self.local.network.heal(member)

    def _signal_agent(self, member: str, number: signal.Signals) -> None:
        pid = self.local.agent_pid(member)
        if pid is not None:
            os.kill(pid, number)


KILL_BROKER = Fault("broker killed", "SIGKILL to the broker of {target}", LocalStage.kill_broker)
KILL_NODE = Fault(
    "node killed", "SIGKILL to broker and agent of {target}", LocalStage.kill_node, LocalStage.start_node
)
HANG_BROKER = Fault("broker hung", "SIGSTOP to the broker of {target}", LocalStage.hang_broker)
KILL_AGENT = Fault(
    "agent killed", "SIGKILL to the agent of {target}", LocalStage.kill_agent, LocalStage.start_node
)
HANG_AGENT = Fault(
    "agent hung",
    "SIGSTOP to the agent of {target}",
    LocalStage.hang_agent,
    LocalStage.continue_agent,
    repaired="{target} goes on",
)
# These need a network for each member, and last longer than it and its peers need to notice and to act.
CUT_NODE = Fault(
    "node cut off",
    "{target} is cut off from everything",
    LocalStage.cut_node,
    LocalStage.heal_network,
    repaired="{target} is connected again",
    absence=15.0,
)
CUT_FROM_ZOOKEEPER = Fault(
    "agent cut off",
    "{target} is cut off from ZooKeeper and the clients, not from the brokers",
    LocalStage.cut_from_zookeeper,
    LocalStage.heal_network,
    repaired="{target} is connected again",
    absence=15.0,
)
FAULTS = (KILL_BROKER, KILL_NODE, HANG_BROKER)
