"""The alerts by Debian's promtool, over what the agents' metrics say at each fault: fired, and cleared."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.agent.scrapes import MEMBERS, Agent, Group, series
from support.source_tree import ROOT

from rabbitkeeper.coordinator.model.records import MemberStatus

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is of the package prometheus"
)

RULES = ROOT / "agent" / "monitoring" / "alerts.yml"
WELL, AFTER = 120, 1200  # seconds before and after a fault

Course = list[tuple[int, Group]]


def lasting(seconds: int, **fault: object) -> Course:
    """A fault that is over after ``seconds``."""
    return [(seconds, Group(**fault))]  # type: ignore[arg-type]


def at(member: str, **agent: object) -> Mapping[str, Agent]:
    return {member: Agent(**agent)}  # type: ignore[arg-type]


def ended(member: str) -> Mapping[str, Agent]:
    return at(member, ends=1)


# Of each fault: what the agents say while it lasts; how they are afterwards; which alerts fire.
FAULTS: dict[str, tuple[Course, Group, set[str]]] = {
    # as the local demo has them: what is killed or hangs is back within ten seconds or so
    "broker killed": (
        [
            (5, Group(at("node1", status=MemberStatus.STOPPED, ends=1), leader=None)),
            (15, Group(at("node1", status=MemberStatus.STARTING, ends=1), leader="node2", epoch=8)),
            (60, Group(ended("node1"), leader="node2", epoch=8)),
        ],
        Group(ended("node1"), leader="node2", epoch=8),
        {"RabbitKeeperBrokerEnded"},
    ),
    "broker hung": (
        [
            (5, Group(at("node1", status=MemberStatus.HUNG), leader=None)),
            (15, Group(at("node1", status=MemberStatus.STARTING, ends=1), leader="node2", epoch=8)),
            (60, Group(ended("node1"), leader="node2", epoch=8)),
        ],
        Group(ended("node1"), leader="node2", epoch=8),
        {"RabbitKeeperBrokerEnded"},
    ),
    "node killed": (
        lasting(60, agents=at("node1", answers=False), leader="node2", epoch=8),
        Group(leader="node2", epoch=8),
        {"RabbitKeeperAgentDown"},
    ),
    "agent killed": (
        lasting(60, agents=at("node2", answers=False)),
        Group(),
        {"RabbitKeeperAgentDown"},
    ),
    "agent hung": (
        lasting(60, agents=at("node1", answers=False), leader="node2", epoch=8),
        Group(leader="node2", epoch=8),
        {"RabbitKeeperAgentDown"},
    ),
    "node cut off": (
        lasting(60, agents=at("node3", answers=False)),
        Group(),
        {"RabbitKeeperAgentDown"},
    ),
    "agent cut off from ZooKeeper": (
        lasting(60, agents=at("node3", connected=False)),
        Group(),
        {"RabbitKeeperAgentWithoutZooKeeper"},
    ),
    "ZooKeeper away": (
        lasting(60, agents={name: Agent(connected=False) for name in MEMBERS}),
        Group(),
        {"RabbitKeeperZooKeeperAway"},
    ),
    "leader's agent that cannot be scraped and goes on": (
        lasting(60, agents=at("node1", answers=False)),
        Group(),
        {"RabbitKeeperAgentDown"},
    ),
    "nobody takes the lead, and an agent without ZooKeeper knows of an old one": (
        lasting(60, agents=at("node3", connected=False, saw_lead="node1"), leader=None),
        Group(),
        {"RabbitKeeperNoLeader", "RabbitKeeperAgentWithoutZooKeeper"},
    ),
    # what does not mend itself
    "broker that does not come up": (
        lasting(180, agents=at("node2", status=MemberStatus.STOPPED)),
        Group(),
        {"RabbitKeeperBrokerDown"},
    ),
    "broker split off": (
        lasting(180, agents=at("node2", status=MemberStatus.SPLIT)),
        Group(),
        {"RabbitKeeperBrokerDown"},
    ),
    "nobody takes the lead": (lasting(60, leader=None), Group(), {"RabbitKeeperNoLeader"}),
    "two of three brokers gone": (
        lasting(
            120,
            agents={
                "node1": Agent(MemberStatus.MINORITY),
                "node2": Agent(answers=False),
                "node3": Agent(answers=False),
            },
        ),
        Group(),
        {"RabbitKeeperNoMajority", "RabbitKeeperAgentDown"},
    ),
    "two of three brokers gone, and the third pauses itself": (
        lasting(
            120,
            agents={
                "node1": Agent(MemberStatus.UNREACHABLE),
                "node2": Agent(answers=False),
                "node3": Agent(answers=False),
            },
            leader=None,
        ),
        Group(),
        {"RabbitKeeperNoLeader", "RabbitKeeperAgentDown", "RabbitKeeperBrokerDown"},
    ),
    "disk alarm": (
        lasting(60, agents={name: Agent(MemberStatus.ALARMED) for name in MEMBERS}),
        Group(),
        {"RabbitKeeperBrokerAlarm"},
    ),
    "loop that hangs": (lasting(30, agents=at("node2", silent=4.0)), Group(), {"RabbitKeeperLoopSlow"}),
    "spoilt znode": (lasting(120, unreadable=1), Group(), {"RabbitKeeperUnreadableZnodes"}),
    "hook that fails": (
        lasting(60, agents=at("node1", hooks={("member_down", "command", "failed"): 1})),
        Group(at("node1", hooks={("member_down", "command", "failed"): 1})),
        {"RabbitKeeperHookFails"},
    ),
    "hook that fails again": (
        lasting(60, agents=at("node1", hooks={("member_down", "webhook", "failed"): 5})),
        Group(at("node1", hooks={("member_down", "webhook", "failed"): 5})),
        {"RabbitKeeperHookFails"},
    ),
    "lead that moves on and on": (
        [(30, Group(leader=MEMBERS[turn % 3], epoch=8 + turn)) for turn in range(5)],
        Group(leader="node2", epoch=12),
        {"RabbitKeeperLeadMovesOften"},
    ),
    "forgotten pause": (lasting(3700, paused=True), Group(), {"RabbitKeeperPausedForLong"}),
    # and what is no fault
    "planned switchover": ([(60, Group(leader="node2", epoch=8))], Group(leader="node2", epoch=8), set()),
    "short pause": (lasting(600, paused=True), Group(), set()),
    "restart of a broker by an operator": (
        [
            (10, Group(at("node3", status=MemberStatus.DRAINING))),
            (30, Group(at("node3", status=MemberStatus.STARTING))),
        ],
        Group(),
        set(),
    ),
}
BEFORE = {"hook that fails again": Group(at("node1", hooks={("member_down", "webhook", "failed"): 4}))}


def firing(seconds: int, alerts: set[str]) -> dict[str, object]:
    """That at this moment these alerts fire and no others."""
    return {
        "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": f"{seconds}s",
        "exp_samples": [
            {"labels": json.dumps({"alertname": name}).replace('"alertname":', "alertname="), "value": 1}
            for name in sorted(alerts)
        ],
    }


def course_of(fault: str) -> tuple[Course, int]:
    """The group before, in and after a fault, and when that ends."""
    during, after, _ = FAULTS[fault]
    before = BEFORE.get(fault, Group())
    well = 1200 if fault in BEFORE else WELL
    return [(well, before), *during, (AFTER, after)], well + sum(seconds for seconds, _ in during)


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=240, check=False
    )


def test_the_rules_are_valid() -> None:
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fires_its_alert_and_no_other_and_it_clears(fault: str, tmp_path: Path) -> None:
    course, over = course_of(fault)
    alerts = FAULTS[fault][2]
    content = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "5s",
        "tests": [
            {
                "interval": "5s",
                "input_series": series(course),
                "promql_expr_test": [
                    firing(course[0][0] - 5, set()),
                    firing(over - 5, alerts),
                    firing(over + AFTER - 10, set()),
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(json.dumps(content))  # JSON is YAML
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_fault_that_fires_it() -> None:
    text = RULES.read_text()
    named = {line.split()[-1] for line in text.splitlines() if line.strip().startswith("- alert:")}
    # Two leaders at once are what the whole protocol is there to make impossible.
    assert named - set().union(*(alerts for _, _, alerts in FAULTS.values())) == {"RabbitKeeperTwoLeaders"}
