"""How the command finds its subcommands, and what it says when it cannot."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import click
import pytest
from click.testing import CliRunner

from rabbitkeeper.coordinator.cli import root as cli
from rabbitkeeper.coordinator.model.errors import ConfigurationError, Conflict


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=cli.ENTRY_POINTS)


@click.command()
def works() -> None:
    """Work."""
    click.echo("done")


@click.command()
def refuses() -> None:
    raise Conflict("somebody else was faster")


@click.command()
def misled() -> None:
    raise ConfigurationError("key x: 7 is not a name")


@pytest.fixture(autouse=True)
def _subcommands(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        entry("works", f"{__name__}:works"),
        entry("refuses", f"{__name__}:refuses"),
        entry("misled", f"{__name__}:misled"),
        entry("missing", "no_such_module_anywhere:command"),
        entry("other", "json:dumps"),
    ]
    monkeypatch.setattr(cli, "entry_points", lambda group: found)


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.root, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_a_subcommand_that_cannot_be_imported_spoils_only_itself() -> None:
    assert run("works") == (0, "done\n", "")
    code, _, error = run("missing")
    assert code == 1
    assert "the subcommand missing does not work" in error
    assert "no_such_module_anywhere" in error
    code, _, error = run("other")
    assert code == 1
    assert "is not a click command" in error
    code, text, _ = run("--help")
    assert code == 0
    assert "Work." in text
    assert "Not usable" in text


def test_errors_are_one_line_and_an_exit_code() -> None:
    assert run("refuses") == (1, "", "rabbitkeeper: somebody else was faster\n")
    assert run("misled") == (2, "", "rabbitkeeper: key x: 7 is not a name\n")
    assert run("nonsense")[0] == 2


@pytest.mark.parametrize("command", ["list", "leader", "history"])
def test_zookeeper_and_group_must_be_given(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.undo()
    monkeypatch.delenv("RABBITKEEPER_ZOOKEEPER", raising=False)
    monkeypatch.delenv("RABBITKEEPER_GROUP", raising=False)
    code, _, error = run(command)
    assert code == 2
    assert "RABBITKEEPER_ZOOKEEPER" in error
    code, _, error = run("-z", "127.0.0.1:2181", command)
    assert code == 2
    assert "RABBITKEEPER_GROUP" in error


@pytest.mark.parametrize("absent", ["click", "rich", "yaml"])
def test_without_its_libraries_it_says_how_to_get_them(absent: str) -> None:
    main = "from rabbitkeeper.coordinator.cli.main import main; main()"
    script = f"import sys; sys.modules[{absent!r}] = None\n{main}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert "pip install 'rabbitkeeper[cli]'" in done.stderr
