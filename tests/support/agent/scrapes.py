"""What Prometheus would collect from agents in given states, as the series of promtool's rule tests.

The samples are those of the agents' own ``/metrics``; only the states are made by hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from prometheus_client.parser import text_string_to_metric_families

from rabbitkeeper.agent.api.metrics import Metrics
from rabbitkeeper.agent.model.state import AgentState, Board, BrokerFacts
from rabbitkeeper.coordinator.model.records import MemberStatus, PauseRecord
from support import agent_states as hand_made
from support.agent_states import GROUP, NOW, leader, member, view

MEMBERS = ("node1", "node2", "node3")
INTERVAL = 5  # seconds between scrapes
JOB = "rabbitkeeper"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Agent:
    """How one agent is for some scrapes.

    Args:
        status: of its broker.
        leads: it does.
        connected: to ZooKeeper.
        ends: of its broker so far.
        silent: seconds since its loop has come round.
        hooks: outcomes so far.
        answers: it can be scraped.
        saw_lead: who led when it was connected last, if that is not who leads.
    """

    status: MemberStatus = MemberStatus.RUNNING
    leads: bool = False
    connected: bool = True
    ends: int = 0
    silent: float = 0.1
    hooks: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    answers: bool = True
    saw_lead: str | None = None


@dataclass(frozen=True)
class Group:
    """How the group is for some scrapes.

    Args:
        agents: by member; those left out are well.
        leader: who leads, if anybody does.
        epoch: of that.
        paused: the group is.
        unreadable: znodes that cannot be understood.
    """

    agents: Mapping[str, Agent] = field(default_factory=dict)
    leader: str | None = "node1"
    epoch: int = 7
    paused: bool = False
    unreadable: int = 0


def scrape(name: str, group: Group) -> dict[tuple[str, Labels], float]:
    """The samples of one agent, by name and labels; none if it does not answer."""
    agent = group.agents.get(name, Agent())
    if not agent.answers:
        return {}
    clock = [NOW]
    board = Board(lambda: clock[0])
    board.put_up(_state(name, agent, group))
    clock[0] += agent.silent
    metrics = Metrics(board, "0.1.0", hooks=agent.hooks, listeners=lambda: 0, clock=lambda: NOW)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if sample.name.startswith("rabbitkeeper_")
    }


def series(course: Sequence[tuple[int, Group]]) -> list[dict[str, str]]:
    """``input_series`` of a group over time.

    Args:
        course: how the group is, and for how many seconds.
    """
    groups = [group for seconds, group in course for _ in range(seconds // INTERVAL)]
    made: list[dict[str, str]] = []
    for name in MEMBERS:
        known = {id(group): scrape(name, group) for _, group in course}
        scrapes = [known[id(group)] for group in groups]
        target = {"instance": f"{name}:8008", "job": JOB}
        made.append(_one("up", target, [float(bool(samples)) for samples in scrapes]))
        keys = sorted({key for samples in known.values() for key in samples})
        made.extend(
            _one(name, {**dict(labels), **target}, [samples.get((name, labels)) for samples in scrapes])
            for name, labels in keys
        )
    return made


def _state(name: str, agent: Agent, group: Group) -> AgentState:
    led_by = agent.saw_lead or group.leader
    lead = None if led_by is None else leader(led_by, group.epoch)
    agents = {one: group.agents.get(one, Agent()) for one in MEMBERS}
    there = [member(one, about.status) for one, about in agents.items() if about.answers and about.connected]
    pause = PauseRecord(by="ann", since="2026-01-31T12:00:00.000Z") if group.paused else None
    problems = tuple(f"znode {number} cannot be read" for number in range(group.unreadable))
    seen = view(lead, *there, pause=pause, problems=problems)
    made = hand_made.state(
        agent.status, view=seen, connected=agent.connected, lease_left=4.0 if agent.connected else -1.0
    )
    session = 11 if group.leader == name else 12
    if lead is not None:
        seen = replace(seen, leader=replace(lead, owner=11))
    return replace(
        made,
        group=GROUP,
        name=name,
        node=f"rabbit@{name}",
        view=seen,
        session=replace(made.session, id=session),
        broker=BrokerFacts(ends=agent.ends),
    )


def _one(name: str, labels: Mapping[str, str], values: Sequence[float | None]) -> dict[str, str]:
    """A series as promtool writes it; what was there and is no more is marked so, as a scrape does."""
    written = []
    was: float | None = None
    for value in values:
        written.append(
            "stale" if value is None and was is not None else "_" if value is None else f"{value:g}"
        )
        was = value
    told = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return {"series": f"{name}{{{told}}}", "values": " ".join(written)}
