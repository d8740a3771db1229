"""``rabbitkeeper agent CONFIG.yml``: the daemon beside each broker.

Exit codes: 0 stopped in an orderly way, 1 failed, in a way that may pass, 2 cannot run as it is configured
(with one line for each reason), 70 ended by its watchdog.
"""

import faulthandler
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Self

import click

from rabbitkeeper.agent import monitoring
from rabbitkeeper.agent.agent import Agent
from rabbitkeeper.agent.assembly import assemble
from rabbitkeeper.agent.cli import preflight
from rabbitkeeper.agent.config import load
from rabbitkeeper.agent.config.sample import SAMPLE_CONFIG
from rabbitkeeper.agent.group.effective_config import read_group_config
from rabbitkeeper.agent.runtime import descriptors
from rabbitkeeper.agent.runtime.init import under_init
from rabbitkeeper.agent.runtime.log import CONTEXT, configure, set_level
from rabbitkeeper.agent.waiting import waiting_api
from rabbitkeeper.coordinator.model.errors import ConfigurationError, RabbitKeeperError
from rabbitkeeper.coordinator.model.text import printable

FAILED = 1
REFUSED = 2


@click.command("agent")
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Only read and validate the configuration.")
@click.option("--sample-config", is_flag=True, help="Print a configuration to start from.")
@click.option("--print-alerts", is_flag=True, help="Print Prometheus' rules for alerts.")
@click.option("--print-board", is_flag=True, help="Print a board for Grafana.")
def command(
    config: Path | None, check: bool, sample_config: bool, print_alerts: bool, print_board: bool
) -> None:
    """Look after the broker beside it: CONFIG is the agent's YAML file."""
    if sample_config:
        click.echo(SAMPLE_CONFIG, nl=False)
        return
    if print_alerts or print_board:
        click.echo(monitoring.alerts() if print_alerts else monitoring.board(), nl=False)
        return
    if config is None:
        raise click.UsageError("Give the agent's CONFIG file; --sample-config prints one to start from.")
    if check:
        _refused_or_failed(lambda: _check(config))
    else:
        under_init(lambda: _refused_or_failed(lambda: _run(config)))


def _check(path: Path) -> None:
    own = load(path)
    preflight.check(path, own)
    click.echo(f"{path}: member {own.name} of group {own.group}: valid")


def _run(path: Path) -> None:
    _dump_stacks_on_quit()
    with _Asked() as asked:
        own = load(path)
        configure(own.log.level, own.log.format, own.group, own.name)
        preflight.check_privileges(path, own)
        descriptors.raise_limit()
        with waiting_api(own) as tell:
            settings = read_group_config(own, tell)
        set_level(settings.effective.log.level)
        agent = assemble(settings, path)
        asked.go_to(agent)
        agent.run()


def _refused_or_failed(work: Callable[[], None]) -> None:
    """Do it; every error is a line for each reason, and an exit code."""
    try:
        work()
    except RabbitKeeperError as error:
        for line in str(error).splitlines():
            _say(line)
        sys.exit(REFUSED if isinstance(error, ConfigurationError) else FAILED)
    except Exception:
        logging.getLogger("rabbitkeeper.agent").exception("the agent has failed")
        sys.exit(FAILED)


def _say(line: str) -> None:
    """Why there is no agent: before its log has begun, and for people, a plain line."""
    if CONTEXT.for_machines:
        logging.getLogger("rabbitkeeper.agent").critical("%s", line)
    else:
        click.echo(printable(line), err=True)


class _Asked:
    """Signals from the first moment on: what comes before there is an agent is kept for it.

    Without a handler SIGHUP would end the process, and leave its member registered until the session ends.
    """

    def __init__(self) -> None:
        self._agent: Agent | None = None
        self._early: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def go_to(self, agent: Agent) -> None:
        self._agent = agent
        for number in self._early:
            self._handle(number, None)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._agent is None:
            if number != signal.SIGHUP:
                sys.exit(0)  # nothing has been begun
            self._early.append(number)
        elif number == signal.SIGHUP:
            self._agent.reload()
        else:
            self._agent.stop(f"the agent was told to stop ({signal.Signals(number).name})")


def _dump_stacks_on_quit() -> None:
    """SIGQUIT writes where each thread is to standard error, and the agent goes on."""
    if sys.__stderr__ is not None:
        faulthandler.register(signal.SIGQUIT, file=sys.__stderr__, all_threads=True)
