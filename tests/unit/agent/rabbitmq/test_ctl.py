"""RabbitMQ's tools, played by a script: what is asked, what is understood, what is said of a failure."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rabbitkeeper.agent.model.observation import NodeState
from rabbitkeeper.agent.rabbitmq.ctl import (
    Inconsistent,
    NodeNotRunning,
    RabbitmqCtl,
    RabbitmqCtlError,
    RabbitmqCtlTimeout,
)
from rabbitkeeper.agent.rabbitmq.runner import Finished, LocalRunner, NowhereToRun
from rabbitkeeper.agent.rabbitmq.silent_nodes import DroppedNodes

Make = Callable[..., RabbitmqCtl]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def ctl(script: str, *, timeout: float = 10.0) -> RabbitmqCtl:
        for name in ("rabbitmqctl", "rabbitmq-queues"):
            tool = tmp_path / name
            tool.write_text(f'#!/bin/sh\necho "${{0##*/}} $*" >> {tmp_path}/asked\n{script}\n')
            tool.chmod(0o755)
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        return RabbitmqCtl(tmp_path / "rabbitmqctl", "rabbit@a", LocalRunner(environment), timeout=timeout)

    return ctl


def asked(tmp_path: Path) -> list[str]:
    return (tmp_path / "asked").read_text().splitlines()


def printing(value: object) -> str:
    return f"cat <<'END'\n{json.dumps(value)}\nEND"


def test_the_status_of_a_cluster(make: Make) -> None:
    status = make(
        printing(
            {
                "disk_nodes": ["rabbit@a", "rabbit@b"],
                "ram_nodes": ["rabbit@c"],
                "running_nodes": ["rabbit@a"],
                "versions": {"rabbit@a": {"rabbitmq_version": "3.10.8"}},
                "partitions": {"rabbit@a": ["rabbit@b"]},
            }
        )
    ).cluster_status()
    assert status.nodes == {"rabbit@a", "rabbit@b", "rabbit@c"}
    assert status.running == {"rabbit@a"}
    assert status.versions == {"rabbit@a": "3.10.8"}
    assert status.partitions == {"rabbit@b"}


def test_the_status_without_the_keys_that_later_versions_left_out(make: Make) -> None:
    status = make(printing({"disk_nodes": ["rabbit@a"], "running_nodes": ["rabbit@a"]})).cluster_status()
    assert status.nodes == {"rabbit@a"}
    assert status.partitions == frozenset()


def test_another_node_can_be_asked(make: Make, tmp_path: Path) -> None:
    make(printing({"running_nodes": []})).cluster_status(node="rabbit@b")
    assert asked(tmp_path) == ["rabbitmqctl --quiet --node rabbit@b cluster_status --formatter json"]


def test_the_replicas_of_a_queue(make: Make, tmp_path: Path) -> None:
    listed = [
        {"name": "rabbitkeeper.canary", "members": ["rabbit@a", "rabbit@b"]},
        {"name": "rabbitkeeper.local.1", "members": ""},  # a classic queue has none
    ]
    ctl = make(printing(listed))
    assert ctl.replicas("ours", "rabbitkeeper.canary") == {"rabbit@a", "rabbit@b"}
    assert ctl.replicas("ours", "rabbitkeeper.local.1") is None
    assert ctl.replicas("ours", "another") is None
    ctl.delete_queue("ours", "rabbitkeeper.canary")
    assert asked(tmp_path)[0].endswith(" list_queues --vhost ours name members --formatter json")
    assert asked(tmp_path)[-1].endswith(" delete_queue rabbitkeeper.canary --vhost ours")


def test_definitions_go_in_by_the_standard_input_and_not_as_arguments(make: Make, tmp_path: Path) -> None:
    make(f"cat > {tmp_path}/stdin").import_definitions({"users": [{"password_hash": "secret"}]})
    assert json.loads((tmp_path / "stdin").read_text()) == {"users": [{"password_hash": "secret"}]}
    assert "secret" not in "".join(asked(tmp_path))


def test_tools_that_find_a_pipe_empty_read_the_definitions_without_a_name(make: Make, tmp_path: Path) -> None:
    # RabbitMQ 3.10 does; that of 4.x hangs or crashes when it is given no name.
    old = 'case "$*" in */dev/stdin*) echo "Error: File /dev/stdin is zero-sized" >&2; exit 65;; esac'
    make(f"{old}; cat > {tmp_path}/stdin").import_definitions({"vhosts": []})
    assert json.loads((tmp_path / "stdin").read_text()) == {"vhosts": []}
    assert len(asked(tmp_path)) == 2


def test_a_node_that_is_critical_is_told_from_one_that_does_not_answer(make: Make) -> None:
    assert make("").quorum_critical() is None
    critical = make('echo "queue q will become unavailable if node rabbit@a stops" >&2; exit 69')
    assert "queue q will become unavailable" in (critical.quorum_critical() or "")
    away = make('echo "Error: unable to perform an operation on node rabbit@a." >&2; exit 69')
    with pytest.raises(NodeNotRunning):
        away.quorum_critical()


def test_a_tool_that_runs_as_another_user_can_open_what_it_is_given(make: Make, tmp_path: Path) -> None:
    make(f"stat -Lc %a /dev/stdin > {tmp_path}/mode").import_definitions({})
    assert (tmp_path / "mode").read_text() == "644\n"


def test_growing_asks_the_tool_beside_it(make: Make, tmp_path: Path) -> None:
    make("").grow("rabbit@b", "/", ["a.b", "c d"])
    assert asked(tmp_path) == [
        r"rabbitmq-queues --quiet --node rabbit@a grow rabbit@b all --vhost-pattern ^(\/)$ "
        r"--queue-pattern ^(a\.b|c\ d)$ --errors-only"
    ]


def test_the_broker_is_started_again_whatever_happens_while_it_is_stopped(make: Make, tmp_path: Path) -> None:
    ctl = make('case "$*" in *join_cluster*) echo "Error: no" >&2; exit 70;; esac')
    with pytest.raises(RabbitmqCtlError, match="no"), ctl.app_stopped():
        ctl.join_cluster("rabbit@b")
    assert [line.split()[4] for line in asked(tmp_path)] == ["stop_app", "join_cluster", "start_app"]


def test_a_disagreement_about_the_membership_is_told_apart(make: Make) -> None:
    ctl = make('echo "Error: {:inconsistent_cluster, \\"Node a thinks ...\\"}" >&2; exit 70')
    with pytest.raises(Inconsistent):
        ctl.join_cluster("rabbit@b")


@pytest.mark.parametrize("code", [68, 69])
def test_a_node_that_is_not_there_is_told_apart(make: Make, code: int) -> None:
    with pytest.raises(NodeNotRunning, match="rabbit@a"):
        make(f"exit {code}").cluster_status()


def test_only_a_node_whose_machine_is_silent_does_not_answer(make: Make, tmp_path: Path) -> None:
    assert make("echo ok").answers("rabbit@b")
    assert asked(tmp_path) == ["rabbitmqctl --quiet --node rabbit@b eval ok."]
    assert not make("exit 69").answers("rabbit@b")
    assert make("exit 70").answers("rabbit@b"), "it is not known"


def test_of_another_node_nothing_is_known_where_no_tools_can_run() -> None:
    class Gone:
        def run(self, command: Sequence[str], *, stdin: str = "", timeout: float) -> Finished:
            raise NowhereToRun("no such container")

    assert RabbitmqCtl("rabbitmqctl", "rabbit@a", Gone()).answers("rabbit@b")


def test_whether_the_node_has_ever_answered_is_remembered(make: Make, tmp_path: Path) -> None:
    ctl = make(f"test ! -e {tmp_path}/away || exit 69; echo '{{true,false,false,false,false,false}}'")
    assert not ctl.answered
    (tmp_path / "away").touch()
    assert ctl.says(5.0) is None
    assert not ctl.answered
    (tmp_path / "away").unlink()
    ctl.node_state()
    (tmp_path / "away").touch()
    assert ctl.says(5.0) is None
    assert ctl.answered


def test_another_nodes_answer_is_not_its_own(make: Make) -> None:
    ctl = make(printing({"running_nodes": []}))
    ctl.cluster_status(node="rabbit@b")
    assert not ctl.answered


def test_a_failure_names_command_node_code_and_reason_in_one_line(make: Make) -> None:
    with pytest.raises(RabbitmqCtlError) as caught:
        make('printf "Error:\\n\\n  it is full\\n" >&2; exit 65').definitions()
    assert str(caught.value) == (
        "rabbitmqctl export_definitions - on rabbit@a failed with exit code 65: Error: it is full"
    )


def test_a_command_that_hangs_is_ended(make: Make) -> None:
    with pytest.raises(RabbitmqCtlTimeout, match=r"did not end in 0\.2 s"):
        make("exec sleep 60", timeout=0.2).cluster_status()


def test_what_is_no_json_is_shown(make: Make) -> None:
    with pytest.raises(RabbitmqCtlError, match="did not print JSON but 'what"):
        make("echo what").cluster_status()


def test_a_tool_that_is_not_there_names_the_setting() -> None:
    with pytest.raises(RabbitmqCtlError, match=r"broker\.rabbitmqctl"):
        RabbitmqCtl("/no/such", "rabbit@a", LocalRunner({})).cluster_status()


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        ("true,false,false,false,false,false", NodeState.SERVING),
        ("true,false,false,false,true,false", NodeState.SERVING),
        ("true,false,false,true,false,false", NodeState.DRAINED),
        ("true,false,false,true,true,false", NodeState.DRAINED_BY_AGENT),
        ("false,true,false,false,false,false", NodeState.BOOTING),
        ("false,false,true,false,false,false", NodeState.PAUSED),
        ("false,true,true,false,false,false", NodeState.RESUMING),
        ("false,true,true,false,false,true", NodeState.RESUMING_APART),
        ("false,false,false,false,false,false", NodeState.STOPPED),
        ("false,true,false,false,false,true", NodeState.APART),
    ],
)
def test_how_a_node_is_by_its_own_word(make: Make, flags: str, state: NodeState) -> None:
    assert make(f"echo '{{{flags}}}'").node_state() is state


def test_a_word_that_is_no_state_is_shown(make: Make) -> None:
    with pytest.raises(RabbitmqCtlError, match="did not print six flags but 'what"):
        make("echo what").node_state()


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo true", True),
        ("echo false", False),
        ("echo late", None),
        ("echo 'no such node' >&2; exit 69", None),
        ("sleep 5", None),
    ],
)
def test_whether_a_node_finds_vhosts(make: Make, script: str, found: bool | None) -> None:
    assert make(script).finds_vhosts(0.5) is found


def test_silent_nodes_are_dropped_in_one_call(make: Make, tmp_path: Path) -> None:
    ctl = make("printf \"{['rabbit2@10.0.0.2'],\\n [rabbit@c],[]}\\n\"")
    found = ctl.drop_silent_nodes({"rabbit2@10.0.0.2", "rabbit@c"}, timeout=0.5)
    assert found == DroppedNodes(frozenset({"rabbit2@10.0.0.2"}), frozenset({"rabbit@c"}))
    (asked_for,) = asked(tmp_path)
    assert "['rabbit2@10.0.0.2','rabbit@c']" in asked_for
    assert ", 500)" in asked_for


def test_a_silent_node_that_is_heard_of_is_told_apart(make: Make) -> None:
    found = make("echo '{[],[rabbit@c],[rabbit@b]}'").drop_silent_nodes({"rabbit@b", "rabbit@c"}, timeout=1)
    assert found == DroppedNodes(frozenset(), frozenset({"rabbit@c"}), frozenset({"rabbit@b"}))
    assert found.left_alone == {"rabbit@b", "rabbit@c"}


def test_nobody_silent_and_nobody_connected(make: Make) -> None:
    found = make("echo '{[],[],[]}'").drop_silent_nodes({"rabbit@b"}, timeout=1)
    assert found == DroppedNodes(frozenset(), frozenset())


@pytest.mark.parametrize(
    "name", ["b'], halt(), ['x@y", "rabbit@b\n", "rabbit", "rabbit@b'", "rabbit@b c", "", "rabbit@\\b"]
)
def test_what_is_no_node_name_never_becomes_part_of_a_program(make: Make, tmp_path: Path, name: str) -> None:
    with pytest.raises(RabbitmqCtlError, match="not an Erlang node name"):
        make("echo '{[],[],[]}'").drop_silent_nodes({"rabbit@b", name}, timeout=1)
    assert not (tmp_path / "asked").exists()


def test_an_answer_that_is_not_understood_is_an_error(make: Make) -> None:
    with pytest.raises(RabbitmqCtlError, match="did not print three lists"):
        make("echo '{badrpc,nodedown}'").drop_silent_nodes({"rabbit@b"}, timeout=1)


def test_whether_a_node_says_how_it_is_in_time(make: Make) -> None:
    assert make("echo '{false,false,true,false,false,false}'").says(5.0) is NodeState.PAUSED
    away = make('echo "Error: unable to perform an operation on node rabbit@a." >&2; exit 69')
    assert away.says(5.0) is None
    assert make("exec sleep 60").says(0.2) is None
    assert make("exit 127").says(5.0) is None, "tools that cannot be run are no sign of life"
