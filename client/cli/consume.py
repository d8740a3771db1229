"""``rabbitkeeper consume``: the messages of a queue, each acked when it is written."""

import base64
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.console import Console

from rabbitkeeper.client.cli.connecting import connect, connects
from rabbitkeeper.client.cli.consumption import Consumed, consume
from rabbitkeeper.client.cli.interrupts import Interrupts
from rabbitkeeper.client.cli.message_lines import encode_line
from rabbitkeeper.client.cli.pace import Pace
from rabbitkeeper.client.cli.progress import NoProgress, progress_on
from rabbitkeeper.client.cli.waiting import RealWaiting
from rabbitkeeper.client.consume.message import Message
from rabbitkeeper.client.model.checks import TIMEOUT_MAX
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.coordinator.cli.root import ChosenGroup
from rabbitkeeper.coordinator.model.errors import ConfigurationError


@click.command("consume")
@connects
@click.option("-n", "--count", type=click.IntRange(min=1), help="End after so many; without it go on.")
@click.option(
    "--idle",
    type=click.FloatRange(min=0, min_open=True, max=TIMEOUT_MAX),
    help="End when none has come for so many seconds.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="So many a second at the most.")
@click.option("--prefetch", type=click.IntRange(1, 65535), default=100, show_default=True)
@click.option("-f", "--file", metavar="FILE", help="Append to FILE, in place of standard output.")
@click.option("--json", "form", flag_value="json", help="Write each as JSON, properties and headers too.")
@click.option("--base64", "form", flag_value="base64", help="Write the base64 of each body.")
@click.option("--declare", is_flag=True, help="Declare the queue first, as a quorum queue.")
@click.argument("queue")
@click.pass_context
def command(
    context: click.Context,
    /,
    count: int | None,
    idle: float | None,
    rate: float | None,
    prefetch: int,
    file: str | None,
    form: str | None,
    declare: bool,
    queue: str,
    **access: Any,
) -> None:
    """Write the messages of QUEUE, one a line, and ack each when it is written; Ctrl-C ends it.

    What was delivered and is not written goes back to the queue.

    Exit codes: 0 done, 1 failed or fewer than --count have come, 2 bad input, 130 (SIGTERM: 143) interrupted
    before there were --count; without --count an interrupt is the end, with 0.
    """
    chosen: ChosenGroup = context.obj
    with ExitStack() as stack:
        output = sys.stdout.buffer if file is None else stack.enter_context(_open(file))
        client = stack.enter_context(connect(chosen, **access))
        if declare:
            client.declare(Queue(queue))
        interrupts = stack.enter_context(Interrupts())
        is_looked_at = file is not None or not sys.stdout.isatty()
        progress = progress_on(Console(stderr=True), "consumed", count) if is_looked_at else NoProgress()
        stack.enter_context(progress)

        def write(message: Message) -> None:
            output.write(_line(message, form) + b"\n")
            output.flush()

        waiting, total = RealWaiting(), Consumed()
        began = waiting.now()
        consumer = client.consume(queue, prefetch)
        try:
            consume(
                total, consumer, write, waiting, interrupts, progress, pace=Pace(rate), count=count, idle=idle
            )
        finally:
            consumer.stop(1.0)
            progress.say(total.sentence(waiting.now() - began))
    context.exit(_exit_code(total, count, interrupts))


def _exit_code(total: Consumed, count: int | None, interrupts: Interrupts) -> int:
    if count is None or total.messages >= count:
        return 0
    return interrupts.exit_code if total.interrupted else 1


def _open(file: str) -> BinaryIO:
    try:
        return Path(file).open("ab")
    except OSError as error:
        raise ConfigurationError(f"--file {file} cannot be written: {error.strerror or error}") from None


def _line(message: Message, form: str | None) -> bytes:
    match form:
        case "json":
            return encode_line(message)
        case "base64":
            return base64.b64encode(message.body)
    return message.body
