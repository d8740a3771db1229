"""What a loop and its agent are made of, by subject: our broker's side and the group's."""

from dataclasses import dataclass
from typing import Protocol

from rabbitkeeper.agent.broker.supervisor import BrokerSupervisor
from rabbitkeeper.agent.group.announcement import Announcer
from rabbitkeeper.agent.group.membership import Membership
from rabbitkeeper.agent.group.operation_runner import OperationRunner
from rabbitkeeper.agent.loop.housekeeping import Housekeeping
from rabbitkeeper.agent.model.observation import ConnectionFacts
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.store.store import Store


class BrokerProbe(Protocol):
    """What is needed of the probe."""

    @property
    def facts(self) -> ConnectionFacts:
        """What is known of the connection now."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class BrokerSide:
    """Who look after our broker: its process, the connection to it, and what is asked not often."""

    supervisor: BrokerSupervisor
    probe: BrokerProbe
    housekeeping: Housekeeping


@dataclass(frozen=True, slots=True)
class GroupSide:
    """Our part in the group.

    Attributes:
        backend: our session with what holds the group; the store and the membership go through it.
        store: of the group.
        membership: our znodes.
        operations: what operators have asked for.
        announcer: who we are.
    """

    backend: Backend
    store: Store
    membership: Membership
    operations: OperationRunner
    announcer: Announcer
