"""Declaring as a task does it: awaits what :mod:`rabbitkeeper.client.declaring` asks for."""

import time
from collections.abc import Callable, Sequence

from rabbitkeeper.client import declaring
from rabbitkeeper.client.aio.bridge import Bridge
from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.guard import GRACE
from rabbitkeeper.client.model.checks import check_timeout
from rabbitkeeper.client.model.errors import NoLeader
from rabbitkeeper.client.model.requests import Request, describe_request
from rabbitkeeper.client.model.topology import Binding, Entity, Exchange, ExchangeBinding, Queue


class AsyncDeclaring:
    """The declaring half of :class:`AsyncClient`; the names and what they raise are as in ``Client``.

    A task that is cancelled while it waits does not take back what it has asked for.
    """

    _parts: Callable[[], tuple[Engine, Bridge]]  # of the client, when it has begun and can be used here

    async def declare(self, *entities: Entity, timeout: float = 30.0) -> None:
        """Declare exchanges, queues and bindings; see ``Client.declare``."""
        await self._ask(declaring.declarations(entities), timeout)

    async def delete(
        self,
        *entities: Exchange | Queue,
        if_unused: bool = False,
        if_empty: bool = False,
        timeout: float = 30.0,
    ) -> int:
        """Delete exchanges and queues with their bindings; how many messages the queues had."""
        return sum(await self._ask(declaring.deletions(entities, if_unused, if_empty), timeout))

    async def unbind(self, *bindings: Binding | ExchangeBinding, timeout: float = 30.0) -> None:
        """Delete bindings."""
        await self._ask(declaring.unbindings(bindings), timeout)

    async def purge(self, queue: str | Queue, *, timeout: float = 30.0) -> int:
        """Delete the messages of ``queue`` that no consumer has; how many there were."""
        return sum(await self._ask(declaring.purges(queue), timeout))

    async def check(self, *entities: Exchange | Queue, timeout: float = 30.0) -> int:
        """Look whether exchanges and queues are there; how many messages the queues have ready."""
        return sum(await self._ask(declaring.checks(entities), timeout))

    async def _ask(self, asked: Sequence[Entity | Request], timeout: float) -> list[int]:
        engine, bridge = self._parts()
        check_timeout("timeout", timeout)
        deadline = time.monotonic() + timeout
        answers: list[int] = []
        for one in asked:
            left = max(0.001, deadline - time.monotonic())
            answer = engine.declare(one, left)
            if not await bridge.settled(answer, left + GRACE):
                raise NoLeader(f"{describe_request(one)}: no answer within {timeout:g} s")
            answers.append(answer.result())
        return answers
