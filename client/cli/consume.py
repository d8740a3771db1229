"""``rabbitkeeper consume``: the messages of a queue on standard output, each acked when it is written."""

import sys
from typing import Any

import click

from rabbitkeeper.client.cli.connecting import connect, connects
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.coordinator.cli.root import ChosenGroup


@click.command("consume")
@connects
@click.option("-n", "--count", type=click.IntRange(min=1), help="End after so many; without it go on.")
@click.option("--prefetch", type=click.IntRange(1, 65535), default=100, show_default=True)
@click.option("--declare", is_flag=True, help="Declare the queue first, as a quorum queue.")
@click.argument("queue")
@click.pass_obj
def command(
    chosen: ChosenGroup,
    /,
    count: int | None,
    prefetch: int,
    declare: bool,
    queue: str,
    **access: Any,
) -> None:
    """Write the messages of QUEUE, one a line, and ack each; Ctrl-C ends it."""
    output = sys.stdout.buffer
    with connect(chosen, **access) as client:
        if declare:
            client.declare(Queue(queue))
        consumer = client.consume(queue, prefetch)
        try:
            for number, message in enumerate(consumer, 1):
                output.write(message.body + b"\n")
                output.flush()
                message.ack()
                if number == count:
                    break
        except KeyboardInterrupt:
            pass
        finally:
            consumer.stop(1.0)
