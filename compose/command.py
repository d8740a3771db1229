"""``rabbitkeeper demo``: the failover demo, in processes on this machine or in containers."""

import contextlib
import logging
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom
from types import FrameType

import click
from rich.console import Console

from rabbitkeeper.compose.demo.local_faults import FAULTS, LocalStage
from rabbitkeeper.compose.demo.local_traffic import LocalTraffic
from rabbitkeeper.compose.demo.observer import Observer
from rabbitkeeper.compose.demo.performance import perform
from rabbitkeeper.compose.demo.report import Report
from rabbitkeeper.compose.demo.screen import LiveScreen, PlainScreen, Screen, waiting
from rabbitkeeper.compose.local import Local
from rabbitkeeper.coordinator.model.errors import RabbitKeeperError


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
@click.option("--keep", is_flag=True, help="Leave the folder with logs and data; not with --docker.")
@click.option(
    "--docker", is_flag=True, help="In containers: three ZooKeepers, and HAProxy for other clients."
)
@click.option(
    "--fault", "chosen", multiple=True, metavar="NAME", help="With --docker: only this; repeatable."
)
@click.option("--watch", is_flag=True, help="Leave it running after the report, until Ctrl-C.")
@click.option("--down", is_flag=True, help="With --docker: remove what is running or was left behind.")
@click.option("--env-only", is_flag=True, help="With --docker: only write compose/.env and secrets.")
def command(
    *,
    plain: bool,
    json_file: Path | None,
    minutes: float | None,
    seed: int | None,
    keep: bool,
    docker: bool,
    chosen: tuple[str, ...],
    watch: bool,
    down: bool,
    env_only: bool,
) -> None:
    """Start three brokers with agents, publish and consume, and break things.

    Kills the leader's broker, then a whole node, then stops a broker in its tracks, and reports for each how
    long no message was confirmed, and whether any confirmed message was lost (then the exit status is 1).
    Everything runs in a temporary folder on loopback ports, and is gone afterwards. It says where its
    dashboard is; with --watch there is time to look at that, and to move the lead oneself.

    With --docker it runs in containers, and more is broken: agents, ZooKeeper servers and the network too.
    Afterwards everything is gone but the images.
    """
    if not docker and (chosen or down or env_only):
        raise click.UsageError("--fault, --down and --env-only need --docker")
    if docker and keep:
        raise click.UsageError("--keep is of no use with --docker; --watch leaves everything running")
    if json_file is not None and not json_file.parent.is_dir():
        raise click.UsageError(f"--json {json_file}: the folder {json_file.parent} does not exist")
    # What the clients log about lost connections is what the demo shows; telling it twice would spoil it.
    logging.getLogger("rabbitkeeper").addHandler(logging.NullHandler())
    console = Console()
    if minutes is not None and seed is None:
        seed = SystemRandom().randrange(10**6)
    signal.signal(signal.SIGTERM, _interrupt)
    screen: Screen | None = None
    show = (lambda report: report.show(console)) if watch else None
    try:
        if docker:
            # The docker SDK belongs to an extra of its own, and the local demo does without it.
            from rabbitkeeper.compose.containers import demo

            if down or env_only:
                click.echo(demo.take_down() if down else demo.write_settings())
                return
            faults = demo.chosen(chosen)
            screen = _screen(console, plain=plain)
            report = demo.run(
                screen,
                faults=faults,
                minutes=minutes,
                seed=seed,
                watch=show,
            )
        else:
            screen = _screen(console, plain=plain)
            report = _run_local(screen, minutes, seed, keep=keep, watch=show)
    except KeyboardInterrupt:
        if screen is not None:
            screen.close()
        click.echo("interrupted; everything that was started has been ended", err=True)
        sys.exit(1)
    except (ImportError, RabbitKeeperError) as error:
        if screen is not None:
            screen.close()
        if isinstance(error, ImportError):
            if error.name != "docker":
                raise
            error = RabbitKeeperError("--docker needs the docker SDK; pip install 'rabbitkeeper[demo]'")
        click.echo(f"rabbitkeeper demo: {error}", err=True)
        sys.exit(1)
    screen.close()
    if not watch:
        report.show(console)
    if json_file is not None:
        report.write_json(json_file)
    sys.exit(0 if report.passed else 1)


def _screen(console: Console, *, plain: bool) -> Screen:
    return PlainScreen(console) if plain or not console.is_terminal else LiveScreen(console)


def _run_local(
    screen: Screen,
    minutes: float | None,
    seed: int | None,
    *,
    keep: bool,
    watch: Callable[[Report], None] | None,
) -> Report:
    """Run the demo in processes and return what it found.

    Args:
        screen: where it is shown.
        minutes: go on at random for so long.
        seed: of what is random.
        keep: leave the folder.
        watch: is given the report, and then everything goes on until an interrupt.

    Raises:
        LocalError: a server could not be started.
        RabbitKeeperError: the producer or the consumer ended with an error.
    """
    started = time.monotonic()
    local = Local(zookeepers=1, members=3, keep=keep, api=True)
    done = waiting(screen.say, "starting a ZooKeeper and three brokers with agents")
    with local:
        local.wait_ready(180)
        done()
        observer = Observer(local.zookeeper_hosts, local.group, local.members)
        observer.start()
        load = LocalTraffic(local.zookeeper_hosts, local.group, local.credentials)
        dashboard = f"{local.api(local.members[0])}/"
        try:
            load.start()
            screen.watch(load, observer)
            screen.say(f"a producer and a consumer are at work; dashboard {dashboard}")
            report = perform(
                LocalStage(local), FAULTS, load, observer, screen, started=started, minutes=minutes, seed=seed
            )
            if watch is not None:
                load.resume()
                token = local.api_token_file(local.members[0])
                screen.say(f"left running until Ctrl-C: dashboard {dashboard}, for operations with {token}")
                screen.close()
                watch(report)
                _wait_for_interrupt()
            return report
        finally:
            if keep:
                screen.say(f"logs and data are in {local.folder}")
            screen.close()
            load.close()
            observer.stop()


def _wait_for_interrupt() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            signal.pause()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
