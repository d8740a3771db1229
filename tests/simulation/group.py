"""What ZooKeeper says of a group, as a test has it: members, their states, and who leads in which epoch."""

from collections.abc import Callable
from dataclasses import replace

from rabbitkeeper.client.routing.placement import Target, Targets
from rabbitkeeper.coordinator.model.records import MemberStatus


class SimulatedGroup:
    """Every change is shown to all who watch, at once.

    Args:
        names: of the members; each has its broker at ``<name>:5672``.
        leader: that leads first; None for nobody.
    """

    def __init__(self, names: str = "abc", leader: str | None = "a") -> None:
        self.watchers: list[Callable[[Targets], None]] = []
        self.epoch = 0 if leader is None else 1
        self.leader = leader
        self.members = {
            name: Target(name, f"{name}-1", f"{name}:5672", MemberStatus.RUNNING) for name in names
        }
        self.loads: dict[str, int] = {}
        self._gone: dict[str, Target] = {}

    @property
    def targets(self) -> Targets:
        """As a client sees it now."""
        leader = None
        if self.leader is not None:
            leader = self.members.get(self.leader) or self._gone[self.leader]
        return Targets(self.epoch, leader, dict(self.members), dict(self.loads))

    def show(self, targets: Targets | None = None) -> None:
        """Show what there is, or something else: a view that is out of date."""
        for watcher in self.watchers:
            watcher(self.targets if targets is None else targets)

    def lead(self, name: str) -> None:
        """``name`` has taken the lead, in a new epoch."""
        self.leader, self.epoch = name, self.epoch + 1
        self.show()

    def resign(self) -> None:
        """Nobody leads."""
        self.leader = None
        self.show()

    def says(self, name: str, status: MemberStatus) -> None:
        """The agent of ``name`` says how its broker is."""
        self.members[name] = replace(self.members[name], status=status)
        self.show()

    def remove(self, *names: str) -> None:
        """Their znodes have gone."""
        for name in names:
            self._gone[name] = self.members.pop(name)
        self.show()

    def add(self, name: str) -> None:
        """It is there again, as another instance."""
        before = self._gone.pop(name)
        number = int(before.instance.rpartition("-")[2]) + 1
        self.members[name] = replace(before, instance=f"{name}-{number}", status=MemberStatus.RUNNING)
        self.show()
