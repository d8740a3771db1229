"""``rabbitkeeper publish``: messages from the command line, files or standard input, each confirmed."""

import sys
from collections.abc import Iterable
from itertools import cycle, islice
from typing import Any

import click
from rich.console import Console

from rabbitkeeper.client.cli.connecting import connect, connects
from rabbitkeeper.client.cli.interrupts import Interrupts
from rabbitkeeper.client.cli.message_lines import Outgoing
from rabbitkeeper.client.cli.pace import Pace
from rabbitkeeper.client.cli.progress import BarOfProgress, NoProgress, progress_on
from rabbitkeeper.client.cli.publication import Publication
from rabbitkeeper.client.cli.sources import STANDARD_INPUT, Form, MessageSources, Numbered, read_properties
from rabbitkeeper.client.cli.waiting import RealWaiting
from rabbitkeeper.client.client import Client
from rabbitkeeper.client.model.checks import TIMEOUT_MAX
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.coordinator.cli.root import ChosenGroup

WINDOW = 1000  # messages under way; as many as the client's own window has


@click.command("publish")
@connects
@click.option("-x", "--exchange", default="", help="The exchange; without it the default one.")
@click.option("-k", "--key", default="", help="The routing key: for the default exchange a queue's name.")
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="FILE",
    help="Take messages from FILE, '-' for standard input; can be repeated.",
)
@click.option("--json", "form", flag_value="json", help="Each line is a message in JSON, as consume --json.")
@click.option("--base64", "form", flag_value="base64", help="Each line is base64 of a body.")
@click.option("--whole", "form", flag_value="whole", help="Each file is one body, whatever is in it.")
@click.option(
    "-p", "--property", "properties", multiple=True, metavar="NAME=VALUE", help="A property of each message."
)
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header of each, a string.")
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=1),
    help="End after so many; MESSAGES are repeated until there are so many.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="So many a second at the most.")
@click.option(
    "--window",
    type=click.IntRange(1, WINDOW),
    default=WINDOW,
    show_default=True,
    help="So many under way; with 1 each is sent when the one before is confirmed.",
)
@click.option("--keep-going", is_flag=True, help="Go on behind a message that is not confirmed.")
@click.option("--declare", is_flag=True, help="Declare a quorum queue named as the key first.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=TIMEOUT_MAX),
    default=30.0,
    show_default=True,
    help="Seconds for each message.",
)
@click.argument("messages", nargs=-1)
@click.pass_context
def command(
    context: click.Context,
    /,
    exchange: str,
    key: str,
    files: tuple[str, ...],
    form: Form | None,
    properties: tuple[str, ...],
    headers: tuple[str, ...],
    count: int | None,
    rate: float | None,
    window: int,
    keep_going: bool,
    declare: bool,
    timeout: float,
    messages: tuple[str, ...],
    **access: Any,
) -> None:
    """Publish MESSAGES, or each line of files or standard input, and say how many were confirmed.

    Ends at the first that is not confirmed, when what was sent by then has its outcome; Ctrl-C does the same,
    and leaves that when it comes again. Files are looked through for mistakes before anything is sent.

    Exit codes: 0 all confirmed, 1 some not, 2 bad input, 130 (SIGTERM: 143) interrupted, all that was sent
    confirmed.
    """
    if messages and (files or form == "whole"):
        raise click.UsageError("Take messages from the command line or from files, not from both.")
    if not exchange and not key and form != "json":
        raise click.UsageError("Where to? Give --key QUEUE, or --exchange NAME.")
    if declare and not key:
        raise click.UsageError("What is to be declared? Give --key QUEUE with --declare.")
    sources = MessageSources(
        form or "lines", exchange, key, read_properties(properties, headers), lambda: sys.stdin.buffer
    )
    names = files or (STANDARD_INPUT,)
    if messages:
        texts = sources.of_texts(messages)
        taken: Iterable[Numbered] = texts if count is None else islice(cycle(texts), count)
        total: int | None = count or len(texts)
    else:
        known = sources.count(names)
        taken = islice(sources.of_files(names), count)
        total = known if count is None or known is None else min(count, known)
    is_typed = not messages and STANDARD_INPUT in names and sys.stdin.isatty()
    progress = NoProgress() if is_typed else progress_on(Console(stderr=True), "confirmed", total)
    chosen: ChosenGroup = context.obj
    with connect(chosen, **access) as client:
        if declare:
            client.declare(Queue(key))
        with Interrupts() as interrupts:
            code = _publish(client, taken, progress, interrupts, Pace(rate), window, keep_going, timeout)
    context.exit(code)


def _publish(
    client: Client,
    messages: Iterable[Numbered],
    progress: NoProgress | BarOfProgress,
    interrupts: Interrupts,
    pace: Pace,
    window: int,
    keep_going: bool,
    timeout: float,
) -> int:
    """Publish them; the exit code."""

    def send(message: Outgoing) -> Any:
        return client.publish_nowait(
            message.exchange, message.routing_key, message.body, message.properties, timeout=timeout
        )

    waiting = RealWaiting()
    began = waiting.now()
    publication = Publication(
        send, waiting, interrupts, progress, pace=pace, window=window, keep_going=keep_going
    )
    totals = publication.totals
    try:
        with progress:
            publication.run(messages)
    finally:
        click.echo(totals.sentence(waiting.now() - began), err=True)
    if totals.unknown:
        client.close(0)
    if not totals.all_confirmed:
        return 1
    return interrupts.exit_code if totals.interrupted else 0
