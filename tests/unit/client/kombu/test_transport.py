"""The transport: it connects where the resolver says, and says why it cannot."""

import os
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from amqp.exceptions import AccessRefused
from kombu import Connection
from pika import frame
from pika.spec import Connection as Methods
from support.client.scripted_broker import ScriptedBroker
from support.waiting import PATIENCE

from rabbitkeeper.client.kombu import resolver as module
from rabbitkeeper.client.kombu.connection import KombuConnection
from rabbitkeeper.client.kombu.errors import NoMember
from rabbitkeeper.client.kombu.settings import Lookup
from rabbitkeeper.client.kombu.transport import KombuTransport, _tls
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.routing.placement import Target, Targets
from rabbitkeeper.coordinator.model.errors import UnknownGroup
from rabbitkeeper.coordinator.model.records import MemberStatus

URL = "rabbitkeeper://app:secret@zk1:2181,zk2:2181/orders"


class Watching:
    """In place of the watch of a group, which has the members that the test says."""

    mismatch: str | None = None

    def __init__(self) -> None:
        self.targets = Targets()
        self.error: Exception | None = None
        self.publish: Callable[[Targets], None] = lambda _: None

    def make(self, _lookup: Lookup, publish: Callable[[Targets], None], _emit: object) -> "Watching":
        self.publish = publish
        return self

    def start(self, _timeout: float) -> None:
        if self.error is not None:
            raise self.error
        self.publish(self.targets)

    def stop(self) -> None: ...


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watching]:
    one = Watching()
    monkeypatch.setattr(module, "_watching", one.make)
    yield one
    for resolver in list(module.resolvers._all.values()):
        resolver.end()
    module.resolvers._all.clear()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as one:
        yield one


def member(name: str, address: str, status: MemberStatus = MemberStatus.RUNNING) -> Target:
    return Target(name, "1", address, status)


def group(leader: str, *members: Target, epoch: int = 1) -> Targets:
    known = {one.member: one for one in members}
    return Targets(epoch, known[leader], known)


def broker(stack: ExitStack, on_method: Any = lambda _method, _channel: b"") -> str:
    """A broker's address."""
    return stack.enter_context(ScriptedBroker(on_method)).address


def nobody() -> str:
    """An address at which nobody is."""
    with ExitStack() as stack:
        return broker(stack)


def member_of(connection: Connection) -> str:
    assert isinstance(connection.connection, KombuConnection)
    return connection.connection.target.member


def test_it_connects_to_the_leader(watching: Watching, stack: ExitStack) -> None:
    watching.targets = group("mq2", member("mq1", nobody()), member("mq2", broker(stack)))
    with Connection(URL, connect_timeout=PATIENCE) as connection:
        connection.connect()
        assert member_of(connection) == "mq2"


def test_where_the_leader_is_not_there_another_is_at_once(watching: Watching, stack: ExitStack) -> None:
    watching.targets = group("mq1", member("mq1", nobody()), member("mq2", broker(stack)))
    with Connection(URL, connect_timeout=PATIENCE) as connection:
        connection.connect()
        assert member_of(connection) == "mq2"


def test_after_a_loss_the_next_one_is_elsewhere(watching: Watching, stack: ExitStack) -> None:
    first = stack.enter_context(ScriptedBroker(lambda _method, _channel: b"", until=Methods.Open))
    watching.targets = group("mq1", member("mq1", first.address), member("mq2", broker(stack)))
    with Connection(URL, connect_timeout=PATIENCE) as connection:
        connection.connect()
        with pytest.raises(connection.recoverable_connection_errors):
            connection.drain_events(timeout=PATIENCE)
        connection.collect()
        connection.connect()
        assert member_of(connection) == "mq2"


def test_when_its_broker_hangs_it_goes_to_another(watching: Watching, stack: ExitStack) -> None:
    first, second = broker(stack), member("mq2", broker(stack))
    watching.targets = group("mq1", member("mq1", first), second)
    with Connection(URL, connect_timeout=PATIENCE) as connection:
        connection.connect()
        watching.publish(group("mq2", member("mq1", first, MemberStatus.HUNG), second, epoch=2))
        with pytest.raises(connection.recoverable_connection_errors, match="mq1 is hung"):
            connection.drain_events(timeout=PATIENCE)
        connection.collect()
        connection.connect()
        assert member_of(connection) == "mq2"


def test_where_nobody_is_it_says_so_of_each(watching: Watching) -> None:
    watching.targets = group("mq1", member("mq1", nobody()), member("mq2", nobody()))
    with (
        pytest.raises(NoMember, match=r"mq1: .*refused.*mq2: .*refused|mq2: .*refused.*mq1: .*refused"),
        Connection(URL, connect_timeout=0.3) as connection,
    ):
        connection.connect()


def test_where_none_can_be_tried_it_says_so(watching: Watching) -> None:
    watching.targets = group("mq1", member("mq1", nobody(), MemberStatus.HUNG))
    with pytest.raises(NoMember, match="all of them are down"), Connection(URL, connect_timeout=0.1) as one:
        one.connect()


def test_who_cannot_learn_of_the_group_tries_again(watching: Watching, stack: ExitStack) -> None:
    watching.error = UnknownGroup("there is no group 'orders'")
    watching.targets = group("mq1", member("mq1", broker(stack)))
    with Connection(URL, connect_timeout=PATIENCE) as connection:
        with pytest.raises(connection.recoverable_connection_errors, match="no group 'orders'"):
            connection.connect()
        watching.error = None
        connection.connect()


def test_a_password_that_is_wrong_is_tried_at_one_member_alone(watching: Watching, stack: ExitStack) -> None:
    asked: list[object] = []

    def refuse(method: Any, _channel: int) -> bytes:
        if not isinstance(method, Methods.StartOk):
            return b""
        asked.append(method)
        close = Methods.Close(403, "ACCESS_REFUSED - Login was refused", 0, 0)
        return bytes(frame.Method(0, close).marshal())

    watching.targets = group(
        "mq1", member("mq1", broker(stack, refuse)), member("mq2", broker(stack, refuse))
    )
    with pytest.raises(AccessRefused), Connection(URL, connect_timeout=PATIENCE) as connection:
        connection.connect()
    assert len(asked) == 1


def test_options_of_py_amqps_pass_and_ours_do_not(watching: Watching, stack: ExitStack) -> None:
    watching.targets = group("mq1", member("mq1", broker(stack)))
    properties = {"region": "south"}
    options = {
        "confirm_publish": False,
        "answer_timeout": 3,
        "max_retries": 2,
        "name": "a-worker",
        "client_properties": properties,
    }
    with Connection(URL, connect_timeout=PATIENCE, transport_options=options) as connection:
        made = connection.connect()
        assert made.confirm_publish is False
        assert made.client_properties["connection_name"] == "a-worker"
        assert made.client_properties["region"] == "south"
    assert properties == {"region": "south"}


def test_a_password_may_be_asked_for_at_each_connect(watching: Watching, stack: ExitStack) -> None:
    heard: list[bytes] = []

    def hear(method: Any, _channel: int) -> bytes:
        if isinstance(method, Methods.StartOk):
            heard.append(method.response)
        return b""

    watching.targets = group("mq1", member("mq1", broker(stack, hear)))
    url = "rabbitkeeper://zk1:2181/orders"
    with Connection(url, userid="app", password=lambda: "fresh", connect_timeout=PATIENCE) as connection:
        connection.connect()
        assert "fresh" not in connection.as_uri()
    assert b"fresh" in bytes(str(heard[0]), "utf-8")


@pytest.mark.parametrize("url", ["rabbitkeeper://app:hunter-two@zk1", "rabbitkeeper://zk1/orders?spread=all"])
def test_a_url_that_is_none_is_refused_before_anything_is_begun(url: str) -> None:
    with pytest.raises(InvalidArgument) as caught, Connection(url) as connection:
        connection.connect()
    assert "hunter" not in str(caught.value)


def test_there_is_no_management_api() -> None:
    with pytest.raises(NotImplementedError):
        Connection(URL).get_manager()


def test_prefetch_is_of_each_consumer() -> None:
    assert KombuTransport(Connection(URL)).qos_semantics_matches_spec(None) is True


def test_the_name_in_a_certificate_is_that_of_the_member() -> None:
    given = {"ca_certs": "ca.pem"}
    assert _tls(given, "mq2:5671") == {"ca_certs": "ca.pem", "server_hostname": "mq2"}
    assert given == {"ca_certs": "ca.pem"}
    assert _tls(True, "[::1]:5671") == {"server_hostname": "::1"}
    assert _tls({"server_hostname": "all"}, "mq2:5671") == {"server_hostname": "all"}
    assert _tls({"cert_reqs": ssl.CERT_NONE}, "mq2:5671") == {"cert_reqs": ssl.CERT_NONE}
    assert _tls(False, "mq2:5672") is False


def test_a_forked_child_has_connections_of_its_own(watching: Watching, stack: ExitStack) -> None:
    watching.targets = group("mq1", member("mq1", broker(stack)), member("mq2", broker(stack)))
    with Connection(URL, connect_timeout=PATIENCE) as connection:
        made = connection.connect()
        assert made.target.member == "mq1"
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                if not connection.connected:  # the parent's
                    connection.collect()
                    watching.targets = group("mq2", watching.targets.members["mq2"])
                    connection.connect()
                    code = 0 if member_of(connection) == "mq2" else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert connection.connected
        made.channel().close()  # its broker answers


def test_a_hung_member_costs_its_time_once(watching: Watching, stack: ExitStack) -> None:
    silent = stack.enter_context(ScriptedBroker(lambda _method, _channel: b""))
    silent._answers.clear()
    watching.targets = group("mq1", member("mq1", silent.address), member("mq2", broker(stack)))
    began = time.monotonic()
    with Connection(URL, connect_timeout=PATIENCE) as connection:
        connection.connect()
        assert member_of(connection) == "mq2"
    assert time.monotonic() - began < PATIENCE / 2
