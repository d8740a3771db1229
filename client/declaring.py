"""Declaring as the caller's thread does it: check, hand over, and wait for the broker's answer."""

import time
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeout

from rabbitkeeper.client.arguments import queue_name
from rabbitkeeper.client.engine.engine import Engine
from rabbitkeeper.client.guard import GRACE, Guard
from rabbitkeeper.client.model.checks import check_timeout
from rabbitkeeper.client.model.errors import InvalidArgument, NoLeader
from rabbitkeeper.client.model.requests import (
    DeleteEntity,
    PassiveDeclare,
    Purge,
    Request,
    Unbind,
    describe_request,
)
from rabbitkeeper.client.model.topology import Binding, Entity, Exchange, ExchangeBinding, Queue


class Declaring:
    """The declaring half of :class:`Client`, for any number of threads.

    Each method waits, for ``timeout`` seconds at the most, and takes what it is given one after the other:
    when one fails, those before it are done. All of them raise:

    * ``TopologyError``: it was refused, in the broker's words, or not answered by the deadline;
    * ``NotAuthorized``: the broker does not allow it;
    * ``NoLeader``: no broker was reached;
    * ``InvalidArgument``, ``Closed``, ``WrongThread``: at once.

    A request that was lost with its connection is sent again over the next one.
    """

    _engine: Engine
    _guard: Guard

    def declare(self, *entities: Entity, timeout: float = 30.0) -> None:
        """Declare exchanges, queues and bindings, in the order given; they are declared again after a switch.

        A queue whose node is restarting is waited for.
        """
        self._ask(declarations(entities), timeout)

    def delete(
        self,
        *entities: Exchange | Queue,
        if_unused: bool = False,
        if_empty: bool = False,
        timeout: float = 30.0,
    ) -> int:
        """Delete exchanges and queues with their bindings. They are not declared again after a switch.

        Args:
            entities: by their names; their settings do not matter. One that is not there is no error.
            if_unused: only without consumers, or bindings of an exchange. Not for quorum queues.
            if_empty: only queues without messages. Not for quorum queues.

        Returns:
            How many messages the queues had.
        """
        return sum(self._ask(deletions(entities, if_unused, if_empty), timeout))

    def unbind(self, *bindings: Binding | ExchangeBinding, timeout: float = 30.0) -> None:
        """Delete bindings. They are not declared again after a switch."""
        self._ask(unbindings(bindings), timeout)

    def purge(self, queue: str | Queue, *, timeout: float = 30.0) -> int:
        """Delete the messages of ``queue`` that no consumer has.

        Returns:
            How many there were.
        """
        return sum(self._ask(purges(queue), timeout))

    def check(self, *entities: Exchange | Queue, timeout: float = 30.0) -> int:
        """Look whether exchanges and queues of these names are there, whatever their settings (AMQP's passive
        declaration). Nothing is declared, now or after a switch.

        Returns:
            How many messages the queues have ready.
        """
        return sum(self._ask(checks(entities), timeout))

    def queue_name(self, queue: Queue) -> str:
        """The broker's name of a declared queue: of one that the broker names, the present one."""
        self._guard.check_process()
        return self._engine.topology.resolve(queue.name)

    def _ask(self, asked: Sequence[Entity | Request], timeout: float) -> list[int]:
        self._guard.check_usable()
        check_timeout("timeout", timeout)
        deadline = time.monotonic() + timeout
        answers: list[int] = []
        for one in asked:
            left = max(0.001, deadline - time.monotonic())
            try:
                answers.append(self._engine.declare(one, left).result(left + GRACE))
            except FutureTimeout:
                raise NoLeader(f"{describe_request(one)}: no answer within {timeout:g} s") from None
        return answers


def declarations(entities: Sequence[Entity]) -> Sequence[Entity]:
    """What ``declare`` asks for. These functions raise ``InvalidArgument`` before anything is."""
    for entity in entities:
        if not isinstance(entity, Exchange | Queue | Binding | ExchangeBinding):
            raise InvalidArgument(
                f"{entity!r} cannot be declared: use Exchange, Queue, Binding or ExchangeBinding"
            )
    return entities


def deletions(entities: Sequence[Exchange | Queue], if_unused: bool, if_empty: bool) -> list[Request]:
    """What ``delete`` asks for."""
    _check_kinds(entities, "deleted")
    return [DeleteEntity(one, if_unused, if_empty) for one in entities]


def unbindings(bindings: Sequence[Binding | ExchangeBinding]) -> list[Request]:
    """What ``unbind`` asks for."""
    for binding in bindings:
        if not isinstance(binding, Binding | ExchangeBinding):
            raise InvalidArgument(f"{binding!r} cannot be unbound: use Binding or ExchangeBinding")
    return [Unbind(binding) for binding in bindings]


def purges(queue: str | Queue) -> list[Request]:
    """What ``purge`` asks for."""
    return [Purge(queue_name(queue))]


def checks(entities: Sequence[Exchange | Queue]) -> list[Request]:
    """What ``check`` asks for."""
    _check_kinds(entities, "looked for")
    return [PassiveDeclare(one) for one in entities]


def _check_kinds(entities: Sequence[object], what: str) -> None:
    for entity in entities:
        if not isinstance(entity, Exchange | Queue):
            raise InvalidArgument(f"{entity!r} cannot be {what}: use Exchange or Queue")
