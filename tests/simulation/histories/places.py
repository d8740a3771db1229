"""Where the messages of a history go, and what is declared for them."""

from dataclasses import dataclass

from rabbitkeeper.client.model.topology import Binding, Entity, Exchange, Queue


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message is published to.

    Args:
        queues: that it goes to.
        is_well: it is always taken there, when the brokers are well.
        is_nowhere: it never is.
    """

    queues: tuple[str, ...]
    is_well: bool = True
    is_nowhere: bool = False


PLACES = {
    ("", "orders"): Place(("orders",)),
    ("", "bills"): Place(("bills",)),
    ("events", ""): Place(("orders", "bills")),
    ("topics", "news.one"): Place(("orders",)),
    ("topics", "news.two"): Place(("orders",)),
    ("topics", "both"): Place(("orders", "bills")),
    ("", "full"): Place(("full",), is_well=False),
    ("", "nowhere"): Place((), is_well=False, is_nowhere=True),
    ("missing", ""): Place((), is_well=False, is_nowhere=True),
    ("passing", ""): Place((), is_well=False),  # to a queue that goes with its last consumer
    ("", "others"): Place(("others",), is_well=False),  # declared by others; a member may not know of it
    ("", "log"): Place(("log",)),  # a stream
    ("mine", ""): Place((), is_well=False),  # to an exclusive queue, which goes with its connection
}
ORDERS, BILLS = 0, 1  # numbers of places
OTHERS = list(PLACES).index(("", "others"))
LOG = list(PLACES).index(("", "log"))
ALONE = ("topics", "news.two")  # where the broker may close channels over messages
TOPOLOGY: tuple[Entity, ...] = (
    Exchange("events", "fanout"),
    Exchange("mine", "fanout"),
    Exchange("topics", "topic"),
    Exchange("passing", "fanout", auto_delete=True),
    Queue("orders"),
    Queue("bills"),
    Queue("full", arguments={"x-max-length": 5, "x-overflow": "reject-publish"}),
    Queue("mine", exclusive=True),
    Queue("passing", auto_delete=True),
    Queue("log", type="stream"),
    Binding("events", "orders"),
    Binding("events", "bills"),
    Binding("mine", "mine"),
    Binding("topics", "orders", "#"),
    Binding("topics", "bills", "both"),
    Binding("passing", "passing"),
)
