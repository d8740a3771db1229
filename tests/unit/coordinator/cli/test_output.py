"""What others have written is shown as it is, and obeyed by nothing: no markup, no control character."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO

import click
import pytest
import yaml
from click.testing import CliRunner
from support import agent_states as hand_made

from rabbitkeeper.coordinator.cli import output
from rabbitkeeper.coordinator.cli.commands import watch
from rabbitkeeper.coordinator.cli.members import members_table, notes
from rabbitkeeper.coordinator.cli.options import Asking, asks, operations_table
from rabbitkeeper.coordinator.cli.root import root
from rabbitkeeper.coordinator.model.records import (
    MemberStatus,
    OperationEntry,
    OperationKind,
    OperationState,
    PauseRecord,
)

EVIL = "[/x][bold]:bug:\x1b[31m\u202e\nFAKE"
SHOWN = "[/x][bold]:bug:\\x1b[31m\\u202e\\nFAKE"
ASKED = "2026-01-31T12:00:00.000Z"


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_markup_in_who_asked_and_why_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    entry = OperationEntry(
        id="1", kind=OperationKind.PAUSE, state=OperationState.DONE, by=EVIL, requested=ASKED, outcome=EVIL
    )
    output.show("table", [], operations_table("orders", [entry]), [EVIL])
    assert shown(capsys).count(SHOWN) == 3


def test_an_ipv6_address_stays_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    member = hand_made.member("node1", MemberStatus.ALARMED, EVIL)
    record = member.record.model_copy(update={"amqp": "[fd00::1]:5672", "warnings": (EVIL,)})
    pause = PauseRecord(by=EVIL, since=ASKED, reason=EVIL)
    seen = hand_made.view(None, replace(member, record=record), pause=pause)
    output.show("table", {}, members_table("orders", seen), notes(seen))
    text = shown(capsys)
    assert "[fd00::1]:5672" in text
    assert text.count(SHOWN) == 4
    for line in watch.changes(None, seen):
        output.say(line)
    assert "\x1b" not in shown(capsys)


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_programs_get_the_value_and_the_terminal_nothing_to_obey(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"by": EVIL, "name": "Grüße"}
    output.show(kind, content, output.table("x"))
    text = shown(capsys)
    assert (json.loads(text) if kind == "json" else yaml.safe_load(text)) == content
    assert "\x1b" not in text
    assert "\u202e" not in text


@click.command()
@asks(0)
def command(asking: Asking) -> None:
    click.echo(asking.by)


def test_who_asks_is_recorded_beside_what_they_say() -> None:
    plain = CliRunner().invoke(command, []).output
    assert CliRunner().invoke(command, ["--by", "anna"]).output == f"anna, {plain}"


@pytest.mark.parametrize("option", ["--by", "--reason"])
@pytest.mark.parametrize("value", ["\udcff", "", "x" * 1001])
def test_what_cannot_be_recorded_is_refused(option: str, value: str) -> None:
    result = CliRunner().invoke(command, [option, value])
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.output


@pytest.mark.parametrize(
    "moment", ["", "yesterday", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "²"]
)
def test_a_time_that_cannot_be_is_shown_as_it_is(moment: str) -> None:
    assert output.clock(moment) == moment
    assert isinstance(output.age(moment), str)


def test_a_name_that_is_no_command_is_shown_and_not_obeyed() -> None:
    said = CliRunner().invoke(root, ["-g", "x", "operations", "no\x1b[2Jthing"]).output
    assert "\x1b" not in said
    assert "no\\x1b[2Jthing" in said


def help_into(file: IO[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "from rabbitkeeper.coordinator.cli.main import main; main()", "--help"],
        stdout=file,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def test_a_full_disk_is_a_line() -> None:
    with Path("/dev/full").open("w") as full:
        ended = help_into(full)
    assert ended.stderr == "rabbitkeeper: it cannot be written: No space left on device\n"
    assert ended.returncode == 1


def test_a_broken_pipe_is_quiet() -> None:
    source, sink = os.pipe()
    os.close(source)
    with os.fdopen(sink, "w") as broken:
        ended = help_into(broken)
    assert (ended.returncode, ended.stderr) == (1, "")
