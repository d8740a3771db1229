"""RabbitMQ's command-line tools, called with a deadline and understood by their JSON.

For what AMQP cannot do: who is in the cluster, joining one, the definitions of a node. Each call starts an
Erlang virtual machine (0.5 to 1.5 s of CPU), so callers ask seldom and never to find out whether a broker
is well. No secret is ever an argument: ``ps`` shows those to everyone.

Written for RabbitMQ 3.10 to 4.3: only commands, options and JSON keys that all of them have.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rabbitkeeper.agent.model.observation import NodeState
from rabbitkeeper.agent.rabbitmq import node_state
from rabbitkeeper.agent.rabbitmq.definitions import Definitions, Entry
from rabbitkeeper.agent.rabbitmq.node_name import NODE_NAME
from rabbitkeeper.agent.rabbitmq.quorum_queues import COLUMNS, QuorumQueue, exactly, parse
from rabbitkeeper.agent.rabbitmq.runner import CommandNotRunnable, CommandTimedOut, NowhereToRun, Runner
from rabbitkeeper.agent.rabbitmq.silent_nodes import DroppedNodes, program, read
from rabbitkeeper.coordinator.model.errors import RabbitKeeperError

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')  # as Erlang prints one
_UNAVAILABLE = (68, 69)  # exit codes of the tools: the host is unknown, the node does not answer
_FINDS_VHOSTS = (
    "case rpc:call(node(), rabbit_vhost, list_names, [], 5000) of "
    "[_|_] -> true; {badrpc, timeout} -> late; _ -> false end."
)
_NO_ANSWER = "unable to perform an operation on node"  # what they say then; a failed check ends with 69 too


class RabbitmqCtlError(RabbitKeeperError):
    """A command failed. Names the command, the node and what the tool said."""


class NodeNotRunning(RabbitmqCtlError):
    """The node does not answer the tools: not started, another cookie, or a broken network."""


class NowhereToAsk(NodeNotRunning):
    """The tools run where our own node does, and it is gone: nothing is known of others."""


class RabbitmqCtlTimeout(RabbitmqCtlError):
    """The command did not end in time and was killed; it may have taken effect."""


class Inconsistent(RabbitmqCtlError):
    """Two nodes disagree on whether they are in one cluster: a join, or a member's disk, was cut off."""


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A node's idea of its cluster.

    Attributes:
        nodes: the members, by Erlang node name; the node itself at least.
        running: those of them that run and are connected to it.
        versions: RabbitMQ's version on each running node.
        partitions: nodes that it believes to be cut off from it.
    """

    nodes: frozenset[str]
    running: frozenset[str]
    versions: Mapping[str, str]
    partitions: frozenset[str] = frozenset()


class RabbitmqCtl:
    """The tools of one node.

    Args:
        command: ``rabbitmqctl``; ``rabbitmq-queues`` must lie beside it.
        node: the Erlang node that is meant unless a method is told another.
        runner: runs them where the node's Erlang cookie is: on this host (with the ``HOME`` that has it), or
            inside the node's container.
        timeout: seconds for one command.

    Attributes:
        answered: whether the node has ever answered.
    """

    def __init__(self, command: Path | str, node: str, runner: Runner, *, timeout: float = 60.0) -> None:
        self.node = node
        self._command = str(command)
        self._runner = runner
        self._timeout = timeout
        self.answered = False

    def cluster_status(self, *, node: str | None = None) -> ClusterStatus:
        """Who is in the cluster, as ``node`` sees it."""
        status = self._json("cluster_status", node=node)
        partitions = status.get("partitions") or {}
        return ClusterStatus(
            nodes=frozenset([*status.get("disk_nodes", ()), *status.get("ram_nodes", ())]),
            running=frozenset(status["running_nodes"]),
            versions={
                name: str(version.get("rabbitmq_version"))
                for name, version in status.get("versions", {}).items()
            },
            partitions=frozenset(each for others in partitions.values() for each in others),
        )

    def answers(self, node: str) -> bool:
        """Whether a node's Erlang machine answers, however its broker is; also if nobody can tell."""
        try:
            self._run("eval", "ok.", node=node)
        except RabbitmqCtlError as error:
            return isinstance(error, NowhereToAsk) or not isinstance(error, NodeNotRunning)
        return True

    def definitions(self) -> Definitions:
        """Everything that is declared on the node's cluster. Holds password hashes: never log it."""
        found: dict[str, Sequence[Entry]] = self._json("export_definitions", "-")
        return found

    def import_definitions(self, definitions: Definitions) -> None:
        """Declare what ``definitions`` holds; what is there already is updated, nothing is removed."""
        # Named as a file: without a name the tools of RabbitMQ 4 wait for ever for their standard input, or
        # crash over it. Older ones find that a pipe has no size, and read it when it has no name. It is not
        # written to a real file, since it holds password hashes.
        said = json.dumps(definitions)
        try:
            self._run("import_definitions", "/dev/stdin", "--format", "json", stdin=said)
        except RabbitmqCtlError as error:
            if "zero-sized" not in str(error):
                raise
            self._run("import_definitions", "--format", "json", stdin=said)

    @contextmanager
    def app_stopped(self) -> Iterator[None]:
        """Stop the broker inside the node, which goes on and answers the tools, and start it again after.

        Raises:
            RabbitmqCtlError: it cannot be stopped, or has not booted again.
        """
        self._run("stop_app")
        try:
            yield
        finally:
            self._run("start_app")

    def join_cluster(self, other: str) -> None:
        """Make the node a member of ``other``'s cluster; its broker must be stopped.

        **All that the node holds is lost.**

        Raises:
            Inconsistent: ``other`` believes that the node is a member already, and the node is not.
            RabbitmqCtlError: it could not join; it holds what it held.
        """
        try:
            self._run("join_cluster", other)
        except RabbitmqCtlError as error:
            if "inconsistent_cluster" in str(error) or "thinks" in str(error):
                raise Inconsistent(str(error)) from None
            raise

    def forget_cluster_node(self, other: str, *, node: str) -> None:
        """Have ``node`` remove the stopped ``other`` from its cluster."""
        self._run("forget_cluster_node", other, node=node)

    def quorum_queues(self) -> tuple[QuorumQueue, ...]:
        """All that there are. A call for each vhost, or two."""
        found: list[QuorumQueue] = []
        for vhost in [each["name"] for each in self._json("list_vhosts", "name")]:
            entries = self._json("list_queues", "--vhost", vhost, *COLUMNS)
            asked = any(entry["policy"] for entry in entries)
            found += parse(vhost, entries, self._json("list_policies", "--vhost", vhost) if asked else ())
        return tuple(found)

    def grow(self, member: str, vhost: str, queues: Sequence[str]) -> None:
        """Give some quorum queues of a vhost a replica on ``member``; those that have one are left alone.

        What could not be grown is not told: look again.
        """
        which = ("--vhost-pattern", exactly([vhost]), "--queue-pattern", exactly(queues))
        self._run("grow", member, "all", *which, "--errors-only", tool="rabbitmq-queues")

    def shrink(self, gone: str) -> None:
        """Take the replicas of quorum queues off ``gone``, which is not there any more."""
        try:
            self._run("shrink", gone, "--errors-only", tool="rabbitmq-queues")
        except RabbitmqCtlError as error:
            # RabbitMQ 4.3 shrinks only what runs: there forget_cluster_node takes the replicas with it.
            if "node_not_running" not in str(error):
                raise

    def replicas(self, vhost: str, queue: str) -> frozenset[str] | None:
        """The nodes with a replica of a quorum queue, also of one without a leader; None: no such queue."""
        for found in self._json("list_queues", "--vhost", vhost, "name", "members"):
            if found["name"] == queue and found["members"]:
                return frozenset(found["members"])
        return None

    def delete_queue(self, vhost: str, queue: str) -> None:
        """Delete a queue and what is in it.

        RabbitMQ asks its leader first, and deletes a quorum queue without one by force after five seconds.
        """
        self._run("delete_queue", queue, "--vhost", vhost)

    def quorum_critical(self) -> str | None:
        """What would be without a majority if this node ended: the tool's words; None if nothing would."""
        try:
            self._run("check_if_node_is_quorum_critical", tool="rabbitmq-queues")
        except RabbitmqCtlTimeout:
            raise
        except RabbitmqCtlError as error:
            if isinstance(error, NodeNotRunning) and _NO_ANSWER in str(error):
                raise
            return str(error)
        return None

    def await_quorum_plus_one(self, timeout: float) -> None:
        """Wait until each quorum queue has a replica more than it needs.

        Args:
            timeout: whole seconds.

        Raises:
            RabbitmqCtlError: not in time.
        """
        self._run("await_online_quorum_plus_one", "--timeout", str(round(timeout)), tool="rabbitmq-upgrade")

    def parameters(self, names: Sequence[str]) -> tuple[str, dict[str, str]]:
        """What the running node is configured with.

        Args:
            names: application and parameter, as in ``rabbit.default_queue_type``.

        Returns:
            RabbitMQ's version, and each parameter's value as Erlang prints it (``undefined`` if it has none).
        """
        asked = ", ".join("{" + name.replace(".", ", ") + "}" for name in names)
        output = self._run(
            "eval",
            '["version=" ++ rabbit_misc:version() | [unicode:characters_to_list(io_lib:format('
            '"~s.~s=~0p", [A, P, application:get_env(A, P, undefined)])) || {A, P} <- [' + asked + "]]].",
        )
        found = dict(line.split("=", 1) for line in _STRING.findall(output) if "=" in line)
        if "version" not in found:
            raise RabbitmqCtlError(
                f"rabbitmqctl eval on {self.node} did not print strings but {output[:200]!r}"
            )
        return found.pop("version"), found

    def drain(self) -> None:
        """Maintenance mode: close the listeners and all clients, hand the queues' leaders to other nodes."""
        self._run("drain", tool="rabbitmq-upgrade")

    def claim_drain(self) -> None:
        """Note in the node that whoever drains it now is an agent; it forgets that when it ends."""
        self._run("eval", f"application:set_env(rabbit, {node_state.CLAIM}, true).")

    def revive(self) -> None:
        """End maintenance mode, and what :meth:`claim_drain` has noted."""
        self._run("revive", tool="rabbitmq-upgrade")
        self._run("eval", f"application:unset_env(rabbit, {node_state.CLAIM}).")

    def drop_silent_nodes(self, nodes: Iterable[str], *, timeout: float) -> DroppedNodes:
        """Have the node drop its connections to those of ``nodes`` that do not answer it over them.

        Nodes that it is not connected to are not connected to by that.

        Args:
            nodes: Erlang node names.
            timeout: seconds for each to answer, all at the same time; how, see ``silent_nodes.py``.

        Raises:
            RabbitmqCtlError: one is no node name; or as every command.
        """
        names = sorted(nodes)
        for name in names:
            if not NODE_NAME.fullmatch(name):  # it becomes part of a program
                raise RabbitmqCtlError(f"{name!r} is not an Erlang node name: nothing is asked of it")
        output = self._run("eval", program(names, timeout))
        found = read(output)
        if found is None:
            raise RabbitmqCtlError(
                f"rabbitmqctl eval on {self.node} did not print three lists but {output[:200]!r}"
            )
        return found

    def says(self, timeout: float) -> NodeState | None:
        """How the broker inside the node is, if the node's Erlang machine answers its tools.

        Args:
            timeout: seconds, the start of the tools included.

        Returns:
            None also when the tools cannot be run: that is no sign of life.
        """
        try:
            return self.node_state(timeout)
        except RabbitmqCtlError:
            return None

    def node_state(self, timeout: float | None = None) -> NodeState:
        """How the broker inside the node is; also of one that is not running.

        Args:
            timeout: seconds; None: as for every command.

        Raises:
            NodeNotRunning: not even its Erlang machine answers.
        """
        said = self._run("eval", node_state.PROGRAM, timeout=timeout)
        state = node_state.read(said)
        if state is None:
            raise RabbitmqCtlError(f"rabbitmqctl eval on {self.node} did not print six flags but {said!r}")
        return state

    def finds_vhosts(self, timeout: float) -> bool | None:
        """Whether the node finds any virtual host, in the store where its users are too.

        Where Khepri's store has ended (RabbitMQ 4.3 after a full disk), it finds none, and no user.

        Args:
            timeout: seconds, the start of the tools included; the node itself is given up after 5.

        Returns:
            None when the tools cannot be run, or the node does not answer them in time.
        """
        try:
            said = self._run("eval", _FINDS_VHOSTS, timeout=timeout).strip()
        except RabbitmqCtlError:
            return None
        return {"true": True, "false": False}.get(said)

    def _json(self, *arguments: str, node: str | None = None) -> Any:
        option = "--format" if arguments[0] == "export_definitions" else "--formatter"
        output = self._run(*arguments, option, "json", node=node)
        try:
            return json.loads(output)
        except ValueError:
            raise RabbitmqCtlError(
                f"rabbitmqctl {arguments[0]} on {node or self.node} did not print JSON but {output[:200]!r}"
            ) from None

    def _run(
        self,
        *arguments: str,
        node: str | None = None,
        stdin: str | None = None,
        tool: str | None = None,
        timeout: float | None = None,
    ) -> str:
        node, timeout = node or self.node, timeout or self._timeout
        command = self._command if tool is None else str(Path(self._command).with_name(tool))
        said = f"{tool or 'rabbitmqctl'} {' '.join(arguments[:2])[:80]} on {node}"
        try:
            done = self._runner.run(
                [command, "--quiet", "--node", node, *arguments], stdin=stdin or "", timeout=timeout
            )
        except CommandTimedOut:
            raise RabbitmqCtlTimeout(
                f"{said} did not end in {timeout:g} s; look into the log of that node"
            ) from None
        except NowhereToRun as error:
            raise NowhereToAsk(f"{said} found no running node: {error}") from None
        except CommandNotRunnable as error:
            raise RabbitmqCtlError(
                f"{command} cannot be run: {error}; set broker.rabbitmqctl to RabbitMQ's own script"
            ) from None
        if done.code == 0:
            self.answered = self.answered or node == self.node
            return done.output
        if done.code in _UNAVAILABLE:
            raise NodeNotRunning(f"{said} found no running node, or failed in it: {done.said}")
        raise RabbitmqCtlError(f"{said} failed with exit code {done.code}: {done.said}")
