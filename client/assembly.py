"""Puts one client's engine together. Nothing is connected or started here."""

from collections.abc import Callable
from random import Random

from rabbitkeeper.client.amqp.transport import Access, Transport
from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.model.events import Event
from rabbitkeeper.client.routing.placement import Placement, Spread
from rabbitkeeper.client.routing.switch import CONNECT_TIMEOUT, Switch


def assemble(
    transport: Transport,
    access: Access,
    *,
    name: str,
    spread: Spread,
    site: str | None,
    connect_timeout: float = CONNECT_TIMEOUT,
    random: Random,
    emit: Callable[[Event], None],
) -> Engine:
    """An engine that is ready to start.

    Args:
        transport: where connections come from; with the loop and the clock.
        access: how to get into a broker.
        name: of the client, in the names of threads.
        spread, site: where to connect to; see :mod:`placement`.
        connect_timeout: seconds for the first attempt at a member.
        random: for jitter and spreading.
        emit: takes events.
    """
    now = transport.loop.now()
    placement = Placement(spread, site, random, now)
    switch = Switch(now, random, placement, connect_timeout=connect_timeout)
    return Engine(
        transport,
        access,
        switch,
        name=f"{name}-io",
        random=random,
        emit=emit,
    )
