"""A quorum queue that takes messages and feeds nobody who is there, as after a full disk.

Then RabbitMQ 3.10.8 knew the queue's consumers, which had room, and gave them none of its messages; a new
consumer was fed at once. The queue is brought there by hand, in its own Raft server: its consumers are taken
out of the list of those whose turn it is.
"""

from rabbitkeeper.agent.rabbitmq.ctl import RabbitmqCtl


def starve(ctl: RabbitmqCtl, vhost: str, queue: str) -> None:
    """Have a quorum queue forget whose turn it is; its leader must be on the node.

    Args:
        ctl: the node's tools.
        vhost: the queue's.
        queue: its name; nobody may have a message of it in hand, or is fed again when it is answered.
    """
    server = f"'{vhost}_{queue}'"
    said = ctl._run(
        "eval",
        "Forget = fun(M) -> list_to_tuple([case priority_queue:is_queue(E) of true -> priority_queue:new(); "
        "_ -> E end || E <- tuple_to_list(M)]) end, "
        "Within = fun(#{machine_state := M} = S) -> S#{machine_state := Forget(M)}; (E) -> E end, "
        f"sys:replace_state({server}, fun({{State, Data}}) -> "
        "{State, list_to_tuple([Within(E) || E <- tuple_to_list(Data)])} end), ok.",
    )
    assert said.strip() == "ok", said


def consumers(ctl: RabbitmqCtl, vhost: str, queue: str) -> int:
    """How many consumers a queue has, by RabbitMQ's word."""
    queues = ctl._json("list_queues", "--vhost", vhost, "name", "consumers")
    return sum(int(each["consumers"] or 0) for each in queues if each["name"] == queue)
