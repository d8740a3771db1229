"""Alerts and board name metrics that there are, and an operator finds what to do at each alert."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from support import agent_states as hand_made
from support.agent_states import NAME, NOW, leader, view
from support.source_tree import ROOT

from rabbitkeeper.agent import monitoring
from rabbitkeeper.agent.api.metrics import Metrics
from rabbitkeeper.agent.cli.command import command
from rabbitkeeper.agent.model.state import Board
from rabbitkeeper.agent.notify.events import Event, EventKind
from rabbitkeeper.coordinator.model.records import MemberStatus

RULES = [
    rule
    for group in yaml.safe_load(monitoring.alerts())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
BOARD: dict[str, Any] = json.loads(monitoring.board())
COLUMNS = 24  # of Grafana's grid
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def exported() -> dict[str, set[str]]:
    """All metrics of an agent as Prometheus knows them, with the labels of each."""
    state = hand_made.state(view=view(leader(NAME)))
    board = Board(lambda: NOW)
    board.put_up(state)
    hooks = {("member_down", "command", "killed"): 2}
    metrics = Metrics(board, "0.1.0", hooks=hooks, listeners=lambda: 1, clock=lambda: NOW)
    metrics.refused(401)
    metrics.receive(state, (Event(EventKind.LEADER_ELECTED, "", "orders", NAME, NAME, cause="hung"),))
    found: dict[str, set[str]] = {}
    for line in metrics.text().decode().splitlines():
        if not line.startswith("#"):
            name, labels = re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+", line).groups("")  # type: ignore[union-attr]
            found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


EXPORTED = exported()


def unknown(expression: str) -> set[str]:
    """What an expression names of the agents' metrics and labels, and they have not."""
    names = re.findall(r"\b(?:rabbitkeeper|process)_\w+", expression)
    missing = {name for name in names if name not in EXPORTED}
    for name, matchers in re.findall(r"\b(rabbitkeeper_\w+)\{([^}]*)\}", expression):
        labels = set(re.findall(r'(\w+)\s*[=!]~?"', matchers))
        missing |= {f"{name}{{{label}}}" for label in labels - EXPORTED.get(name, set())}
    for states in re.findall(r'\bstate=~?"([^"]*)"', expression):
        missing |= set(states.split("|")) - {status.value for status in MemberStatus}
    return missing


def expressions() -> Iterator[str]:
    for panel in BOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (
        variable["definition"] for variable in BOARD["templating"]["list"] if "definition" in variable
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_the_agents_tell(rule: dict[str, Any]) -> None:
    assert unknown(rule["expr"]) == set()


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_the_board_asks_for_what_the_agents_tell(expression: str) -> None:
    assert unknown(expression) == set()


def test_a_metric_label_or_state_that_is_not_there_would_be_found() -> None:
    wrong = 'rabbitkeeper_leaders + rabbitkeeper_state{stat="hung"} + rabbitkeeper_state{state=~"hung|dead"}'
    assert unknown(wrong) == {"rabbitkeeper_leaders", "rabbitkeeper_state{stat}", "dead"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert {"summary", "description", "runbook_url"} <= rule["annotations"].keys()
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"
    section = re.search(rf"^### {name}\n\n(.*?)(?=^##)", OPERATIONS, re.MULTILINE | re.DOTALL)
    assert section is not None
    assert rule["labels"]["severity"] in section[1]


def test_there_is_no_runbook_without_its_alert() -> None:
    assert set(re.findall(r"^### (RabbitKeeper\w+)$", OPERATIONS, re.MULTILINE)) == {
        rule["alert"] for rule in RULES
    }


def test_the_board_is_one_that_grafana_takes() -> None:
    # The fields that Grafana's dashboard schema demands (grafana/kindsv2, dashboard and panel).
    assert BOARD["uid"]
    assert BOARD["title"]
    assert isinstance(BOARD["schemaVersion"], int)
    assert "id" not in BOARD  # is the importing Grafana's to give
    variables = {variable["name"] for variable in BOARD["templating"]["list"]}
    assert variables == {"datasource", "group"}
    assert set(re.findall(r"\$\{?(\w+)", monitoring.board())) <= variables
    for panel in BOARD["panels"]:
        assert panel["type"] in ("stat", "timeseries", "state-timeline")
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["fieldConfig"]["overrides"] == []
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references)


def test_the_panels_lie_beside_each_other() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= COLUMNS
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize(
    ("option", "text"), [("--print-alerts", monitoring.alerts()), ("--print-board", monitoring.board())]
)
def test_the_agent_prints_them(option: str, text: str) -> None:
    done = CliRunner().invoke(command, [option])
    assert (done.exit_code, done.output) == (0, text)


@pytest.mark.parametrize(
    ("example", "text"),
    [("prometheus/alerts.yml", monitoring.alerts()), ("grafana/rabbitkeeper.json", monitoring.board())],
)
def test_the_examples_are_what_is_shipped(example: str, text: str) -> None:
    assert (ROOT / "examples" / example).read_text() == text
