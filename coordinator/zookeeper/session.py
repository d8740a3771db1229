"""One ZooKeeper session: its connection, its lease, and requests with deadlines.

The session says what is certain and does what it is told; it decides nothing, keeps no znode alive and
makes no znode again. Its owner (the agent's loop, a client's watcher, a command) does that, from one thread
of its own that ``wake`` wakes. None of kazoo's recipes is used: ``docs/decisions/0001-no-kazoo-recipes.md``.

What an owner can rely on stands in ``backend/interface.py``. Besides: when nothing has been answered for a
third of the session timeout the connection is given up for another one, to the next server; nothing waits
inside kazoo to be sent after an outage; and the session is given up when ZooKeeper refuses it for ever
(``rollback.py``).
"""

import functools
import logging
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.protocol.states import KazooState

from rabbitkeeper.coordinator.backend.access import BackendAccess
from rabbitkeeper.coordinator.backend.lease import Lease
from rabbitkeeper.coordinator.model.errors import (
    ConfigurationError,
    CoordinationError,
    SessionLost,
    ZooKeeperUnreachable,
)
from rabbitkeeper.coordinator.zookeeper import requests
from rabbitkeeper.coordinator.zookeeper.client import Handler, build, end, translate
from rabbitkeeper.coordinator.zookeeper.hosts import check_hosts
from rabbitkeeper.coordinator.zookeeper.requests import KazooAnswer, Request
from rabbitkeeper.coordinator.zookeeper.rollback import RollbackQuestion
from rabbitkeeper.coordinator.zookeeper.session_log import report, report_no_timeout, report_rollback, shown
from rabbitkeeper.coordinator.zookeeper.session_state import Renewal, SessionState, empty_lease

BATCH = 64  # requests in flight at once; kazoo's wake-up pipe blocks the sender at 278 (Linux)
CLOSE_TIMEOUT = 2.0  # seconds for a good-bye that ends the session at once
STALL = 1 / 3  # of the session timeout without any answer: the connection hangs

T = TypeVar("T")

_log = logging.getLogger(__name__)


class ZooKeeperSession:
    """A session with ZooKeeper that outlives lost connections, and replaces itself when it is lost.

    Its life and what is certain of it; what can be asked with it is in ``backend.py``. The properties are
    those of :class:`~rabbitkeeper.coordinator.backend.interface.Session`.

    Args:
        hosts: ``host[:port][,host[:port]...][/chroot]``.
        timeout: session timeout to ask for, seconds. The server clamps it (by default to 2 to 20 ticks of
            2 s); :attr:`timeout` tells what it granted.
        margin: seconds before its end from which on the lease is not trusted; None: as ``empty_lease``.
        wake: called from other threads at every watch event and change of the connection. It must not
            block: set a flag.
        clock: seconds, monotonic.
        access: who it is to ZooKeeper, and who may do what with the znodes that it creates.
        name: of the owner, for the log.

    Raises:
        ConfigurationError: ``hosts`` or ``timeout`` cannot be.
    """

    def __init__(
        self,
        hosts: str,
        *,
        timeout: float,
        margin: float | None,
        wake: Callable[[], None],
        clock: Callable[[], float],
        access: BackendAccess,
        name: str,
    ) -> None:
        if not timeout > 0:
            raise ConfigurationError(f"session timeout {timeout!r} is not valid: use seconds above 0")
        self.hosts = check_hosts(hosts)
        self.name = name
        self._asked = float(timeout)
        self._margin = margin
        self._wake = wake
        self._clock = clock
        self._access = access
        self._acl: KazooAnswer | None = None  # another than that of ``access``
        self._lock = threading.Condition()  # guards what is below; who holds it does not wait for ZooKeeper
        self._client: KazooClient | None = None
        self._handler: Handler | None = None
        self._granted: float | None = None
        self._state = SessionState()
        self._events = 0
        self._touched: set[str] = set()
        self._question = RollbackQuestion(name)
        self._seen = 0  # the newest zxid
        self._rollbacks = 0

    # -- what is certain: as the interface says

    @property
    def connected(self) -> bool:
        return self._state.connected

    @property
    def connections(self) -> int:
        return self._state.connections

    @property
    def connected_since(self) -> float | None:
        return self._state.connected_since

    @property
    def disconnected_since(self) -> float | None:
        return self._state.disconnected_since

    @property
    def session_id(self) -> int:
        return self._state.session_id

    @property
    def generation(self) -> int:
        return self._state.generation

    @property
    def rollbacks(self) -> int:
        return self._rollbacks

    @property
    def established_at(self) -> float | None:
        return self._state.established_at

    @property
    def timeout(self) -> float:
        return self._granted or self._asked

    @property
    def lease(self) -> Lease:
        return self._state.lease

    @property
    def events(self) -> int:
        return self._events

    def await_event(self, seen: int, timeout: float) -> bool:
        with self._lock:
            return self._lock.wait_for(lambda: self._events != seen, timeout)

    # -- life

    def start(self, timeout: float = 10.0) -> None:
        """Connect and hold a first lease.

        Args:
            timeout: seconds to try for.

        Raises:
            ZooKeeperUnreachable: no server answered in time; nothing goes on in the background.
            AccessDenied: the credentials were refused.
        """
        deadline = self._clock() + timeout
        with self._lock:
            if self._client is not None:
                return
            self._state = self._state.disconnect(self._clock())
            self._spawn()
            handler = self._handler
        answered = False
        try:
            while not answered and self._clock() < deadline:
                answered = self._first_answer(deadline)
        finally:
            if not answered:
                self.close()
        if not answered:
            problem = None if handler is None else handler.problem
            raise ZooKeeperUnreachable(
                f"no ZooKeeper server of {self.hosts} answered within {timeout:g} s: "
                + (problem or "check that the address is right and that ZooKeeper runs there")
            )
        if self._granted is None:
            report_no_timeout()

    def close(self) -> None:
        """End the session, so that its ephemerals go at once; within :data:`CLOSE_TIMEOUT` seconds.

        When ZooKeeper cannot be told, the ephemerals go when the session times out. Can be called again, and
        the session can be started again afterwards; that is a new generation.
        """
        with self._lock:
            client, handler, told = self._client, self._handler, self._state.connected
            self._client = self._handler = None
            self._state = self._state.lose(self._clock())
        if client is None or handler is None:
            return
        ending = end(client, self.name)
        if told:
            ending.join(CLOSE_TIMEOUT)
        handler.sever()

    def renew(self) -> None:
        """Ask for a sign of life and return at once; its answer extends the lease from *now*.

        Called by the owner's own loop, in every turn. The request is a ``sync``: it goes through ZooKeeper's
        leader, so a follower that is cut off cannot extend the lease by answering from its memory. It also
        notices a hung connection, and starts anew when kazoo has given up.
        """
        with self._lock:
            client, handler, state, now = self._client, self._handler, self._state, self._clock()
            if client is None or handler is None:
                return
            if handler.ended:
                _log.error("%s: kazoo's thread has ended: starting a new ZooKeeper session", self.name)
                self._state = state.lose(now)
                self._spawn()
                return
            if not state.connected:
                if state.session_id:
                    answered = functools.partial(self._remembers, client)
                    self._question.ask(self.hosts, self._access, handler.refusals, now, answered)
                return
            if state.renewal is not None:
                if now - state.renewal.sent > self.timeout * STALL:
                    handler.sever()
                return
            renewal = state.renewal_at(now)
            self._state = state.renewing(renewal)
        client.sync_async("/").rawlink(functools.partial(self._renewed, client, renewal))

    # -- inside

    def _spawn(self) -> None:
        client, self._handler = build(self.hosts, self._asked, self._access)
        client.add_listener(functools.partial(self._changed, client))
        if self._acl is not None:
            client.default_acl = self._acl
        self._client = client
        client.start_async()

    def adapt(self, access: BackendAccess) -> None:
        with self._lock:
            before, self._access = self._access, access
            if self._client is None or self._handler is None:
                return
            self._handler.adapt(access.tls)
            if access.identity is not None and access.identity != before.identity:
                self._client.add_auth_async("digest", ":".join(access.identity))  # kept for later connections

    def move(self, hosts: str) -> None:
        checked = check_hosts(hosts)
        with self._lock:
            before, self.hosts = self.hosts, checked
            client, handler, told = self._client, self._handler, self._state.connected
            if checked == before or client is None or handler is None:
                return
            if checked.partition("/")[2] != before.partition("/")[2]:  # kazoo cannot change it
                self._state = self._state.lose(self._clock())
                self._spawn()
            else:
                client.set_hosts(checked)
        if self._client is not client:
            end(client, self.name)
        if told:
            handler.sever()

    def _create_with(self, acl: KazooAnswer) -> None:
        """Create znodes with this ACL from now on."""
        with self._lock:
            self._acl = acl
            if self._client is not None:
                self._client.default_acl = acl

    def _first_answer(self, deadline: float) -> bool:
        """Wait for a connection and one answer over it: an open port alone does not serve."""
        with self._lock:
            self._lock.wait_for(lambda: self._state.connected, max(0.0, deadline - self._clock()))
            sent = self._clock()
            renewal = self._state.renewal_at(sent)
        try:
            (answer,) = self._ask([requests.sync("/")], max(0.0, deadline - sent))
            requests.value(answer)
        except (ZooKeeperUnreachable, SessionLost):
            return False
        with self._lock:
            self._state = self._state.renewed(renewal, answered=True)
        return True

    def _ask(
        self, asked: Sequence[Request[T]], timeout: float, in_session: int | None = None
    ) -> list[T | CoordinationError]:
        """Send requests one after the other without waiting between them; return what came back.

        An answer that is an error of the znode's is returned, not raised; one of the connection is raised.

        Args:
            timeout: seconds for all.
            in_session: send them in the session of this id or not at all (:class:`SessionLost`).
        """
        deadline = self._clock() + timeout
        answers: list[T | CoordinationError] = []
        for start in range(0, len(asked), BATCH):
            # Under the lock, which the listener for lost sessions takes before kazoo drops what is queued:
            # what is sent for a session is dropped with it or refused here, never sent in the next one.
            with self._lock:
                client, handler, connection = self._usable(in_session)
                sent = self._clock()
                pending = [(one, one.send(client)) for one in asked[start : start + BATCH]]
            for request, result in pending:
                try:
                    answers.append(request.decode(result.get(timeout=max(0.0, deadline - self._clock()))))
                except handler.timeout_exception:
                    waited = self._clock() - sent
                    if waited >= self.timeout * STALL and connection == self.connections:
                        handler.sever()
                    raise ZooKeeperUnreachable(
                        f"ZooKeeper at {self.hosts} did not answer about {request.path} within {waited:.1f} s"
                    ) from None
                except KazooException as error:
                    ours = translate(error, request.path)
                    if isinstance(ours, ZooKeeperUnreachable | SessionLost):
                        raise ours from None
                    answers.append(ours)
        return answers

    def _usable(self, in_session: int | None) -> tuple[KazooClient, Handler, int]:
        state = self._state
        if in_session is not None and in_session != state.session_id:
            raise SessionLost(f"the ZooKeeper session {shown(in_session)} is no more")
        if self._client is None or self._handler is None:
            raise ZooKeeperUnreachable("the ZooKeeper session is not started, or has been closed")
        if not state.connected:
            raise ZooKeeperUnreachable(f"there is no connection to ZooKeeper at {self.hosts}")
        return self._client, self._handler, state.connections

    def _changed(self, client: KazooClient, kazoo: str) -> None:
        """kazoo's connection has changed; called by its connection thread."""
        with self._lock:
            if self._handler is None or self._client is None or self._client is not client:
                return
            before, now = self._state, self._clock()
            if kazoo == KazooState.CONNECTED:
                self._granted = self._handler.negotiated
                self._state = before.connect(
                    client.client_id[0], empty_lease(self._granted, self._margin), now
                )
            elif kazoo == KazooState.LOST:
                self._state = before.lose(now)
            else:
                self._state = before.disconnect(now)
            after = self._state
        report(self.name, self.hosts, self.timeout, before, after)
        self._tell()

    def _remembers(self, client: KazooClient, zxid: int) -> None:
        """What ZooKeeper knows while it refuses us; called by a thread of its own."""
        with self._lock:
            before, seen = self._state, client.last_zxid
            if self._client is not client or before.connected or not before.session_id or zxid >= seen:
                return
            self._rollbacks, self._seen = self._rollbacks + 1, zxid
            self._state = before.lose(self._clock())
            self._spawn()
        report_rollback(self.name, self.hosts, seen, zxid)
        end(client, self.name)
        self._tell()

    def _learn(self, client: KazooClient) -> None:
        """ZooKeeper as a whole has answered: has it forgotten anything since an earlier session?"""
        with self._lock:
            zxid, seen = client.last_zxid, self._seen
            if self._client is not client or not self._state.connected or not zxid or zxid == seen:
                return
            self._seen = zxid
            self._rollbacks += zxid < seen
        if zxid < seen:
            report_rollback(self.name, self.hosts, seen, zxid)

    def _renewed(self, client: KazooClient, renewal: Renewal, result: KazooAnswer) -> None:
        """A renewal was answered; called by kazoo's completion thread."""
        if result.successful():
            self._learn(client)
        with self._lock:
            now = self._clock()
            before = self._state.lease.valid(now)
            self._state = self._state.renewed(renewal, result.successful())
            regained = not before and self._state.lease.valid(now)
        if regained:
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            self._events += 1
            self._lock.notify_all()
        self._wake()
