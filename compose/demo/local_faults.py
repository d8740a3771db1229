"""What the demo breaks when everything runs in processes on this machine."""

from rabbitkeeper.compose.demo.scenario import Fault
from rabbitkeeper.compose.demo.sightings import Sightings
from rabbitkeeper.compose.local import Local


class LocalStage:
    """A running :class:`~rabbitkeeper.compose.local.Local` as the scenario's stage."""

    def __init__(self, local: Local) -> None:
        self.local = local

    def logs(self, target: str) -> str:
        return str(self.local.logs(target))

    def is_back(self, target: str, sightings: Sightings) -> bool:
        return sightings.runs(target)

    def kill_broker(self, member: str) -> None:
        self.local.kill_broker(member)

    def kill_node(self, member: str) -> None:
        self.local.kill_node(member)

    def hang_broker(self, member: str) -> None:
        self.local.stop_broker(member)

    def start_node(self, member: str) -> None:
        self.local.start_agent(member)  # as systemd or Docker would


KILL_BROKER = Fault("broker killed", "SIGKILL to the broker of {target}", LocalStage.kill_broker)
KILL_NODE = Fault(
    "node killed", "SIGKILL to broker and agent of {target}", LocalStage.kill_node, LocalStage.start_node
)
HANG_BROKER = Fault("broker hung", "SIGSTOP to the broker of {target}", LocalStage.hang_broker)
FAULTS = (KILL_BROKER, KILL_NODE, HANG_BROKER)
