"""What is broken in containers, and how: Docker's API against the project's containers and networks.

A kill is SIGKILL from inside, to everything in the container: that is a crash, and what Docker's restart
policy or the agent is there for. ``docker kill`` would be an operator's wish, which Docker does not undo.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker.errors

from rabbitkeeper.compose.containers.errors import DemoError
from rabbitkeeper.compose.containers.project import Project
from rabbitkeeper.compose.demo.scenario import Fault
from rabbitkeeper.compose.demo.timeline import GroupTimeline

MEMBERS = ("node1", "node2", "node3")
ZOOKEEPERS = ("zookeeper1", "zookeeper2", "zookeeper3")
EVERYTHING = "everything"
FREEZE_TRIES = 5
GONE_WITHIN = 10.0  # seconds from SIGKILL to the end of a container
STOP_TIMEOUT = 40  # seconds for a container to end gracefully

_ALL_PROCESSES = ("sh", "-c", "kill -KILL -1")  # but the container's init, which then ends by itself
_BROKER_PROCESS = ("sh", "-c", "read -r pid _ < /var/lib/rabbitmq/node/run/broker && kill -{signal} $pid")


class ContainerStage:
    """The group in containers, as the scenario's stage.

    Args:
        project: running.
        agents: where the agents run, ``separate`` or ``inside``.
    """

    def __init__(self, project: Project, agents: str) -> None:
        self._project = project
        self._inside = agents == "inside"
        self._networks: dict[str, dict[str, list[str]]] = {}  # of what is disconnected: aliases by network

    def logs(self, target: str) -> str:
        services = self._servers() if target == EVERYTHING else self._services(target)
        return f"docker logs {self._project.name}-{services[0]}-1"

    def is_back(self, target: str, timeline: GroupTimeline) -> bool:
        if target in ZOOKEEPERS:
            return self._healthy(target)
        if target == EVERYTHING:
            return timeline.is_whole() and all(map(self._healthy, ZOOKEEPERS))
        return timeline.runs(target)

    def zookeeper_leader(self) -> str:
        """The ZooKeeper server that leads the ensemble; any other while there is none."""
        for name in ZOOKEEPERS:
            try:
                answer = self._project.container(name).exec_run(["check.sh", "zookeeper"])
            except docker.errors.APIError:
                continue
            if answer.output.strip() == b"leader":
                return name
        return ZOOKEEPERS[0]

    # -- the broker of a member

    def kill_broker(self, member: str) -> None:
        if self._inside:
            self._signal_broker(member, "KILL")
        else:
            self.kill(self._broker(member))

    def pause_broker(self, member: str) -> None:
        if self._inside:
            self._signal_broker(member, "STOP")
        else:
            self.pause(self._broker(member))

    def stop_broker(self, member: str) -> None:
        if self._inside:
            self._signal_broker(member, "TERM")
        else:
            self._project.container(self._broker(member)).stop(timeout=STOP_TIMEOUT)

    def cut_broker(self, member: str) -> None:
        self._disconnect([self._broker(member)])

    # -- the agent of a member; together with the broker if they are in one container

    def kill_agent(self, member: str) -> None:
        self.kill(self._agent(member))

    def pause_agent(self, member: str) -> None:
        self.pause(self._agent(member))

    def stop_agent(self, member: str) -> None:
        self._project.container(self._agent(member)).stop(timeout=STOP_TIMEOUT)

    def cut_agent(self, member: str) -> None:
        self._disconnect([self._agent(member)])

    def cut_node(self, member: str) -> None:
        """Off their networks, broker and agent."""
        self._disconnect(self._services(member))

    # -- a ZooKeeper server

    def kill(self, service: str) -> None:
        """SIGKILL to everything in a container."""
        container = self._project.container(service)
        since = container.attrs["State"]["StartedAt"]
        container.exec_run(list(_ALL_PROCESSES))
        deadline = time.monotonic() + GONE_WITHIN
        while container.status == "running" and container.attrs["State"]["StartedAt"] == since:
            if time.monotonic() > deadline:
                raise DemoError(f"the container of {service} is still there {GONE_WITHIN:g} s after SIGKILL")
            time.sleep(0.02)
            container.reload()

    def pause(self, service: str) -> None:
        """Freeze it. The engine gives up early on a busy host: it is told again then."""
        container = self._project.container(service)
        for tries in reversed(range(FREEZE_TRIES)):
            try:
                container.pause()
            except docker.errors.APIError as error:
                if not tries:
                    said = f"the container of {service} cannot be frozen: {error.explanation}"
                    raise DemoError(said) from error
            else:
                return

    def stop(self, service: str) -> None:
        self._project.container(service).stop(timeout=STOP_TIMEOUT)

    def cut(self, service: str) -> None:
        self._disconnect([service])

    # -- all of it

    def restart_all(self, _target: str) -> None:
        """SIGKILL to every ZooKeeper, broker and agent at once, and Docker starts them again."""
        containers = self._project.containers()
        self._at_once(lambda name: containers[name].restart(timeout=0), self._servers())

    def repair(self, target: str) -> None:
        """Unpause, connect and start whatever of the target is not as it was."""
        for service in self._services(target):
            container = self._project.container(service)
            for network, aliases in self._networks.pop(service, {}).items():
                self._project.network(network).connect(container, aliases=aliases)
            if container.status == "paused":
                container.unpause()
            elif container.status in ("exited", "created"):
                container.start()

    # -- inside

    def _broker(self, member: str) -> str:
        return member if self._inside else member.replace("node", "broker")

    def _agent(self, member: str) -> str:
        return member if self._inside else member.replace("node", "agent")

    def _services(self, target: str) -> list[str]:
        if target in MEMBERS:
            return list(dict.fromkeys([self._broker(target), self._agent(target)]))
        return [target]

    def _servers(self) -> list[str]:
        return [*ZOOKEEPERS, *(service for member in MEMBERS for service in self._services(member))]

    def _healthy(self, service: str) -> bool:
        container = self._project.container(service)
        health = container.attrs["State"].get("Health", {})
        return bool(container.status == "running" and health.get("Status") == "healthy")

    def _signal_broker(self, member: str, signal: str) -> None:
        command = [part.format(signal=signal) for part in _BROKER_PROCESS]
        done = self._project.container(member).exec_run(command)
        if done.exit_code != 0:
            raise DemoError(f"the broker of {member} is not running; see {self.logs(member)}")

    def _disconnect(self, services: list[str]) -> None:
        for service in services:
            container = self._project.container(service)
            attached = container.attrs["NetworkSettings"]["Networks"]
            self._networks[service] = {
                name.removeprefix(f"{self._project.name}_"): list(settings.get("Aliases") or ())
                for name, settings in attached.items()
            }
        cuts = [(service, network) for service in services for network in self._networks[service]]
        self._at_once(
            lambda cut: self._project.network(cut[1]).disconnect(self._name(cut[0]), force=True), cuts
        )

    def _name(self, service: str) -> str:
        return f"{self._project.name}-{service}-1"

    @staticmethod
    def _at_once(work: Callable[[Any], object], items: Iterable[Any]) -> None:
        with ThreadPoolExecutor(max_workers=16) as pool:
            list(pool.map(work, items))


def _zookeeper_leader(stage: ContainerStage, _member: str) -> str:
    return stage.zookeeper_leader()


def _zookeeper_follower(stage: ContainerStage, _member: str) -> str:
    leader = stage.zookeeper_leader()
    return next(name for name in ZOOKEEPERS if name != leader)


def _everything(_stage: ContainerStage, _member: str) -> str:
    return EVERYTHING


Stage = ContainerStage
BROKER_KILLED = Fault("broker killed", "SIGKILL in the broker of {target}", Stage.kill_broker)
BROKER_PAUSED = Fault("broker hung", "the broker of {target} is frozen", Stage.pause_broker)
BROKER_STOPPED = Fault("broker stopped", "the broker of {target} is stopped gracefully", Stage.stop_broker)
BROKER_CUT = Fault(
    "broker cut off",
    "the broker of {target} is cut off from its networks",
    Stage.cut_broker,
    Stage.repair,
    repaired="{target} is connected again",
)
AGENT_KILLED = Fault("agent killed", "SIGKILL in the agent's container of {target}", Stage.kill_agent)
AGENT_PAUSED = Fault(
    "agent frozen",
    "the agent's container of {target} is frozen",
    Stage.pause_agent,
    Stage.repair,
    repaired="{target} is thawed",
)
AGENT_STOPPED = Fault(
    "agent stopped", "the agent's container of {target} is stopped gracefully", Stage.stop_agent, Stage.repair
)
AGENT_CUT = Fault(
    "agent cut off",
    "the agent of {target} is cut off from its networks",
    Stage.cut_agent,
    Stage.repair,
    repaired="{target} is connected again",
)
NODE_CUT = Fault(
    "node cut off",
    "broker and agent of {target} are cut off from their networks",
    Stage.cut_node,
    Stage.repair,
    repaired="{target} is connected again",
)
ZOOKEEPER_KILLED = Fault(
    "ZooKeeper killed", "SIGKILL in {target}, which leads the ensemble", Stage.kill, target=_zookeeper_leader
)
ZOOKEEPER_PAUSED = Fault(
    "ZooKeeper frozen",
    "{target}, which leads the ensemble, is frozen",
    Stage.pause,
    Stage.repair,
    target=_zookeeper_leader,
    repaired="{target} is thawed",
)
ZOOKEEPER_STOPPED = Fault(
    "ZooKeeper stopped",
    "{target}, a follower, is stopped gracefully",
    Stage.stop,
    Stage.repair,
    target=_zookeeper_follower,
)
ZOOKEEPER_CUT = Fault(
    "ZooKeeper cut off",
    "{target}, which leads the ensemble, is cut off from its networks",
    Stage.cut,
    Stage.repair,
    target=_zookeeper_leader,
    repaired="{target} is connected again",
)
ALL_RESTARTED = Fault(
    "all restarted",
    "SIGKILL to every ZooKeeper, broker and agent, and a new start",
    Stage.restart_all,
    target=_everything,
)

FAULTS = (
    BROKER_KILLED,
    BROKER_PAUSED,
    BROKER_STOPPED,
    NODE_CUT,
    AGENT_KILLED,
    AGENT_PAUSED,
    AGENT_STOPPED,
    BROKER_CUT,
    AGENT_CUT,
    ZOOKEEPER_KILLED,
    ZOOKEEPER_PAUSED,
    ZOOKEEPER_STOPPED,
    ZOOKEEPER_CUT,
    ALL_RESTARTED,
)
