"""ZooKeeper as a backend: reading and writing znodes through one session.

A node is a znode; ``created`` and ``modified`` are its czxid and mzxid, ``owner`` its ephemeralOwner. What
the operations promise stands in ``backend/interface.py``; the session itself is ``session.py``.
"""

from collections.abc import Sequence

from kazoo.protocol.states import WatchedEvent

from rabbitkeeper.coordinator.backend.access import may_not_create
from rabbitkeeper.coordinator.backend.interface import TIMEOUT
from rabbitkeeper.coordinator.backend.node import Node, TransactionStep
from rabbitkeeper.coordinator.model.errors import AccessDenied, NodeExists, NoNode
from rabbitkeeper.coordinator.model.permissions import Permissions
from rabbitkeeper.coordinator.zookeeper import requests
from rabbitkeeper.coordinator.zookeeper.acl import acl_of, permissions_in
from rabbitkeeper.coordinator.zookeeper.chroot import make_chroot
from rabbitkeeper.coordinator.zookeeper.requests import Request, value
from rabbitkeeper.coordinator.zookeeper.session import ZooKeeperSession


class ZooKeeperBackend(ZooKeeperSession):
    """A session that also reads and writes; see :class:`~rabbitkeeper.coordinator.backend.interface.Backend`
    for what each operation does, returns and raises."""

    def read(
        self, paths: Sequence[str], *, watch: bool = False, timeout: float = TIMEOUT
    ) -> dict[str, Node | None]:
        asked: list[Request[Node | None]] = []
        for path in paths:
            if watch:  # "exists" also watches a znode that is not there; the read after it cannot miss more
                asked.append(requests.exists(path, self._on_event))
            asked.append(requests.get(path))
        answers = self._ask(asked, timeout)
        return {
            path: None if isinstance(answer, NoNode) else value(answer)
            for path, answer in zip(paths, answers[1::2] if watch else answers, strict=True)
        }

    def stat(self, path: str, *, watch: bool = False, timeout: float = TIMEOUT) -> Node | None:
        (answer,) = self._ask([requests.exists(path, self._on_event if watch else None)], timeout)
        return value(answer)

    def children(self, path: str, *, watch: bool = False, timeout: float = TIMEOUT) -> tuple[str, ...] | None:
        (answer,) = self._ask([requests.children(path, self._on_event if watch else None)], timeout)
        return None if isinstance(answer, NoNode) else value(answer)

    def create(
        self,
        path: str,
        data: bytes,
        *,
        ephemeral: bool = False,
        timeout: float = TIMEOUT,
        in_session: int | None = None,
    ) -> Node:
        (answer,) = self._ask([requests.create(path, data, ephemeral)], timeout, in_session)
        return value(answer)

    def set(
        self, path: str, data: bytes, version: int, *, timeout: float = TIMEOUT, in_session: int | None = None
    ) -> Node:
        (answer,) = self._ask([requests.set_data(path, data, version)], timeout, in_session)
        return value(answer)

    def delete(
        self, path: str, version: int, *, timeout: float = TIMEOUT, in_session: int | None = None
    ) -> None:
        (answer,) = self._ask([requests.delete(path, version)], timeout, in_session)
        value(answer)

    def transaction(
        self, steps: Sequence[TransactionStep], *, timeout: float = TIMEOUT, in_session: int | None = None
    ) -> None:
        (answer,) = self._ask([requests.transaction(steps)], timeout, in_session)
        value(answer)

    def ensure_path(self, path: str, *, timeout: float = TIMEOUT) -> None:
        parts = path.strip("/").split("/")
        paths = ["/" + "/".join(parts[: length + 1]) for length in range(len(parts))]
        wanted = [requests.create(one, b"") for one in paths]
        answers = self._ask(wanted, timeout)
        if isinstance(answers[0], NoNode):  # "/" is not there: the chroot has never been made
            make_chroot(self.hosts, timeout, self._access)
            answers = self._ask(wanted, timeout)
        for one, answer in zip(paths, answers, strict=True):
            if isinstance(answer, AccessDenied):  # its parent's ACL is looked at first, be it there or not
                if self.stat(one, timeout=timeout) is None:
                    raise may_not_create(one)
            elif not isinstance(answer, NodeExists):
                value(answer)

    def sync(self, path: str = "/", *, timeout: float = TIMEOUT) -> None:
        client = self._client
        (answer,) = self._ask([requests.sync(path)], timeout)
        value(answer)
        if client is not None:
            self._learn(client)

    def permissions(self, path: str, *, timeout: float = TIMEOUT) -> Permissions | None:
        (answer,) = self._ask([requests.acl(path)], timeout)
        return None if isinstance(answer, NoNode) else permissions_in(value(answer), self._access)

    def permit(
        self, path: str, writers: Sequence[str], readers: Sequence[str], *, timeout: float = TIMEOUT
    ) -> None:
        (answer,) = self._ask([requests.set_acl(path, acl_of(self._access, writers, readers))], timeout)
        value(answer)

    def touched(self) -> frozenset[str]:
        with self._lock:
            touched, self._touched = frozenset(self._touched), set()
        return touched

    def adopt_acl(self, path: str, *, timeout: float = TIMEOUT) -> None:
        if self._access.identity is None:
            return
        (answer,) = self._ask([requests.acl(path)], timeout)
        if not isinstance(answer, NoNode):
            self._create_with(value(answer))

    def _on_event(self, event: WatchedEvent) -> None:
        """The one watch callback, for every path: kazoo keeps each callback once a path."""
        if event.path is not None:  # else the connection is gone, and the watches are with it
            with self._lock:
                self._touched.add(event.path)
        self._tell()
