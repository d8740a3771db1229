"""What the group needs of the service that holds it: three protocols, and what implementations must keep.

``Session`` is for those who ask what is certain (the agent's loop), ``Nodes`` for those who read and write,
``Backend`` is both with its life, for those who put things together. ZooKeeper implements them
(``coordinator/zookeeper``), and so does the simulated one of the tests; nothing above knows which one it has.
``coordinator/connect.py`` makes one from an address.

What an owner can rely on, whichever backend it is:

- *Order.* The requests of one session are done in the order in which they were sent, and ``Node.created`` and
  ``Node.modified`` are of one count that never goes backwards, until the service forgets what it knew
  (``rollbacks``). The epoch of a lead is such a number.
- *Ephemerals.* A node that was created as ephemeral goes with the session that created it, all of a session's
  in one step, and no earlier than its lease ends. Nobody makes it again but its owner.
- *Lease.* While ``lease.valid(now)`` the session lives, and so do its ephemerals. It is renewed only by
  ``renew``, which the owner calls in each turn of its loop: a loop that hangs loses the lease.
- *Watches* are one-shot and gone after a lost connection. Each one, and each change of the connection, calls
  the ``wake`` that the backend was made with; the owner then reads again what it wants to watch, or what
  ``touched`` names of it. Reading again does not pile them up. Events come in the order in which what they
  tell of was done.
- *Deadlines.* Every operation ends by its timeout and raises subclasses of ``CoordinationError`` only. One
  that was not answered raises ``ZooKeeperUnreachable`` and is *unknown*: a write may have been applied, or be
  applied while this connection lasts.
- *No queueing.* Without a connection an operation fails at once. Nothing waits to be sent after an outage,
  when it may not be true any more. Nothing is repeated.

Operations may be called from any thread. Times are seconds, monotonic.
"""

from collections.abc import Sequence
from typing import Protocol

from rabbitkeeper.coordinator.backend.access import BackendAccess
from rabbitkeeper.coordinator.backend.lease import Lease
from rabbitkeeper.coordinator.backend.node import Node, TransactionStep
from rabbitkeeper.coordinator.model.permissions import Permissions

TIMEOUT = 2.0  # seconds for an operation, unless its caller says otherwise


class Session(Protocol):
    """What is certain of one's session with the backend, and keeping it."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection right now, as far as is known."""

    @property
    def connections(self) -> int:
        """Connections so far; a change of it means that watches are gone and reads may go back in time."""

    @property
    def connected_since(self) -> float | None:
        """Since when the present connection stands; None when there is none."""

    @property
    def disconnected_since(self) -> float | None:
        """Since when there is no connection; None while there is one."""

    @property
    def session_id(self) -> int:
        """As ``Node.owner`` shows it; 0 when there is no session, or when it is known to be lost."""

    @property
    def generation(self) -> int:
        """How many sessions there have been; 0 before the first. A new connection alone does not count."""

    @property
    def rollbacks(self) -> int:
        """How often the service has been found to have forgotten what this process had seen of it: its data
        were deleted, or restored from an older state, or it is another one. The numbers of nodes begin again
        then. It is counted before anything is read in the session that follows a ``sync``."""

    @property
    def established_at(self) -> float | None:
        """When this session began; None when there is none."""

    @property
    def timeout(self) -> float:
        """The negotiated session timeout, seconds; what was asked for before the first connection."""

    @property
    def lease(self) -> Lease:
        """Until when the session is certain to live."""

    @property
    def events(self) -> int:
        """How often ``wake`` has been called; for :meth:`await_event`."""

    def await_event(self, seen: int, timeout: float) -> bool:
        """Wait until there is an event after the first ``seen``, for those who do not bring a ``wake``.

        Args:
            seen: :attr:`events` as it was *before* the read whose result is waited on.
            timeout: seconds.

        Returns:
            False if there was none in time.
        """

    def touched(self) -> frozenset[str]:
        """The paths whose watches have fired since this was asked last, each once. Those of a connection
        that is gone are not among them: look at :attr:`connections`."""

    def renew(self) -> None:
        """Ask for a sign of life and return at once; its answer extends the lease from *now*.

        Called by the owner's own loop, in every turn. The request must be one that the service as a whole
        answers: a server that is cut off from the others must not extend a lease from its memory.
        """


class Nodes(Protocol):
    """Reading and writing nodes. Paths are absolute; ``timeout`` is in seconds."""

    def read(
        self, paths: Sequence[str], *, watch: bool = False, timeout: float = TIMEOUT
    ) -> dict[str, Node | None]:
        """Read nodes in this order, in one go: a later one is never older than an earlier one.

        Args:
            watch: be woken by the next change of each, its creation or deletion included.
            timeout: for all.

        Returns:
            Each path with its node, or None if there is none.
        """

    def stat(self, path: str, *, watch: bool = False, timeout: float = TIMEOUT) -> Node | None:
        """A node without its data, or None if there is none."""

    def children(self, path: str, *, watch: bool = False, timeout: float = TIMEOUT) -> tuple[str, ...] | None:
        """Names of the children, sorted; None if there is no such node (which is then not watched)."""

    def create(
        self,
        path: str,
        data: bytes,
        *,
        ephemeral: bool = False,
        timeout: float = TIMEOUT,
        in_session: int | None = None,
    ) -> Node:
        """Create a node.

        Args:
            in_session: do it in the session of this id or not at all (:class:`SessionLost`).

        Raises:
            NodeExists: it is there. After a lost answer it may be one's own: look at the owner.
            NoNode: its parent is not there.
        """

    def set(
        self, path: str, data: bytes, version: int, *, timeout: float = TIMEOUT, in_session: int | None = None
    ) -> Node:
        """Replace the data of a node that still has ``version``.

        Raises:
            Conflict: it has another version.
            NoNode: it is not there.
            ValueError: ``version`` is negative; there is no "any version".
        """

    def delete(
        self, path: str, version: int, *, timeout: float = TIMEOUT, in_session: int | None = None
    ) -> None:
        """Delete a node that still has ``version``. Raises as :meth:`set` does."""

    def transaction(
        self, steps: Sequence[TransactionStep], *, timeout: float = TIMEOUT, in_session: int | None = None
    ) -> None:
        """Do all of ``steps`` or none.

        Args:
            in_session: do it in the session of this id or not at all (:class:`SessionLost`).

        Raises:
            NoNode, NodeExists, Conflict: the condition that failed; ``error.path`` tells where.
            ValueError: a version is negative.
        """

    def ensure_path(self, path: str, *, timeout: float = TIMEOUT) -> None:
        """Create ``path`` and what is above it, as empty persistent nodes, where they are not there."""

    def sync(self, path: str = "/", *, timeout: float = TIMEOUT) -> None:
        """Let the server catch up, so that what is read next is not older than what anybody has written."""


class Backend(Session, Nodes, Protocol):
    """One session with the service that holds groups. It outlives lost connections, and replaces itself when
    it is lost; it decides nothing, keeps no node alive and makes no node again."""

    @property
    def hosts(self) -> str:
        """The address that it was made with, for messages."""

    def start(self, timeout: float = 10.0) -> None:
        """Connect and hold a first lease.

        Args:
            timeout: seconds to try for.

        Raises:
            ZooKeeperUnreachable: no server answered in time; nothing goes on in the background.
            AccessDenied: the credentials were refused.
        """

    def close(self) -> None:
        """End the session, so that its ephemerals go at once; returns within seconds, whatever happens.

        When the service cannot be told, the ephemerals go when the session times out. Can be called again.
        """

    def adapt(self, access: BackendAccess) -> None:
        """From now on be somebody else, or use another TLS. From any thread; returns at once.

        The session goes on and keeps what it was allowed before; another TLS is for the next connection.
        """

    def move(self, hosts: str) -> None:
        """From now on use the servers at this address. From any thread; returns at once.

        The session goes on if they know it; else it is lost, and another one begins there.

        Raises:
            ConfigurationError: ``hosts`` cannot be.
        """

    def permissions(self, path: str, *, timeout: float = TIMEOUT) -> Permissions | None:
        """Who may do what with a node; None if there is none."""

    def permit(
        self, path: str, writers: Sequence[str], readers: Sequence[str], *, timeout: float = TIMEOUT
    ) -> None:
        """Let one's own identity and ``writers`` do everything with a node, ``readers`` read it.

        Raises:
            NoNode: it is not there.
            AccessDenied: one may not say so.
            ConfigurationError: one has no identity.
        """

    def adopt_acl(self, path: str, *, timeout: float = TIMEOUT) -> None:
        """From now on create nodes that the same may read as the one at ``path``, if there is one and one is
        somebody.

        For those who write into a group that others have made: who may read it is for them to say.
        """
