"""A whole group on this machine: ZooKeeper servers, brokers and their agents in one folder, on loopback."""

import secrets
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from rabbitkeeper.agent.broker.drivers.node_files import NodeSettings
from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtl
from rabbitkeeper.agent.rabbitmq.recommended import version_at
from rabbitkeeper.compose.local import bare, installed, readiness, saved_logs
from rabbitkeeper.compose.local.agent import AgentMember, GroupSettings
from rabbitkeeper.compose.local.bare import BareBroker
from rabbitkeeper.compose.local.erlang import ErlangHost
from rabbitkeeper.compose.local.errors import LocalError
from rabbitkeeper.compose.local.guardian import Guardian
from rabbitkeeper.compose.local.lean import lean_server
from rabbitkeeper.compose.local.network import Network
from rabbitkeeper.compose.local.ports import LOOPBACK, Ports
from rabbitkeeper.compose.local.zookeeper import LocalZooKeeper
from rabbitkeeper.coordinator.model.errors import RabbitKeeperError
from rabbitkeeper.coordinator.model.view import GroupView

# A laptop's disk is fuller and its memory smaller than a server's: the defaults would raise alarms.
_MODEST = "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 512MB\n"
_AGENT_GRACE = 30.0  # seconds for an agent to end, which stops its broker too


class Local:
    """Starts servers as child processes and ends them all, whatever happens to the caller.

    Args:
        zookeepers: how many ZooKeeper servers; more than one form an ensemble.
        members: how many brokers, called ``node1``, ``node2``, …
        group: the group's name.
        directory: where everything lives; made if missing, and it must be empty. None: a new folder in the
            temporary folder.
        session_timeout: of the agents' ZooKeeper sessions, seconds.
        keep: leave the folder, with data and logs, when it stops.
        agents: False runs the brokers without agents.
        clustered: whether brokers without agents are joined into a RabbitMQ cluster; if not, only the first
            knows the application's user.
        broker_config: lines added to each broker's rabbitmq.conf.
        agent_settings: sections of the agents' configuration to be set otherwise, as
            ``{"health": {"interval": 0.2}}``.
        member_settings: the same for single members, by name; they go before ``agent_settings``.
        api: whether the agents have an HTTP API; see :meth:`api` and :meth:`api_token`.
        networks: give each member a network of its own, which can be cut off; needs root.

    Attributes:
        members: the members' names.
        group: the group's name.
        credentials: an application's user and password, with all permissions on vhost ``/``.
    """

    def __init__(
        self,
        *,
        zookeepers: int = 1,
        members: int = 3,
        group: str = "demo",
        directory: Path | None = None,
        session_timeout: float = 6.0,
        keep: bool = False,
        agents: bool = True,
        clustered: bool = True,
        broker_config: str = "",
        agent_settings: Mapping[str, Any] | None = None,
        member_settings: Mapping[str, Mapping[str, Any]] | None = None,
        api: bool = False,
        networks: bool = False,
    ) -> None:
        if agents and members and not zookeepers:
            raise LocalError("agents need ZooKeeper: use zookeepers=1 or more, or agents=False")
        if networks and not agents:
            raise LocalError("brokers without agents share this host's network: use agents=True")
        self.members = tuple(f"node{number}" for number in range(1, members + 1))
        self.group = group
        self.credentials = ("app", secrets.token_urlsafe(18))
        self._zookeepers = zookeepers
        self._directory = directory
        self._session_timeout = session_timeout
        self._keep = keep
        self._agents = agents
        self._clustered = clustered
        self._broker_config = _MODEST + broker_config
        self._agent_settings = agent_settings or {}
        self._member_settings = member_settings or {}
        self._with_api = api
        self._networks = networks
        self._network: Network | None = None
        self._ports = Ports()
        self._guardian: Guardian | None = None
        self._zookeeper: LocalZooKeeper | None = None
        self._running: dict[str, BareBroker | AgentMember] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._guardian is not None:
            saved_logs.save(self._guardian.folder, f"{self.group} {kind.__name__}")
        self.stop()

    # -- all of it

    def start(self, timeout: float = 180.0) -> None:
        """Start everything. On an error, and on Ctrl-C, everything is ended again.

        Returns when ZooKeeper serves and an application can log in to a broker: without agents to each of
        the formed cluster, with agents to the first. :meth:`wait_ready` waits for the others.

        Raises:
            LocalError: something is not installed, or did not start in ``timeout`` seconds.
        """
        if self._guardian is not None:
            raise LocalError("it is running already; use another Local, or call stop() first")
        deadline = time.monotonic() + timeout
        try:
            with self._logs_kept():
                self._start(deadline, timeout)
        except BaseException as error:
            self.__exit__(type(error))
            raise

    def wait_ready(self, timeout: float = 180.0) -> None:
        """Wait until a leader is elected and every member runs. Returns at once without agents.

        Raises:
            LocalError: not in time, or an agent has ended; says what was missing.
        """
        if self._agents and self.members:
            with self._logs_kept():
                self._await_group(readiness.ready(self.members), timeout)

    def stop(self) -> None:
        """End everything and remove the folder. Idempotent."""
        if self._guardian is not None:
            self._guardian.close()
            self._guardian = None
        self._running.clear()
        self._zookeeper = None
        self._network = None
        self._ports.close()

    @property
    def folder(self) -> Path:
        if self._guardian is None:
            raise LocalError("nothing is running; call start() first")
        return self._guardian.folder

    @property
    def server(self) -> Path:
        """The start script of the RabbitMQ that the members run; for one more broker in the same folder."""
        return self.folder / "rabbitmq" / "sbin" / "rabbitmq-server"

    def reserve_port(self) -> int:
        """A free loopback port for something that runs beside the group."""
        return self._ports.reserve()

    # -- ZooKeeper

    @property
    def zookeeper(self) -> LocalZooKeeper:
        """The ZooKeeper servers: stop, kill, freeze and start them by number."""
        if self._zookeeper is None:
            raise LocalError("no ZooKeeper is running; call start() first")
        return self._zookeeper

    @property
    def zookeeper_hosts(self) -> str:
        """The connection string."""
        return self.zookeeper.hosts

    def start_zookeeper(self, number: int = 0) -> None:
        """Start a stopped ZooKeeper server; returns when it serves sessions."""
        self.zookeeper.start([number])

    def stop_zookeeper(self, number: int = 0) -> None:
        """End a ZooKeeper server gracefully."""
        self.zookeeper.stop(number)

    def kill_zookeeper(self, number: int = 0) -> None:
        """SIGKILL a ZooKeeper server."""
        self.zookeeper.kill(number)

    # -- the members' networks

    @property
    def network(self) -> Network:
        """The members' networks: cut them off and heal them."""
        if self._network is None:
            raise LocalError("the members share this host's network; use networks=True")
        return self._network

    # -- members

    def amqp(self, name: str) -> tuple[str, int]:
        """Host and port of a member's broker."""
        return self._member(name).settings.listen

    def node(self, name: str) -> str:
        """The Erlang node name of a member's broker."""
        return self._member(name).settings.node

    def settings(self, name: str) -> NodeSettings:
        """What a member's broker runs with: folders, user, environment."""
        return self._member(name).settings

    def ctl(self, name: str) -> RabbitmqCtl:
        """The command-line tools of a member's broker."""
        return self._member(name).ctl

    def logs(self, name: str) -> Path:
        """The folder with a member's logs: the broker's and ``agent.log``."""
        return self._member(name).settings.logs

    def broker_pid(self, name: str) -> int | None:
        """The broker's pid; None when it is not running."""
        return self._member(name).broker_pid

    def agent_pid(self, name: str) -> int | None:
        """The agent's pid; None when it is not running."""
        return self._agent(name).agent_pid

    def api(self, name: str) -> str:
        """The URL of the HTTP API of a member's agent."""
        api = self._agent(name).api
        if api is None:
            raise LocalError(f"the agent of {name} has no HTTP API; use api=True")
        return f"http://{api[0]}:{api[1]}"

    def api_token(self, name: str) -> str:
        """What operations over that API need."""
        return self._agent(name).api_token

    def api_token_file(self, name: str) -> Path:
        """Where the agent reads that."""
        return self._agent(name).api_token_file

    def kill_broker(self, name: str) -> None:
        """SIGKILL a broker; returns when it is gone."""
        self._member(name).kill_broker()

    def stop_broker(self, name: str) -> None:
        """SIGSTOP a broker: it keeps its connections and answers nothing."""
        self._member(name).signal_broker(signal.SIGSTOP)

    def continue_broker(self, name: str) -> None:
        """SIGCONT a broker."""
        self._member(name).signal_broker(signal.SIGCONT)

    def start_broker(self, name: str, timeout: float = 120.0) -> None:
        """Start a broker that was killed; returns when it listens. An agent does that by itself."""
        broker = self._member(name)
        if not isinstance(broker, BareBroker):
            raise LocalError(f"the broker of {name} is its agent's to start; use start_agent")
        broker.spawn()
        broker.wait_listening(time.monotonic() + timeout)

    def kill_agent(self, name: str) -> None:
        """SIGKILL an agent; its broker goes on."""
        self._agent(name).end_agent(0)

    def stop_agent(self, name: str) -> None:
        """SIGTERM an agent, which stops its broker too; returns when it has ended."""
        self._agent(name).end_agent(_AGENT_GRACE)

    def start_agent(self, name: str) -> None:
        """Start an agent; returns at once."""
        self._agent(name).spawn()

    def kill_node(self, name: str) -> None:
        """SIGKILL agent and broker."""
        agent = self._agent(name)
        agent.end_agent(0)  # first, or it would start the broker again
        agent.kill_broker()

    # -- inside

    def _member(self, name: str) -> BareBroker | AgentMember:
        if name not in self._running:
            there = ", ".join(self._running) or "none"
            raise LocalError(f"there is no running member {name!r}; there are: {there}")
        return self._running[name]

    def _agent(self, name: str) -> AgentMember:
        member = self._member(name)
        if not isinstance(member, AgentMember):
            raise LocalError(f"{name} has no agent; use agents=True")
        return member

    def _start(self, deadline: float, timeout: float) -> None:
        # What is not kept needs no orderly end.
        self._guardian = Guardian(self._directory, keep=self._keep, grace=5.0 if self._keep else 0.0)
        if self._networks:
            self._network = Network(self._guardian, self.members)
            self._network.start()
        if self._zookeepers:
            address = LOOPBACK if self._network is None else self._network.host
            self._zookeeper = LocalZooKeeper(self._guardian, self._ports, self._zookeepers, address=address)
            self._zookeeper.start(timeout=timeout)
        if self.members:
            self._start_members(self._guardian, deadline)

    def _start_members(self, guardian: Guardian, deadline: float) -> None:
        hosts = self._erlang_hosts(guardian)
        server = lean_server(installed.rabbitmq_server(), guardian.folder / "rabbitmq")
        user = ("rabbitkeeper", secrets.token_urlsafe(18))
        settings = {
            name: NodeSettings(
                node=f"rabbit{number}@{self._address(name, 'localhost')}",
                directory=guardian.folder / name,
                listen=(self._address(name), self._ports.reserve()),
                user=user,
                cookie=hosts[name].cookie,
                version=version_at(server),
                config=self._broker_config,
                environment=hosts[name].environment(),
            )
            for number, name in enumerate(self.members, start=1)
        }
        if self._agents:
            self._start_agents(guardian, settings, server, deadline)
        else:
            brokers = {name: BareBroker(guardian, server, name, its) for name, its in settings.items()}
            self._running.update(brokers)
            bare.boot(list(brokers.values()), deadline - time.monotonic())
            if self._clustered:
                bare.join(list(brokers.values()))
            self._add_application_user(self.members[0], deadline)

    @contextmanager
    def _logs_kept(self) -> Iterator[None]:
        """An error of what did not start names its logs, of which a copy outlives the folder."""
        try:
            yield
        except RabbitKeeperError as error:
            if self._guardian is None:
                raise
            logs = self.folder if self._keep else saved_logs.keep(self._guardian.folder, self.group)
            if logs is None:
                raise
            raise LocalError(
                f"{error}\nThe servers' logs are in {logs}: see what they say; on a busy host try again"
            ) from error

    def _address(self, name: str, shared: str = LOOPBACK) -> str:
        return shared if self._network is None else self._network.address(name)

    def _erlang_hosts(self, guardian: Guardian) -> dict[str, ErlangHost]:
        """Each member's: one for all, or one in each network."""
        if self._network is None:
            shared = ErlangHost(guardian, self._ports)
            shared.start()
            return dict.fromkeys(self.members, shared)
        hosts: dict[str, ErlangHost] = {}
        peer = None
        for name in self.members:
            enter, address = self._network.enter(name), self._network.address(name)
            peer = hosts[name] = ErlangHost(guardian, self._ports, peer=peer, address=address, enter=enter)
            peer.start()
        return hosts

    def _start_agents(
        self, guardian: Guardian, settings: Mapping[str, NodeSettings], server: Path, deadline: float
    ) -> None:
        group = GroupSettings(
            group=self.group,
            zookeeper_hosts=self.zookeeper_hosts,
            session_timeout=self._session_timeout,
            server=server,
            extra=self._agent_settings,
        )
        for name, its in settings.items():
            extra = self._member_settings.get(name, {})
            api = (self._address(name), self._ports.reserve()) if self._with_api else None
            enter = () if self._network is None else self._network.enter(name)
            agent = AgentMember(guardian, group, name, its, extra, api, enter)
            self._running[name] = agent
            agent.spawn()
        view = self._await_group(readiness.founded, deadline - time.monotonic())
        if view.cluster is not None:
            founder = view.cluster.record.nodes[view.cluster.record.founder]
            self._add_application_user(founder.member, deadline)

    def _await_group(self, condition: readiness.Condition, timeout: float) -> GroupView:
        def check() -> None:
            for name in self.members:
                self._agent(name).check()

        return readiness.await_group(self.zookeeper_hosts, self.group, condition, check, timeout)

    def _add_application_user(self, member: str, deadline: float) -> None:
        readiness.add_user(self._member(member).ctl, self.credentials, self.logs(member), deadline)
