"""What ``publish`` reads: lines, JSON, base64, whole files; mistakes are told before it connects."""

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rabbitkeeper.client.cli.publish import command
from rabbitkeeper.client.cli.sources import Form, MessageSources, read_properties
from rabbitkeeper.coordinator.cli.root import ChosenGroup
from rabbitkeeper.coordinator.model.errors import ConfigurationError


def sources(
    form: Form = "lines", key: str = "orders", typed: bytes = b"", **properties: Any
) -> MessageSources:
    return MessageSources(form, "", key, properties, lambda: BytesIO(typed))


def bodies(made: MessageSources, *names: str) -> list[bytes]:
    return [one.message.body for one in made.of_files(names)]


def test_each_line_is_a_body_and_an_empty_one_too(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"a\n\nb\r\nc\xff")
    assert bodies(sources(), str(file)) == [b"a", b"", b"b", b"c\xff"]
    assert sources().count([str(file)]) == 4


def test_files_come_one_after_the_other_and_a_dash_is_standard_input(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(b"a\n")
    (tmp_path / "2").write_bytes(b"c\n")
    names = [str(tmp_path / "1"), "-", str(tmp_path / "2")]
    assert bodies(sources(typed=b"b1\nb2\n"), *names) == [b"a", b"b1", b"b2", b"c"]
    assert sources().count(names) is None
    assert sources().count([names[0], names[2]]) == 2


def test_base64_and_whole_files_carry_any_body(tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"\x00\n\xff\n")
    assert bodies(sources("whole"), str(file)) == [b"\x00\n\xff\n"]
    file.write_bytes(b"AAr/Cg==\n\n")
    assert bodies(sources("base64"), str(file)) == [b"\x00\n\xff\n"]


def test_empty_lines_of_json_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b'{"body": "a"}\n\n{"body": "b", "routing_key": "other"}\n')
    found = list(sources("json", priority=4).of_files([str(file)]))
    assert [(one.message.routing_key, one.where) for one in found] == [
        ("orders", f"{file}, line 1"),
        ("other", f"{file}, line 3"),
    ]
    assert all(one.message.properties and one.message.properties.priority == 4 for one in found)


@pytest.mark.parametrize(
    ("form", "text", "named"),
    [
        ("json", b'{"body": "a"}\nb\n', "line 2: is no JSON"),
        ("json", b'{"body": "a", "properties": {"priority": 300}}\n', "line 1: properties.priority"),
        ("json", b'{"body": "a", "properties": {"message_id": 3}}\n', "line 1: properties.message_id"),
        (
            "json",
            b'{"body": "a", "headers": {"x": 9999999999999999999999}}\n',
            "line 1: properties.headers['x']",
        ),
        ("json", b'{"body": "a", "routing_key": ""}\n', "line 1: goes nowhere"),
        ("base64", b"YQ==\nYQ=\n", "line 2: the line b'YQ=' is no base64"),
    ],
)
def test_a_mistake_in_a_file_is_named_before_anything_is_done(
    tmp_path: Path, form: Form, text: bytes, named: str
) -> None:
    file = tmp_path / "lines"
    file.write_bytes(text)
    with pytest.raises(ConfigurationError) as refused:
        sources(form).count([str(file)])
    assert str(refused.value).startswith(f"{file}, ")
    assert named in str(refused.value)


def test_a_pipe_is_read_once_and_a_mistake_in_it_told_when_it_comes(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert sources("json").count([str(pipe)]) is None  # it would wait for who writes
    found = sources("json", typed=b'{"body": "a"}\nno\n').of_files(["-"])
    assert next(found).message.body == b"a"
    with pytest.raises(ConfigurationError, match="standard input, line 2"):
        next(found)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for call in (lambda name: sources().count([name]), lambda name: list(sources().of_files([name]))):
        with pytest.raises(ConfigurationError, match="nothing cannot be read"):
            call(str(tmp_path / "nothing"))


def test_properties_of_the_command_line() -> None:
    assert read_properties(["content-type=text/plain", "priority=3", "type=a=b"], ["x=1", "y="]) == {
        "content_type": "text/plain",
        "priority": 3,
        "type": "a=b",
        "headers": {"x": "1", "y": ""},
    }


@pytest.mark.parametrize(
    ("given", "headers", "named"),
    [
        (["priority"], [], "--property 'priority'"),
        (["=3"], [], "--property '=3'"),
        (["priority=high"], [], "priority is a whole number"),
        (["priority=-1"], [], "priority is a whole number"),
        (["colour=red"], [], "there is no colour"),
        ([], ["x"], "--header 'x'"),
    ],
)
def test_a_mistake_in_a_property_is_named(given: list[str], headers: list[str], named: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_properties(given, headers)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["text"], "Where to?"),
        (["--declare", "-x", "news", "text"], "What is to be declared?"),
        (["-k", "orders", "-f", "-", "text"], "not from both"),
        (["-k", "orders", "--rate", "0", "text"], "--rate"),
        (["-k", "orders", "--timeout", "0", "text"], "--timeout"),
        (["-k", "orders", "--count", "0", "text"], "--count"),
        (["-k", "orders", "--window", "2000", "text"], "--window"),
        (["-k", "o" * 256, "text"], "message 1: routing_key"),
        (["-k", "orders", "-p", "delivery_mode=7", "text"], "message 1: properties.delivery_mode"),
    ],
)
def test_the_command_names_a_mistake_before_it_connects(arguments: list[str], named: str) -> None:
    """There is nothing to connect to: that would be told in place of the mistake."""
    result = CliRunner().invoke(command, arguments, obj=ChosenGroup(None, None, "table"))
    assert named in (result.stderr or str(result.exception))
    assert result.exit_code == 2 or isinstance(result.exception, ConfigurationError)
