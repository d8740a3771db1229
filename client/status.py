"""What a client tells of itself: values, made on request."""

from dataclasses import dataclass, field, replace

from rabbitkeeper.client.amqp.pika_connection import ConnectionParameters, connection_parameters
from rabbitkeeper.client.amqp.transport import Access
from rabbitkeeper.client.engine.snapshot import Snapshot
from rabbitkeeper.client.engine.subscriptions import ConsumerCounts
from rabbitkeeper.client.model.errors import NoLeader, RabbitKeeperError
from rabbitkeeper.client.model.status import LastSwitch
from rabbitkeeper.client.routing.switch import Phase


@dataclass(frozen=True, slots=True)
class Status:
    """Where a client is, at one moment."""

    phase: Phase
    member: str | None  # it is connected to
    address: str | None
    since: float  # seconds, monotonic: of the phase
    epoch: int  # the newest that it has seen
    leader: str | None  # as last seen
    unconfirmed: int  # publishes without an outcome
    consumers: int  # that a broker has taken on
    consumers_wanted: int  # that should be: fewer are there for a moment after a switch, or see the events
    in_hand: int  # messages delivered and not answered
    last_switch: LastSwitch | None
    blocked: str | None  # why the broker blocks publishers, while it does
    zookeeper: bool  # whether ZooKeeper answers; where agents are asked, whether one does that has it
    error: str | None  # the last one, while there is no connection


@dataclass(frozen=True, slots=True)
class Leader:
    """The leader, for those who connect with something else."""

    member: str
    address: str
    epoch: int
    _access: Access = field(repr=False)

    def parameters(self) -> ConnectionParameters:
        """For pika: host, port, virtual host and the client's own credentials, asked for if a function gives
        them."""
        access = self._access
        if access.ask is not None:
            username, password, _ = access.ask()
            access = replace(access, username=username, password=password)
        return connection_parameters(access, self.address, timeout=10.0)


def status_of(snapshot: Snapshot, consumers: ConsumerCounts, *, unconfirmed: int, zookeeper: bool) -> Status:
    """What the engine shows, as users see it."""
    target = snapshot.target
    return Status(
        phase=snapshot.phase,
        member=None if target is None else target.member,
        address=None if target is None else target.address,
        since=snapshot.since,
        epoch=snapshot.epoch,
        leader=None if snapshot.leader is None else snapshot.leader.member,
        unconfirmed=unconfirmed,
        consumers=consumers.active,
        consumers_wanted=consumers.wanted,
        in_hand=consumers.in_hand,
        last_switch=snapshot.last_switch,
        blocked=snapshot.blocked,
        zookeeper=zookeeper,
        error=snapshot.error,
    )


def leader_of(snapshot: Snapshot, group: str, access: Access) -> Leader:
    """The leader as last seen.

    Raises:
        NoLeader: there is none.
    """
    if snapshot.leader is None:
        raise NoLeader(f"group {group!r} has no leader at the moment")
    return Leader(snapshot.leader.member, snapshot.leader.address, snapshot.epoch, access)


def check_reached(
    snapshot: Snapshot, failure: RabbitKeeperError | None, what: str, *, mismatch: str | None
) -> None:
    """Say why a client has not reached a broker, if it has not.

    Args:
        failure: why the client has ended already, if it has.
        what: no broker has done.
        mismatch: why no member that is there can be used; None if one can, or none is there.

    Raises:
        NoLeader: it has not.
        RabbitKeeperError: ``failure``.
    """
    if failure is not None:
        raise failure
    if snapshot.phase is not Phase.CONNECTING:
        return
    seen = "it has no leader" if snapshot.leader is None else f"its leader is {snapshot.leader.member}"
    raise NoLeader(f"no broker {what}: {mismatch or seen}; last error: {snapshot.error or 'none'}")
