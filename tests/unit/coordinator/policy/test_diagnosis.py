"""What the doctor finds: one thing wrong at a time, in a group that is otherwise well."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from rabbitkeeper.coordinator.cli.commands.watch import changes
from rabbitkeeper.coordinator.model.records import (
    ClusterNode,
    ClusterRecord,
    LeaderRecord,
    MaintenanceRecord,
    MemberRecord,
    MemberStatus,
    PauseRecord,
    SwitchoverRecord,
    TakenConfig,
    Versions,
)
from rabbitkeeper.coordinator.model.view import (
    ClusterView,
    GroupView,
    LeaderView,
    MaintenanceView,
    MemberView,
    SwitchoverView,
)
from rabbitkeeper.coordinator.policy.diagnosis import ApiFacts, Evidence, ServerFacts, Severity, diagnose

NAMES = ("node1", "node2", "node3")
NOON = "2026-01-31T12:00:00.000Z"
WALL = 1769860800.0  # the same


def member(name: str, state: MemberStatus = MemberStatus.RUNNING, **changes: Any) -> MemberView:
    record = MemberRecord.model_validate(
        {
            "name": name,
            "instance": "1",
            "node": f"rabbit@{name}",
            "versions": Versions(agent="0.1.0", rabbitmq="3.13.7"),
            "amqp": f"{name}:5672",
            "api": f"http://{name}:8008",
            "state": state,
            "since": NOON,
            **changes,
        }
    )
    return MemberView(record, 0, hash(name))


def cluster(*names: str) -> ClusterView:
    nodes = {f"rabbit@{name}": ClusterNode(member=name, joined=NOON) for name in names}
    return ClusterView(ClusterRecord(founder="rabbit@node1", formed=NOON, nodes=nodes), 0)


LEADER = LeaderView(
    LeaderRecord(name="node1", instance="1", node="n", amqp="a:1", since=NOON, cause="broker hung"), 7, 0, 1
)


def group(*members: MemberView, **changes: Any) -> GroupView:
    there = {name: member(name) for name in NAMES} | {one.record.name: one for one in members}
    view = GroupView(0.0, leader=LEADER, members=MappingProxyType(there), cluster=cluster(*NAMES))
    return replace(view, **changes)


def without(name: str) -> MappingProxyType[str, MemberView]:
    return MappingProxyType({one: member(one) for one in NAMES if one != name})


WELL = Evidence(
    view=group(),
    servers=[ServerFacts(f"zk{number}:2181") for number in (1, 2, 3)],
    apis={name: ApiFacts(session_timeout=5.5) for name in NAMES},
    wall=WALL,
)


def found(facts: Evidence) -> list[tuple[str, str, str]]:
    return [(finding.severity.value, finding.about, finding.sentence) for finding in diagnose(facts)]


def seen(view: GroupView) -> list[tuple[str, str, str]]:
    return found(replace(WELL, view=view))


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert diagnose(WELL) == []


def test_a_server_that_does_not_answer_is_a_problem() -> None:
    servers = [*WELL.servers[:2], ServerFacts("zk3:2181", "Connection refused")]
    said = found(replace(WELL, servers=servers))
    assert said == [("problem", "zookeeper", "zk3:2181 does not answer: Connection refused")]


@pytest.mark.parametrize(
    ("count", "sentence"),
    [(1, "1 ZooKeeper server tolerates no failure"), (2, "2 ZooKeeper servers tolerate no failure")],
)
def test_few_servers_are_a_warning(count: int, sentence: str) -> None:
    assert found(replace(WELL, servers=WELL.servers[:count])) == [("warning", "zookeeper", sentence)]


@pytest.mark.parametrize(("granted", "bound"), [(10.0, "minSessionTimeout"), (4.0, "maxSessionTimeout")])
def test_a_session_that_the_ticks_do_not_allow_is_a_warning(granted: float, bound: str) -> None:
    (finding,) = diagnose(replace(WELL, granted=granted))
    assert finding.sentence == f"a session that asks for 6 s gets {granted:g} s"
    assert bound in finding.remedy


def test_agents_with_different_sessions_are_a_warning() -> None:
    apis = {**WELL.apis, "node3": ApiFacts(session_timeout=10.0)}
    (finding,) = diagnose(replace(WELL, apis=apis))
    assert finding.sentence == (
        "the agents' sessions have different timeouts: node1 5.5 s, node2 5.5 s, node3 10 s"
    )


def test_znodes_that_cannot_be_read_are_problems() -> None:
    said = found(replace(WELL, view=group(problems=("pause is odd",)), unreadable=["operations is odd"]))
    assert said == [("problem", "znodes", "pause is odd"), ("problem", "znodes", "operations is odd")]


def test_a_group_without_a_leader_is_a_problem() -> None:
    assert seen(group(leader=None)) == [("problem", "group", "nobody leads")]
    unreadable = group(leader=None, leader_unreadable="leader is odd", problems=("leader is odd",))
    assert seen(unreadable) == [("problem", "znodes", "leader is odd")]


def test_a_member_of_the_cluster_that_is_not_there_is_a_problem() -> None:
    (finding,) = diagnose(replace(WELL, view=group(members=without("node3"))))
    assert (finding.about, finding.sentence) == (
        "node3",
        "belongs to the cluster, and its agent is not registered",
    )
    assert "rabbitkeeper member remove node3" in finding.remedy


def test_a_node_outside_the_cluster_is_a_problem() -> None:
    said = seen(group(member("node4")))
    assert said == [("problem", "node4", "rabbit@node4 is not in the cluster")]


def test_a_group_that_has_no_cluster_is_a_problem() -> None:
    assert seen(group(cluster=None))[0][2] == "no RabbitMQ cluster has been formed yet"


def test_two_nodes_are_a_warning() -> None:
    said = seen(group(members=without("node3"), cluster=cluster("node1", "node2")))
    assert said == [("warning", "cluster", "2 nodes tolerate no failure")]


@pytest.mark.parametrize("state", [state for state in MemberStatus if state is not MemberStatus.RUNNING])
def test_a_member_that_does_not_run_is_a_problem_with_a_remedy(state: MemberStatus) -> None:
    (finding,) = diagnose(replace(WELL, view=group(member("node2", state, reasons=("so it is",)))))
    assert (finding.about, finding.sentence) == ("node2", f"is {state}: so it is")
    assert finding.remedy


def test_settings_that_are_not_taken_are_found() -> None:
    refused = TakenConfig(version=3, problem="it contradicts itself")
    waiting = TakenConfig(version=3, restart_pending=("zookeeper.session_timeout",))
    assert seen(group(member("node2", config=refused), member("node3", config=waiting))) == [
        ("problem", "node2", "does not go by the group's configuration: it contradicts itself"),
        ("warning", "node3", "has not taken zookeeper.session_timeout yet"),
    ]


def test_an_api_that_does_not_answer_is_a_problem() -> None:
    said = found(replace(WELL, apis={**WELL.apis, "node2": ApiFacts(problem="timed out")}))
    assert said == [("problem", "node2", "its agent does not answer at http://node2:8008: timed out")]


@pytest.mark.parametrize(("ahead", "sentence"), [(61.2, "61 s ahead of"), (-30.0, "30 s behind")])
def test_clocks_that_differ_are_a_warning(ahead: float, sentence: str) -> None:
    ((severity, about, said),) = found(
        replace(WELL, apis={**WELL.apis, "node2": ApiFacts(clock_ahead=ahead)})
    )
    assert (severity, about) == ("warning", "node2")
    assert said.startswith(f"its clock is {sentence}")
    assert found(replace(WELL, apis={"node2": ApiFacts(clock_ahead=1.5)})) == []


def test_mixed_versions_are_a_warning() -> None:
    older = member("node3", versions=Versions(agent="0.0.9", rabbitmq="3.12.0"))
    assert seen(group(older)) == [
        ("warning", "group", "several versions of agents (0.0.9: node3; 0.1.0: node1, node2)"),
        ("warning", "group", "several versions of RabbitMQ (3.12.0: node3; 3.13.7: node1, node2)"),
    ]


@pytest.mark.parametrize(
    ("since", "severity"),
    [(NOON, "warning"), ("2026-01-31T10:59:00Z", "problem"), ("", "problem")],
)
def test_a_pause_is_a_warning_and_after_an_hour_a_problem(since: str, severity: str) -> None:
    ((said, about, _),) = seen(group(pause=PauseRecord(by="anna", since=since)))
    assert (said, about) == (severity, "group")


def test_an_operation_that_does_not_end_is_a_problem() -> None:
    def move(requested: str, at: str | None = None) -> GroupView:
        record = SwitchoverRecord.model_validate(
            {
                "id": "op1",
                "kind": "switchover",
                "from": "node1",
                "epoch": 7,
                "to": None,
                "at": at,
                "by": "a",
                "requested": requested,
            }
        )
        return group(switchover=SwitchoverView(record, 0))

    def work(requested: str) -> GroupView:
        record = MaintenanceRecord.model_validate(
            {"id": "op2", "kind": "restart", "members": ("node1",), "by": "a", "requested": requested}
        )
        return group(maintenance=MaintenanceView(record, 0))

    early = "2026-01-31T11:00:00.000Z"
    assert seen(move(early)) == [("problem", "group", f"the switchover op1 has not ended since {early}")]
    assert seen(work(early)) == [("problem", "group", f"the restart op2 has not ended since {early}")]
    assert seen(move(NOON)) == seen(work(NOON)) == []
    assert seen(move(early, at="2026-02-01T00:00:00Z")) == []  # it is appointed for later


def test_problems_come_first() -> None:
    facts = replace(WELL, servers=WELL.servers[:1], view=group(leader=None))
    assert [finding.severity for finding in diagnose(facts)] == [Severity.PROBLEM, Severity.WARNING]


# -- watch


def test_what_there_is_at_first_is_said() -> None:
    assert changes(None, group()) == [
        "node1 leads (epoch 7): broker hung",
        "node1 is running",
        "node2 is running",
        "node3 is running",
    ]
    assert changes(None, group(leader=None))[0] == "no leader: the lead is vacant"


def test_only_what_is_different_is_said() -> None:
    well = group()
    assert changes(well, group()) == []
    hung = group(member("node2", MemberStatus.HUNG, reasons=("no answer",)))
    assert changes(well, hung) == ["node2 is hung: no answer"]
    assert changes(hung, group(members=without("node2"))) == ["node2 is gone"]
    assert changes(well, group(leader=None)) == ["no leader: the lead is vacant"]
    assert changes(well, group(leader=replace(LEADER, epoch=9))) == ["node1 leads (epoch 9): broker hung"]
    again = ["node1 leads (epoch 7): broker hung"]
    assert changes(well, replace(well, incarnation=1)) == changes(well, replace(well, rollbacks=1)) == again
    paused = group(pause=PauseRecord(by="anna", since=NOON, reason="disk"))
    assert changes(well, paused) == ["paused by anna: disk"]
    assert changes(paused, well) == ["not paused any more"]
    assert changes(well, group(problems=("odd",))) == ["odd"]
    assert changes(group(problems=("odd",)), group(problems=("odd",))) == []
