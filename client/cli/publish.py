"""``rabbitkeeper publish``: messages from the command line or standard input, each confirmed."""

import os
import sys
from collections.abc import Iterable
from typing import Any

import click

from rabbitkeeper.client.cli.connecting import connect, connects
from rabbitkeeper.client.model.topology import Queue
from rabbitkeeper.coordinator.cli.root import ChosenGroup


@click.command("publish")
@connects
@click.option("-x", "--exchange", default="", help="The exchange; without it the default one.")
@click.option("-k", "--key", default="", help="The routing key: for the default exchange a queue's name.")
@click.option("--declare", is_flag=True, help="Declare a quorum queue named as the key first.")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds for each message.")
@click.argument("messages", nargs=-1)
@click.pass_obj
def command(
    chosen: ChosenGroup,
    /,
    exchange: str,
    key: str,
    declare: bool,
    timeout: float,
    messages: tuple[str, ...],
    **access: Any,
) -> None:
    """Publish MESSAGES, or each line of standard input, and say how many were confirmed.

    Ends with 1 at the first that is not confirmed; those before it are.
    """
    if not exchange and not key:
        raise click.UsageError("Where to? Give --key QUEUE, or --exchange NAME.")
    bodies: Iterable[bytes] = [os.fsencode(text) for text in messages]
    if not messages:
        bodies = (line.rstrip(b"\r\n") for line in sys.stdin.buffer)
    confirmed = 0
    with connect(chosen, **access) as client:
        if declare:
            client.declare(Queue(key))
        try:
            for body in bodies:
                client.publish(exchange, key, body, timeout=timeout)
                confirmed += 1
        finally:
            click.echo(f"{confirmed} confirmed", err=True)
