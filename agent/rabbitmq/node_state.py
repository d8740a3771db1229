"""How the broker inside a node is, by the node's own word: one program for ``rabbitmqctl eval``."""

from rabbitkeeper.agent.model.observation import NodeState

CLAIM = "rabbitkeeper_drains"  # a key in the environment of the application rabbit: an agent has drained it
_FLAGS = 6

# rabbit_outside_app_process waits, in a paused node, for the others, and then starts it again.
# Mnesia, the database up to 4.x, looks for the other nodes once, when it starts: if it was cut off
# then, it waits for their tables though Erlang could connect, or has connected, the nodes since.
PROGRAM = (
    "{rabbit:is_running(), rabbit:is_booting(), whereis(rabbit_outside_app_process) =/= undefined, "
    "(catch rabbit_maintenance:is_being_drained_local_read(node())) =:= true, "
    f"application:get_env(rabbit, {CLAIM}, false), "
    "rabbit:is_booting() andalso (catch mnesia:system_info(is_running)) =:= yes andalso "
    "lists:member(yes, element(1, rpc:multicall("
    "mnesia:system_info(db_nodes) -- mnesia:system_info(running_db_nodes), "
    "mnesia, system_info, [is_running], 5000)))}."
)
"""Prints six flags. It is understood by :func:`read`."""


def read(said: str) -> NodeState | None:
    """Understand what :data:`PROGRAM` has printed; None: it is something else."""
    flags = [flag.strip() == "true" for flag in said.strip().strip("{}").split(",")]
    if len(flags) != _FLAGS:
        return None
    running, booting, waiting, drained, claimed, apart = flags
    if running and drained:
        return NodeState.DRAINED_BY_AGENT if claimed else NodeState.DRAINED
    if running:
        return NodeState.SERVING
    if waiting:
        resumes = NodeState.RESUMING_APART if apart else NodeState.RESUMING
        return resumes if booting else NodeState.PAUSED
    boots = NodeState.APART if apart else NodeState.BOOTING
    return boots if booting else NodeState.STOPPED
