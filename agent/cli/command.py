"""``rabbitkeeper agent CONFIG.yml``: the daemon beside each broker.

Exit codes: 0 stopped in an orderly way, 1 failed, in a way that may pass, 2 cannot run as it is configured
(with one line for each reason), 70 ended by its watchdog.
"""

import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import click

from rabbitkeeper.agent.assembly import assemble
from rabbitkeeper.agent.config import load
from rabbitkeeper.agent.config.sample import SAMPLE_CONFIG
from rabbitkeeper.agent.group.effective_config import read_group_config
from rabbitkeeper.agent.runtime.log import configure, set_level
from rabbitkeeper.coordinator.model.errors import ConfigurationError, RabbitKeeperError

FAILED = 1
REFUSED = 2


@click.command("agent")
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Only read and validate the configuration.")
@click.option("--sample-config", is_flag=True, help="Print a configuration to start from.")
def command(config: Path | None, check: bool, sample_config: bool) -> None:
    """Look after the broker beside it: CONFIG is the agent's YAML file."""
    if sample_config:
        click.echo(SAMPLE_CONFIG, nl=False)
        return
    if config is None:
        raise click.UsageError("Give the agent's CONFIG file; --sample-config prints one to start from.")
    try:
        own = load(config)
        if check:
            click.echo(f"{config}: member {own.name} of group {own.group}: valid")
            return
        configure(own.log.level, own.name)
        settings = read_group_config(own)
        set_level(settings.effective.log.level)
        agent = assemble(settings)
        _stop_on_signals(agent.stop)
        agent.run()
    except RabbitKeeperError as error:
        click.echo(str(error), err=True)
        sys.exit(REFUSED if isinstance(error, ConfigurationError) else FAILED)
    except Exception:
        logging.getLogger("rabbitkeeper.agent").exception("the agent has failed")
        sys.exit(FAILED)


def _stop_on_signals(stop: Callable[[str], None]) -> None:
    def handle(number: int, _frame: FrameType | None) -> None:
        stop(f"the agent was told to stop ({signal.Signals(number).name})")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
