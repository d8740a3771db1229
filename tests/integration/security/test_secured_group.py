"""A group with TLS on every connection and with ZooKeeper's ACLs: one ZooKeeper, one broker with its agent.

The certificates are made by the script of ``examples/tls``, as its reader would.
"""

import json
import os
import secrets
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pika
import pika.exceptions
import pytest
from support.waiting import wait_for

from rabbitkeeper.agent.broker.drivers.node_files import NodeSettings
from rabbitkeeper.agent.rabbitmq import definitions
from rabbitkeeper.client import Client, Queue
from rabbitkeeper.client.model.errors import NoLeader
from rabbitkeeper.compose.local import installed
from rabbitkeeper.compose.local.agent import AgentMember, GroupSettings
from rabbitkeeper.compose.local.erlang import ErlangHost
from rabbitkeeper.compose.local.guardian import Guardian
from rabbitkeeper.compose.local.lean import lean_server
from rabbitkeeper.compose.local.ports import LOOPBACK, Ports
from rabbitkeeper.compose.local.zookeeper import LocalZooKeeper
from rabbitkeeper.coordinator.backend.access import BackendAccess
from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.connect import backend_at
from rabbitkeeper.coordinator.model.errors import AccessDenied, CoordinationError, ZooKeeperUnreachable
from rabbitkeeper.coordinator.model.paths import GroupPaths
from rabbitkeeper.coordinator.store.reader import GroupReader
from rabbitkeeper.coordinator.tls import client_context
from rabbitkeeper.coordinator.zookeeper.access import digest_id

pytestmark = [pytest.mark.zookeeper, pytest.mark.rabbitmq]

SCRIPT = Path(__file__).parents[3] / "examples" / "tls" / "make-certificates"
GROUP = "secured"
AGENTS = ("agents", "the agents' own")
CLIENTS = ("clients", "what clients know")
APPLICATION = ("app", secrets.token_urlsafe(12))
PATIENCE = 120.0  # seconds


@dataclass(frozen=True)
class Secured:
    zookeeper: LocalZooKeeper
    certificates: Path
    agent: AgentMember
    broker: str  # host:port of the port that speaks TLS
    trusted: Path  # the agent's file of authorities
    password: Path  # of the agent's identity at ZooKeeper

    @property
    def hosts(self) -> str:
        return self.zookeeper.secure_address(0)

    def trust(self) -> ssl.SSLContext:
        return client_context(self.certificates / "ca.pem")

    def session(self, identity: tuple[str, str] | None) -> Backend:
        session = backend_at(self.hosts, access=BackendAccess(identity, tls=self.trust()))
        session.start(10)
        return session

    def client(self) -> Client:
        trust = self.trust()
        return Client(self.hosts, GROUP, APPLICATION, tls=trust, zookeeper_auth=CLIENTS, zookeeper_tls=trust)

    def command(self, *arguments: str, identity: Path) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "RABBITKEEPER_ZOOKEEPER": self.hosts,
            "RABBITKEEPER_GROUP": GROUP,
            "RABBITKEEPER_ZOOKEEPER_CA": str(self.certificates / "ca.pem"),
            "RABBITKEEPER_ZOOKEEPER_AUTH_FILE": str(identity),
        }
        return subprocess.run(
            [Path(sys.executable).with_name("rabbitkeeper"), "-o", "json", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run([SCRIPT, folder, "server,localhost", "broker,127.0.0.1"], check=True, timeout=60)
    return folder


@pytest.fixture(scope="module")
def secured(certificates: Path) -> Iterator[Secured]:
    ports = Ports()
    guardian = Guardian(None, keep=False, grace=0.0)
    try:
        zookeeper = LocalZooKeeper(guardian, ports, tls=certificates)
        zookeeper.start()
        host = ErlangHost(guardian, ports)
        host.start()
        port = ports.reserve()
        server = lean_server(installed.rabbitmq_server(), guardian.folder / "rabbitmq")
        settings = NodeSettings(
            node="rabbit1@localhost",
            directory=guardian.folder / "node1",
            listen=(LOOPBACK, port),
            user=("rabbitkeeper", secrets.token_urlsafe(18)),
            cookie=host.cookie,
            config=f"""
listeners.tcp = none
listeners.ssl.1 = {LOOPBACK}:{port}
ssl_options.cacertfile = {certificates / "ca.pem"}
ssl_options.certfile = {certificates / "broker.crt"}
ssl_options.keyfile = {certificates / "broker.key"}
disk_free_limit.absolute = 50MB
""",
            environment=host.environment(),
        )
        trusted, password_file = guardian.folder / "trusted.pem", guardian.folder / "zookeeper-password"
        trusted.write_bytes((certificates / "ca.pem").read_bytes())
        password_file.write_text(AGENTS[1])
        trust = {"ca": str(trusted)}
        extra = {
            "zookeeper": {
                "auth": {"username": AGENTS[0], "password_file": str(password_file)},
                "readers": [f"digest:{digest_id(CLIENTS)}"],
                "tls": trust,
            },
            "broker": {"amqp": {"tls": trust}},
        }
        group = GroupSettings(GROUP, zookeeper.secure_address(0), 6.0, server, extra)
        agent = AgentMember(guardian, group, "node1", settings)
        agent.spawn()
        secured = Secured(zookeeper, certificates, agent, f"{LOOPBACK}:{port}", trusted, password_file)
        _await_leader(secured)
        user, password = APPLICATION
        agent.ctl.import_definitions(
            {
                "users": [definitions.user(user, password, salt=secrets.token_bytes(4))],
                "permissions": [definitions.full_access(user, "/")],
            }
        )
        yield secured
    finally:
        guardian.close()
        ports.close()


def _replace(file: Path, content: str) -> None:
    """As careful programs do: a new file in the place of the old one."""
    new = file.with_suffix(".new")
    new.write_text(content)
    new.replace(file)


def _renew(secured: Secured, file: Path, content: str) -> None:
    """Change a file of the agent's, and wait until it is taken."""
    log = secured.agent.log
    said = len(log.read_text())
    _replace(file, content)
    wait_for(lambda: f"reloaded ({file} changed)" in log.read_text()[said:], f"{file} to be taken", PATIENCE)


def _await_new_connection(secured: Secured) -> None:
    """End the agent's connection to its broker, and wait until it has another."""
    ctl = secured.agent.ctl

    def connections() -> set[str]:
        return set(ctl._run("list_connections", "pid", "--no-table-headers").split())

    before = connections()
    assert before
    ctl._run("close_all_connections", "--global", "a test")
    wait_for(lambda: connections() - before, "a new connection to the broker", PATIENCE)


def _await_leader(secured: Secured) -> None:
    session = secured.session(CLIENTS)
    reader, deadline = GroupReader(session, GROUP), time.monotonic() + PATIENCE
    try:
        while True:
            secured.agent.check()
            seen = session.events
            try:
                if reader.read().leader is not None:
                    return
            except CoordinationError:
                assert time.monotonic() < deadline, "the group does not come"
            assert time.monotonic() < deadline, secured.agent.log.read_text()
            session.await_event(seen, 0.5)
    finally:
        session.close()


def test_a_client_with_an_identity_publishes_over_tls(secured: Secured) -> None:
    with secured.client() as client:
        client.declare(Queue("secured"))
        client.publish("", "secured", b"over TLS")
        message = next(iter(client.consume("secured")))
        message.ack()
    assert message.body == b"over TLS"


def test_a_client_without_tls_is_told_that_the_brokers_want_it(secured: Secured) -> None:
    with pytest.raises(NoLeader, match="give tls"):
        Client(
            secured.hosts,
            GROUP,
            APPLICATION,
            zookeeper_auth=CLIENTS,
            zookeeper_tls=secured.trust(),
            timeout=3.0,
        )


def test_a_client_that_is_nobody_is_told_that_it_may_not_read(secured: Secured) -> None:
    with pytest.raises(AccessDenied, match="credentials"):
        Client(secured.hosts, GROUP, APPLICATION, tls=secured.trust(), zookeeper_tls=secured.trust())


def test_clients_read_and_do_not_write(secured: Secured) -> None:
    session, paths = secured.session(CLIENTS), GroupPaths(GROUP)
    try:
        leader = session.read([paths.leader])[paths.leader]
        assert leader is not None
        with pytest.raises(AccessDenied):
            session.set(paths.leader, b"{}", leader.version)
        with pytest.raises(AccessDenied):
            session.delete(paths.leader, leader.version)
        with pytest.raises(AccessDenied):
            session.create(paths.pause, b"{}")
    finally:
        session.close()


def test_an_operator_with_the_agents_identity_writes_what_clients_can_read(
    secured: Secured, tmp_path: Path
) -> None:
    identity = tmp_path / "identity"
    identity.write_text(":".join(AGENTS) + "\n")
    done = secured.command("pause", "--reason", "a test", identity=identity)
    assert done.returncode == 0, done.stderr
    session, paths = secured.session(CLIENTS), GroupPaths(GROUP)
    try:
        pause = session.read([paths.pause])[paths.pause]
        assert pause is not None
        assert json.loads(pause.data)["reason"] == "a test"
    finally:
        session.close()
    assert secured.command("resume", identity=identity).returncode == 0


def test_an_operator_with_a_wrong_password_is_refused_in_one_line(secured: Secured, tmp_path: Path) -> None:
    identity = tmp_path / "identity"
    identity.write_text("agents:guessed\n")
    done = secured.command("list", identity=identity)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "denies access" in done.stderr
    assert "guessed" not in done.stderr


def test_a_server_that_nobody_vouches_for_is_said(secured: Secured, tmp_path: Path) -> None:
    subprocess.run([SCRIPT, tmp_path, "other"], check=True, timeout=60)
    stranger = BackendAccess(CLIENTS, tls=client_context(tmp_path / "ca.pem"))
    with pytest.raises(ZooKeeperUnreachable, match=r"TLS with localhost .*issuer"):
        backend_at(secured.hosts, access=stranger).start(2.0)


def test_a_server_with_another_name_is_said(secured: Secured) -> None:
    hosts = secured.hosts.replace("localhost", "127.0.0.1")
    with pytest.raises(ZooKeeperUnreachable, match=r"TLS with 127\.0\.0\.1 .*(match|not valid)"):
        backend_at(hosts, access=BackendAccess(CLIENTS, tls=secured.trust())).start(2.0)


def test_the_agents_user_opens_no_virtual_host_of_applications(secured: Secured) -> None:
    ctl, (user, password) = secured.agent.ctl, secured.agent.settings.user
    ctl.import_definitions({"vhosts": [{"name": "orders"}]})
    host, port = secured.broker.split(":")

    def connect(vhost: str, *, known: bool) -> None:
        given = pika.PlainCredentials(user, password if known else "guessed")
        tls = pika.SSLOptions(secured.trust(), host)
        pika.BlockingConnection(
            pika.ConnectionParameters(host, int(port), vhost, given, ssl_options=tls)
        ).close()

    try:
        connect("rabbitkeeper", known=True)
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            connect("rabbitkeeper", known=False)
        with pytest.raises(pika.exceptions.ProbableAccessDeniedError, match="orders"):
            connect("orders", known=True)
    finally:
        ctl._run("delete_vhost", "orders")


def test_many_answers_in_one_tls_record_all_arrive(secured: Secured) -> None:
    session = secured.session(AGENTS)
    try:
        for _ in range(20):  # what TLS has decrypted already is not seen by select
            found = session.read([GroupPaths(GROUP).leader] * 60, timeout=5.0)
            assert all(znode is not None for znode in found.values())
    finally:
        session.close()


def test_the_secrets_are_in_no_znode_no_log_and_no_process_list(secured: Secured) -> None:
    session, paths = secured.session(AGENTS), GroupPaths(GROUP)
    try:
        kept = [paths.root, paths.config, paths.cluster, paths.leader, paths.member("node1"), paths.history]
        found = b"\n".join(znode.data for znode in session.read(kept).values() if znode is not None)
    finally:
        session.close()
    log = secured.agent.log.read_text()
    listed = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True, timeout=10
    ).stdout
    for secret in (AGENTS[1], CLIENTS[1], APPLICATION[1], secured.agent.settings.user[1]):
        assert secret not in log
        assert secret not in listed
        assert secret.encode() not in found


def test_what_is_renewed_is_taken_while_agent_and_broker_run(secured: Secured, tmp_path: Path) -> None:
    """Authority, certificates and passwords, all of them; the last test, since none of the old is left."""
    agent, kept = secured.agent, secured.certificates
    pids = agent.agent_pid, agent.broker_pid
    renewed = tmp_path / "renewed"
    subprocess.run([SCRIPT, renewed, "server,localhost", "broker,127.0.0.1"], check=True, timeout=60)
    authority = (renewed / "ca.pem").read_text()
    _renew(secured, secured.trusted, secured.trusted.read_text() + authority)

    user = definitions.user(
        agent.settings.user[0], "renewed, too", salt=secrets.token_bytes(4), tags=["administrator"]
    )
    agent.ctl.import_definitions({"users": [user]})
    _renew(secured, agent.settings.directory / "secrets" / "password", "renewed, too")
    for name in ("broker.key", "broker.crt", "server.pem", "ca.pem"):
        _replace(kept / name, (renewed / name).read_text())
    agent.ctl._run("eval", "ssl:clear_pem_cache().")
    _await_new_connection(secured)

    secured.zookeeper.stop(0)
    secured.zookeeper.start()
    _renew(secured, secured.trusted, authority)
    _await_new_connection(secured)

    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text(":".join(AGENTS))
    new.write_text(f"{AGENTS[0]}:renewed as well")
    # With its wait: what the agent creates after it can be read with either identity.
    done = secured.command("secure", "--also", str(new), identity=old)
    assert done.returncode == 0, done.stderr
    _renew(secured, secured.password, "renewed as well")
    done = secured.command("secure", "--wait", "0", identity=new)
    assert done.returncode == 0, done.stderr
    _await_member_again(secured, (AGENTS[0], "renewed as well"))

    _await_leader(secured)
    with secured.client() as client:
        client.declare(Queue("secured"))
        client.publish("", "secured", b"after all that", timeout=PATIENCE)
    assert (agent.agent_pid, agent.broker_pid) == pids
    assert "renewed, too" not in agent.log.read_text()
    assert "renewed as well" not in agent.log.read_text()


def _await_member_again(secured: Secured, identity: tuple[str, str]) -> None:
    """Delete the member's znode: only who has the identity can make it again."""
    session, path = secured.session(identity), GroupPaths(GROUP).member("node1")
    try:
        before = session.read([path])[path]
        assert before is not None
        session.delete(path, before.version)

        def after() -> bool:
            found = session.read([path])[path]
            return found is not None and found.created != before.created

        wait_for(after, "the member's znode", PATIENCE)
    finally:
        session.close()
