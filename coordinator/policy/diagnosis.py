"""What is wrong with a group, and what would help: facts in, findings out. Pure.

A *problem* is something that does not work, or will not when it is needed. A *warning* is something to know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rabbitkeeper.coordinator.model.records import MemberRecord, MemberStatus
from rabbitkeeper.coordinator.model.view import GroupView
from rabbitkeeper.coordinator.policy.schedule import seconds_of

LONG_PAUSE = 3600.0  # seconds
LONG_MOVE = 60.0  # seconds; a switchover takes a fraction of one, and gives up after 30
LONG_MAINTENANCE = 1800.0  # seconds; a restart takes under a minute a member
CLOCK_TOLERANCE = 2.0  # seconds; an answer under way takes some of them
_GRANTED_TOLERANCE = 0.05  # seconds


class Severity(StrEnum):
    PROBLEM = "problem"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        about: what it is about: ``zookeeper``, ``group``, a member's name, …
        sentence: what was found.
        remedy: what would help.
    """

    severity: Severity
    about: str
    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """One ZooKeeper server, as asked directly."""

    address: str
    problem: str | None = None  # why it does not answer


@dataclass(frozen=True, slots=True)
class ApiFacts:
    """One agent's HTTP API, as asked directly."""

    problem: str | None = None  # why it does not answer
    clock_ahead: float = 0.0  # seconds by which the agent's clock is ahead of ours
    session_timeout: float | None = None  # seconds, as ZooKeeper granted it to the agent
    token_in_clear: bool = False  # it takes operations over a network without TLS


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was looked at.

    Attributes:
        view: the group.
        servers: of ZooKeeper.
        apis: by member; none for an agent without one.
        asked, granted: seconds, the timeout of our own session.
        unreadable: other znodes that could not be read, a sentence each.
        wall: seconds since 1970.
        exposed: who may do more in ZooKeeper than they should, a sentence each.
    """

    view: GroupView
    servers: Sequence[ServerFacts]
    apis: Mapping[str, ApiFacts] = field(default_factory=dict)
    asked: float = 6.0
    granted: float = 6.0
    unreadable: Sequence[str] = ()
    wall: float = 0.0
    exposed: Sequence[str] = ()


def diagnose(evidence: Evidence) -> list[Finding]:
    """The findings, problems first."""
    found = [
        *_zookeeper(evidence),
        *_readable(evidence),
        *_leader(evidence.view),
        *_cluster(evidence.view),
        *_members(evidence),
        *_versions(evidence.view),
        *_pending(evidence),
        *_exposed(evidence),
    ]
    return sorted(found, key=lambda finding: finding.severity is not Severity.PROBLEM)


def _problem(about: str, sentence: str, remedy: str) -> Finding:
    return Finding(Severity.PROBLEM, about, sentence, remedy)


def _warning(about: str, sentence: str, remedy: str) -> Finding:
    return Finding(Severity.WARNING, about, sentence, remedy)


def _exposed(evidence: Evidence) -> list[Finding]:
    found = [
        _warning("zookeeper", sentence, "docs/operations.md, Access to ZooKeeper, tells how to close a group")
        for sentence in evidence.exposed
    ]
    return found + [
        _warning(
            name,
            "its HTTP API takes operations without TLS, so that the token can be read on the network",
            "set http.certificate, or have http.listen be 127.0.0.1",
        )
        for name, api in sorted(evidence.apis.items())
        if api.token_in_clear
    ]


def _zookeeper(evidence: Evidence) -> list[Finding]:
    found = [
        _problem("zookeeper", f"{server.address} does not answer: {server.problem}", "start it or correct -z")
        for server in evidence.servers
        if server.problem is not None
    ]
    count = len(evidence.servers)
    if count < 3:
        found.append(
            _warning(
                "zookeeper",
                f"{count} ZooKeeper server{'' if count == 1 else 's'} tolerate{'s' if count == 1 else ''} no "
                "failure",
                "run three, and give all of them to agents and clients",
            )
        )
    if abs(evidence.granted - evidence.asked) > _GRANTED_TOLERANCE:
        bound = "minSessionTimeout (two ticks)" if evidence.granted > evidence.asked else "maxSessionTimeout"
        found.append(
            _warning(
                "zookeeper",
                f"a session that asks for {evidence.asked:g} s gets {evidence.granted:g} s",
                f"set tickTime or {bound} of the servers so that agents get what they ask for",
            )
        )
    granted = {
        name: api.session_timeout for name, api in evidence.apis.items() if api.session_timeout is not None
    }
    if len(set(granted.values())) > 1:
        each = ", ".join(f"{name} {seconds:g} s" for name, seconds in sorted(granted.items()))
        found.append(
            _warning(
                "zookeeper",
                f"the agents' sessions have different timeouts: {each}",
                "give all agents the same zookeeper.session_timeout",
            )
        )
    return found


def _readable(evidence: Evidence) -> list[Finding]:
    return [
        _problem("znodes", sentence, "see who writes there; correct or delete the znode")
        for sentence in (*evidence.view.problems, *evidence.unreadable)
    ]


def _leader(view: GroupView) -> list[Finding]:
    if view.leader is not None or view.leader_unreadable is not None:  # the latter is among the problems
        return []
    if view.pause is not None:
        return [
            _problem("group", "nobody leads, and the group is paused", "resume it, or failover --to NAME")
        ]
    return [
        _problem("group", "nobody leads", "see the members' states below, and the log of an agent that runs")
    ]


def _cluster(view: GroupView) -> list[Finding]:
    if view.cluster is None:
        return [_problem("cluster", "no RabbitMQ cluster has been formed yet", "see the agents' logs")]
    nodes = view.cluster.record.nodes
    recorded = {node.member for node in nodes.values()}
    found = [
        _problem(
            name,
            "belongs to the cluster, and its agent is not registered",
            f"start it; or, if it is gone for good, rabbitkeeper member remove {name}",
        )
        for name in sorted(recorded - view.members.keys())
    ]
    found += [
        _problem(name, f"{member.record.node} is not in the cluster", "its agent's log says why")
        for name, member in sorted(view.members.items())
        if member.record.node not in nodes
    ]
    found += [
        _problem(
            its.member,
            f"{node} is recorded as its node, and it is {view.members[its.member].record.node} now",
            f"once {node} is stopped for good: rabbitkeeper member replace {its.member}",
        )
        for node, its in sorted(nodes.items())
        if its.member in view.members and view.members[its.member].record.node != node
    ]
    if len(nodes) < 3:
        one = len(nodes) == 1
        found.append(
            _warning(
                "cluster",
                f"{len(nodes)} node{'' if one else 's'} tolerate{'s' if one else ''} no failure",
                "run three, so that a majority is left when one is lost",
            )
        )
    return found


def _members(evidence: Evidence) -> list[Finding]:
    found = []
    for name, member in sorted(evidence.view.members.items()):
        record = member.record
        if record.state is not MemberStatus.RUNNING:
            why = f": {'; '.join(record.reasons)}" if record.reasons else ""
            found.append(_problem(name, f"is {record.state}{why}", _STATE_REMEDIES[record.state]))
        found.extend(_warning(name, told, "docs/operations.md, States") for told in record.warnings)
        found.extend(_settings(name, record))
        found.extend(_api(name, record, evidence))
    return found


_STATE_REMEDIES = {
    MemberStatus.STARTING: "wait; if it lasts, see its agent's log",
    MemberStatus.ALARMED: "free memory or disk on the node that has the alarm",
    MemberStatus.MINORITY: "bring back the brokers that are away",
    MemberStatus.HUNG: "its agent restarts it, if it may; else restart it",
    MemberStatus.DRAINING: "wait; if it lasts, rabbitkeeper operations",
    MemberStatus.STOPPED: "its agent's log says how it ended",
    MemberStatus.SPLIT: "its agent restarts it, if it may; else restart it",
    MemberStatus.STARVING: "its agent restarts it, if it may; else restart it",
    MemberStatus.UNREACHABLE: "see whether it listens, and its log",
}


def _settings(name: str, record: MemberRecord) -> list[Finding]:
    taken = record.config
    if taken is None:
        return []
    found = []
    if taken.problem is not None:
        found.append(
            _problem(
                name,
                f"does not go by the group's configuration: {taken.problem}",
                "correct it with rabbitkeeper config edit",
            )
        )
    if taken.restart_pending:
        keys = ", ".join(taken.restart_pending)
        found.append(_warning(name, f"has not taken {keys} yet", "restart its agent"))
    return found


def _api(name: str, record: MemberRecord, evidence: Evidence) -> list[Finding]:
    api = evidence.apis.get(name)
    if api is None:
        return []
    if api.problem is not None:
        return [
            _problem(
                name,
                f"its agent does not answer at {record.api}: {api.problem}",
                "see whether it runs, and http.listen and http.advertise",
            )
        ]
    if abs(api.clock_ahead) > CLOCK_TOLERANCE:
        where = "ahead" if api.clock_ahead > 0 else "behind"
        return [
            _warning(
                name,
                f"its clock is {abs(api.clock_ahead):.0f} s {where} of the one here",
                "keep clocks together (NTP): appointed switchovers and logs go by them",
            )
        ]
    return []


def _versions(view: GroupView) -> list[Finding]:
    found = []
    for what in ("agent", "rabbitmq"):
        versions: dict[str, list[str]] = {}
        for name, member in sorted(view.members.items()):
            version = getattr(member.record.versions, what)
            if version is not None:
                versions.setdefault(version, []).append(name)
        if len(versions) > 1:
            each = "; ".join(f"{version}: {', '.join(names)}" for version, names in sorted(versions.items()))
            called = "agents" if what == "agent" else "RabbitMQ"
            found.append(_warning("group", f"several versions of {called} ({each})", "finish the upgrade"))
    return found


def _pending(evidence: Evidence) -> list[Finding]:
    view, found = evidence.view, []
    if view.pause is not None:
        age = _age(view.pause.since, evidence.wall)
        kind = _problem if age is None or age > LONG_PAUSE else _warning
        since = f" since {view.pause.since}" if view.pause.since else ""
        found.append(
            kind("group", f"paused by {view.pause.by}{since}: no automatic failover", "rabbitkeeper resume")
        )
    if view.switchover is not None and view.switchover.record.at is None:
        move = view.switchover.record
        if (_age(move.requested, evidence.wall) or 0.0) > LONG_MOVE:
            found.append(_stuck(move.kind, move.id, move.requested))
    if view.maintenance is not None:
        work = view.maintenance.record
        if (_age(work.requested, evidence.wall) or 0.0) > LONG_MAINTENANCE:
            found.append(_stuck(work.kind, work.id, work.requested))
    return found


def _stuck(kind: str, operation: str, since: str) -> Finding:
    return _problem(
        "group",
        f"the {kind} {operation} has not ended since {since}",
        f"rabbitkeeper operations show {operation} tells how far it is, operations cancel ends it",
    )


def _age(moment: str, wall: float) -> float | None:
    then = seconds_of(moment)
    return None if then is None else wall - then
