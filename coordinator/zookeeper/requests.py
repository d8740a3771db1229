"""What a session asks of kazoo: how each request is sent, and what its answer means.

A request is sent without waiting, so that several can be under way; the session waits for the answers. kazoo
is not typed: what is ``KazooClient`` or ``KazooAnswer`` here is unknown to the type checker, and nothing of
it goes further than the ``decode`` of its request.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from kazoo.client import KazooClient
from kazoo.exceptions import RolledBackError, RuntimeInconsistency
from kazoo.protocol.states import ZnodeStat

from rabbitkeeper.coordinator.backend.node import Check, Create, Delete, Node, Set, TransactionStep
from rabbitkeeper.coordinator.model.errors import CoordinationError
from rabbitkeeper.coordinator.zookeeper.client import translate

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

KazooAnswer: TypeAlias = Any
Watch = Callable[[object], None] | None


@dataclass(frozen=True, slots=True)
class Request(Generic[T_co]):
    """One request about ``path``.

    Attributes:
        send: gives kazoo's AsyncResult.
        decode: what the answer means. A refusal that kazoo does not raise is returned, as an error of ours.
    """

    path: str
    send: Callable[[KazooClient], KazooAnswer]
    decode: Callable[[KazooAnswer], T_co | CoordinationError]


def get(path: str) -> Request[Node]:
    return Request(path, lambda client: client.get_async(path), lambda answer: _node(path, *answer))


def exists(path: str, watch: Watch = None) -> Request[Node | None]:
    """The node without its data."""

    def decode(stat: ZnodeStat | None) -> Node | None:
        return None if stat is None else _node(path, b"", stat)

    return Request(path, lambda client: client.exists_async(path, watch=watch), decode)


def children(path: str, watch: Watch = None) -> Request[tuple[str, ...]]:
    return Request(
        path,
        lambda client: client.get_children_async(path, watch=watch),
        lambda names: tuple(sorted(names)),
    )


def acl(path: str) -> Request[KazooAnswer]:
    """As kazoo's ``default_acl`` takes it."""
    return Request(path, lambda client: client.get_acls_async(path), lambda answer: answer[0])


def set_acl(path: str, acl: KazooAnswer) -> Request[None]:
    """Whatever it is now: who may say so says the whole."""
    return Request(path, lambda client: client.set_acls_async(path, acl), _nothing)


def sync(path: str) -> Request[None]:
    return Request(path, lambda client: client.sync_async(path), _nothing)


def create(path: str, data: bytes, ephemeral: bool = False) -> Request[Node]:
    return Request(
        path,
        lambda client: client.create_async(path, data, ephemeral=ephemeral, include_data=True),
        lambda answer: _node(path, data, answer[1]),
    )


def set_data(path: str, data: bytes, version: int) -> Request[Node]:
    checked = _checked(version)
    return Request(
        path,
        lambda client: client.set_async(path, data, checked),
        lambda stat: _node(path, data, stat),
    )


def delete(path: str, version: int) -> Request[None]:
    checked = _checked(version)
    return Request(path, lambda client: client.delete_async(path, checked), _nothing)


def transaction(steps: Sequence[TransactionStep]) -> Request[None]:
    """All of ``steps`` or none."""
    for step in steps:
        if not isinstance(step, Create):
            _checked(step.version)

    def send(client: KazooClient) -> KazooAnswer:
        transaction = client.transaction()
        for step in steps:
            match step:
                case Check(path, version):
                    transaction.check(path, version)
                case Create(path, data, ephemeral):
                    transaction.create(path, data, ephemeral=ephemeral)
                case Set(path, data, version):
                    transaction.set_data(path, data, version)
                case Delete(path, version):
                    transaction.delete(path, version)
        return transaction.commit_async()

    return Request(steps[0].path, send, lambda results: _refusal(steps, results))


def _refusal(steps: Sequence[TransactionStep], results: Sequence[object]) -> CoordinationError | None:
    """Why a transaction did nothing; None if it was done.

    One that failed is an answer like any other: the error of the step that failed stands at its place,
    RolledBack at those before it and RuntimeInconsistency at those after it.
    """
    failed = [
        (step, result)
        for step, result in zip(steps, results, strict=True)
        if isinstance(result, BaseException)
    ]
    for step, result in failed:
        if not isinstance(result, RolledBackError | RuntimeInconsistency):
            return translate(result, step.path)
    if failed:
        return CoordinationError(f"ZooKeeper rolled back a transaction on {steps[0].path}")
    return None


def _node(path: str, data: bytes | None, stat: ZnodeStat) -> Node:
    """A znode as kazoo shows it."""
    return Node(path, data or b"", stat.version, stat.czxid, stat.mzxid, stat.ephemeralOwner)


def _nothing(_answer: object) -> None:
    """The answer says no more than that it was done."""


def _checked(version: int) -> int:
    if version < 0:
        raise ValueError(f"version {version} would mean any version")
    return version


def value(answer: T | CoordinationError) -> T:
    """What was asked for, if it was not refused."""
    if isinstance(answer, CoordinationError):
        raise answer
    return answer
