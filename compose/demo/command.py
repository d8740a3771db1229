"""``rabbitkeeper demo``: the failover demo on this machine."""

import logging
import signal
import sys
import time
from pathlib import Path
from random import Random, SystemRandom
from types import FrameType

import click
from rich.console import Console

from rabbitkeeper.compose.demo.load import Load
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.demo.report import FaultResult, Report
from rabbitkeeper.compose.demo.scenario import FAULTS, Scenario
from rabbitkeeper.compose.demo.screen import LiveScreen, PlainScreen, Screen, waiting
from rabbitkeeper.compose.local import Local, LocalError
from rabbitkeeper.coordinator.errors import RabbitKeeperError

DELIVERY_TIMEOUT = 60.0  # seconds for what was confirmed to be delivered in the end


@click.command("demo")
@click.option("--plain", is_flag=True, help="Lines instead of a live picture; by itself without a terminal.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report to FILE too.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Go on breaking things at random for so long.",
)
@click.option("--seed", type=int, help="For --minutes: break the same things in the same order again.")
@click.option("--keep", is_flag=True, help="Leave the folder with logs and data.")
def command(
    *, plain: bool, json_file: Path | None, minutes: float | None, seed: int | None, keep: bool
) -> None:
    """Start three brokers with agents, publish and consume, and break things.

    Kills the leader's broker, then a whole node, then stops a broker in its tracks, and reports for each how
    long no message was confirmed, and whether any confirmed message was lost (then the exit status is 1).
    Everything runs in a temporary folder on loopback ports, and is gone afterwards.
    """
    # What the clients log about lost connections is what the demo shows; a second telling would spoil it.
    logging.getLogger("rabbitkeeper").addHandler(logging.NullHandler())
    console = Console()
    if json_file is not None and not json_file.parent.is_dir():
        raise click.UsageError(f"--json {json_file}: the folder {json_file.parent} does not exist")
    screen: Screen = PlainScreen(console) if plain or not console.is_terminal else LiveScreen(console)
    if minutes is not None and seed is None:
        seed = SystemRandom().randrange(10**6)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        report = run(screen, minutes, seed, keep=keep)
    except KeyboardInterrupt:
        screen.close()
        click.echo("interrupted; everything that was started has been ended", err=True)
        sys.exit(1)
    except (LocalError, RabbitKeeperError) as error:
        screen.close()
        click.echo(f"rabbitkeeper demo: {error}", err=True)
        sys.exit(1)
    screen.close()
    report.show(console)
    if json_file is not None:
        report.write_json(json_file)
    sys.exit(0 if report.passed else 1)


def run(screen: Screen, minutes: float | None, seed: int | None, *, keep: bool) -> Report:
    """Run the demo and return what it found.

    Raises:
        LocalError: a server could not be started.
        RabbitKeeperError: the producer or the consumer ended with an error.
    """
    started = time.monotonic()
    local = Local(zookeepers=1, members=3, keep=keep)
    done = waiting(screen.say, "starting a ZooKeeper and three brokers with agents")
    with local:
        local.wait_ready(180)
        done()
        observer = Observer(local.zookeeper_hosts, local.group, local.members)
        observer.start()
        load = Load(local.zookeeper_hosts, local.group, local.credentials)
        try:
            load.start()
            screen.watch(load, observer)
            screen.say("a producer and a consumer are at work")
            scenario = Scenario(local, load, observer, screen.say)
            results: list[FaultResult] = scenario.run_all()
            if minutes is not None and all(result.whole is not None for result in results):
                screen.say(
                    f"breaking {len(FAULTS)} kinds of things at random for {minutes:g} min, seed {seed}"
                )
                results += scenario.run_random(minutes * 60, Random(seed))
            screen.say("stopping the producer, waiting for the last deliveries")
            lost = load.finish(DELIVERY_TIMEOUT)
            totals = load.totals()
        finally:
            screen.close()
            load.close()
            observer.stop()
        if keep:
            screen.say(f"logs and data are in {local.folder}")
        return Report(
            faults=tuple(results),
            totals=totals,
            lost=tuple(sorted(lost)),
            failures=load.failures,
            seconds=time.monotonic() - started,
            seed=seed,
        )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
