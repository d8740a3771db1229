"""What a session asks of kazoo: how each request is sent, and what its answer means.

A request is sent without waiting, so that several can be under way; the session waits for the answers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import RolledBackError, RuntimeInconsistency
from kazoo.protocol.states import ZnodeStat

from rabbitkeeper.coordinator.model.errors import CoordinationError
from rabbitkeeper.coordinator.zookeeper.client import translate
from rabbitkeeper.coordinator.zookeeper.znode import Check, Create, Delete, Operation, Set, Znode

Watch = Callable[[object], None] | None


@dataclass(frozen=True, slots=True)
class Request:
    """One request about ``path``; ``send`` gives kazoo's AsyncResult."""

    path: str
    send: Callable[[KazooClient], Any]


def get(path: str) -> Request:
    return Request(path, lambda client: client.get_async(path))


def exists(path: str, watch: Watch = None) -> Request:
    return Request(path, lambda client: client.exists_async(path, watch=watch))


def children(path: str, watch: Watch = None) -> Request:
    return Request(path, lambda client: client.get_children_async(path, watch=watch))


def acl(path: str) -> Request:
    return Request(path, lambda client: client.get_acls_async(path))


def sync(path: str) -> Request:
    return Request(path, lambda client: client.sync_async(path))


def create(path: str, data: bytes, ephemeral: bool = False) -> Request:
    return Request(
        path, lambda client: client.create_async(path, data, ephemeral=ephemeral, include_data=True)
    )


def set_data(path: str, data: bytes, version: int) -> Request:
    checked = _checked(version)
    return Request(path, lambda client: client.set_async(path, data, checked))


def delete(path: str, version: int) -> Request:
    checked = _checked(version)
    return Request(path, lambda client: client.delete_async(path, checked))


def transaction(operations: Sequence[Operation]) -> Request:
    def send(client: KazooClient) -> Any:
        transaction = client.transaction()
        for operation in operations:
            match operation:
                case Check(path, version):
                    transaction.check(path, _checked(version))
                case Create(path, data, ephemeral):
                    transaction.create(path, data, ephemeral=ephemeral)
                case Set(path, data, version):
                    transaction.set_data(path, data, _checked(version))
                case Delete(path, version):
                    transaction.delete(path, _checked(version))
        return transaction.commit_async()

    return Request(operations[0].path, send)


def refusal(operations: Sequence[Operation], results: Sequence[object]) -> CoordinationError | None:
    """Why a transaction did nothing; None if it was done.

    One that failed is an answer like any other: the error of the operation that failed stands at its place,
    RolledBack at those before it and RuntimeInconsistency at those after it.
    """
    failed = [
        (operation, result)
        for operation, result in zip(operations, results, strict=True)
        if isinstance(result, BaseException)
    ]
    for operation, result in failed:
        if not isinstance(result, RolledBackError | RuntimeInconsistency):
            return translate(result, operation.path)
    if failed:
        return CoordinationError(f"ZooKeeper rolled back a transaction on {operations[0].path}")
    return None


def znode(path: str, data: bytes | None, stat: ZnodeStat) -> Znode:
    """A znode as kazoo shows it."""
    return Znode(path, data or b"", stat.version, stat.czxid, stat.mzxid, stat.ephemeralOwner)


def _checked(version: int) -> int:
    if version < 0:
        raise ValueError(f"version {version} would mean any version")
    return version
