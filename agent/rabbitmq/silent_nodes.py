"""What a node is told to do with others that do not answer it: one program for ``rabbitmqctl eval``.

It is run inside the node, so it asks over the connections that the node has, and disconnects at once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rabbitkeeper.agent.rabbitmq.node_name import NODE_NAME

SECOND_SAMPLE = 2.0  # seconds until a node that is silent is asked once more before it is dropped
_MORE = 500  # milliseconds by which another node's answer about a third may come later than one of its own
_THREE_LISTS = re.compile(r"\{\[(.*)\],\[(.*)\],\[(.*)\]\}")


@dataclass(frozen=True, slots=True)
class DroppedNodes:
    """What became of nodes that were asked after; one in no set was not connected.

    Attributes:
        dropped: they are disconnected.
        answering: they answer.
        heard: they do not, but something came from them, or another node that answers reaches them.
    """

    dropped: frozenset[str]
    answering: frozenset[str]
    heard: frozenset[str] = frozenset()

    @property
    def left_alone(self) -> frozenset[str]:
        return self.answering | self.heard


def program(nodes: Sequence[str], timeout: float) -> str:
    """Make the program.

    Args:
        nodes: Erlang node names; they become part of it, so they are nothing else.
        timeout: seconds for each to answer, all at the same time.

    A node is asked twice, so that one that stands still for a moment is left alone. It is as well when bytes
    have come from it meanwhile: the connection is full, not cut. And when a third node that answers reaches
    it: to disconnect it would be a partial partition, and under ``pause_minority`` RabbitMQ has who
    disconnected then wait for the whole cluster. Bytes are not counted where the connections are TLS.
    """
    quoted = ",".join(f"'{node}'" for node in nodes)
    wait = round(timeout * 1000)
    return (
        f"Asked = [N || N <- [{quoted}], lists:member(N, nodes())], "
        f"Silent = fun(L) -> element(2, rpc:multicall(L, erlang, node, [], {wait})) end, "
        "Got = fun(N) -> case lists:keyfind(N, 1, erlang:system_info(dist_ctrl)) of "
        "{_, P} when is_port(P) -> inet:getstat(P, [recv_oct]); _ -> none end end, "
        "Once = Silent(Asked), "
        "Before = [{N, Got(N)} || N <- Once], "
        f"Once =:= [] orelse timer:sleep({round(SECOND_SAMPLE * 1000)}), "
        "There = [N || N <- Once, lists:member(N, nodes())], "
        f"Keys = [{{N, rpc:async_call(P, rpc, call, [N, erlang, node, [], {wait}])}} "
        "|| N <- There, P <- nodes() -- Once], "
        "Twice = Silent(There), "
        f"Reached = [N || {{N, K}} <- Keys, rpc:nb_yield(K, {wait + _MORE}) =:= {{value, N}}], "
        "More = fun(N, G) -> case Got(N) of {ok, _} = H -> H =/= G; _ -> false end end, "
        "Heard = [N || {N, {ok, _} = G} <- Before, lists:member(N, Twice), More(N, G)], "
        "Dropped = [N || N <- Twice, not lists:member(N, Reached ++ Heard)], "
        "[erlang:disconnect_node(N) || N <- Dropped], "
        "{Dropped, (Asked -- Once) ++ (There -- Twice), Twice -- Dropped}."
    )


def read(output: str) -> DroppedNodes | None:
    """Read what it has printed; None if that is something else."""
    found = _THREE_LISTS.search("".join(output.split()))
    if found is None:
        return None
    return DroppedNodes(*(frozenset(NODE_NAME.findall(each)) for each in found.groups()))
