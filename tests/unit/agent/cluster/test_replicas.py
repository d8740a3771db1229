"""When a member is given replicas of the queues that have too few, and of which."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from support.jobs import Done

from rabbitkeeper.agent.cluster.replicas import AFTER, BATCH, RETRY, Replicas, give, shortage, wanting
from rabbitkeeper.agent.rabbitmq.ctl import ClusterStatus, RabbitmqCtlError
from rabbitkeeper.agent.rabbitmq.quorum_queues import QuorumQueue

THREE = frozenset({"a", "b", "c"})
NINE = frozenset("abcdefghi")


class Case:
    def __init__(self, failures: int = 0) -> None:
        self.grown: list[float] = []
        self.now = 0.0
        self._failures = failures
        self.replicas = Replicas(self._give, wake=lambda: None, draw=lambda: 0.0, launch=self._launch)

    def run(
        self, seconds: float, *, formed: bool = True, well: bool = True, nodes: frozenset[str] = THREE
    ) -> None:
        for _ in range(round(seconds)):
            self.now += 1.0
            self.replicas.turn(self.now, formed=formed, well=well, nodes=nodes)

    def _launch(self, name: str, work: Callable[[], object], wake: Callable[[], None]) -> Done:
        return Done(name, work, wake)

    def _give(self) -> str | None:
        self.grown.append(self.now)
        if len(self.grown) <= self._failures:
            raise RabbitmqCtlError("a change of members is under way")
        return "one has too few"


def test_once_for_each_boot() -> None:
    case = Case()
    case.run(300)
    assert case.grown == [1.0 + AFTER]
    assert case.replicas.said == "one has too few"
    case.run(10, formed=False, well=False)
    case.run(300)
    assert len(case.grown) == 2


def test_only_while_it_is_well_and_not_alone() -> None:
    case = Case()
    case.run(100, well=False)
    case.run(100, nodes=frozenset({"a"}))
    assert not case.grown
    case.run(AFTER + 2)
    assert len(case.grown) == 1


def test_what_failed_is_tried_again_later() -> None:
    case = Case(failures=1)
    case.run(300)
    assert len(case.grown) == 2
    assert case.grown[1] - case.grown[0] >= RETRY


def test_a_node_that_was_removed_took_its_replicas_with_it() -> None:
    case = Case()
    case.run(100)
    case.run(100, nodes=frozenset())
    assert len(case.grown) == 1, "while the record is not known it is as it was"
    case.run(100, nodes=THREE - {"c"})
    assert len(case.grown) == 2


def queue(members: str, target: int | None = None) -> QuorumQueue:
    return QuorumQueue("/", f"{members}-{target}", frozenset(members), target)


def test_only_those_get_one_that_have_too_few() -> None:
    enough = [queue("b", 1), queue("bcd"), queue("bcdef", 5), queue("abc", 9)]
    short = [queue("b"), queue("bc"), queue("bcde", 5), queue("b", 9)]
    assert wanting([*enough, *short], "a", NINE, 3) == tuple(short)
    assert wanting(short, "a", NINE, 1) == (short[2], short[3])


def test_a_replica_on_a_node_that_has_left_is_none() -> None:
    assert wanting([queue("bxy")], "a", THREE, 3) == (queue("bxy"),)


def test_a_small_cluster_can_have_no_more() -> None:
    assert wanting([queue("b", 9)], "a", frozenset("bc"), 3) == (queue("b", 9),)
    assert not wanting([queue("bc", 9)], "a", frozenset("bc"), 3)
    assert shortage([queue("bc", 9)], frozenset("bc"), 3) is None


def test_what_has_too_few_is_said_but_not_at_length() -> None:
    said = shortage([queue("a"), queue("ab"), queue("b"), queue("c"), queue("a", 1)], THREE, 3)
    assert said == (
        "quorum queues with fewer replicas than they are to have: 'a-None' in vhost '/' (1 of 3), "
        "'ab-None' in vhost '/' (2 of 3), 'b-None' in vhost '/' (1 of 3) and 1 more"
    )


class Tools:
    node = "a"

    def __init__(self, queues: list[QuorumQueue], stubborn: frozenset[str] = frozenset()) -> None:
        self.queues = queues
        self.stubborn = stubborn
        self.batches: list[tuple[str, int]] = []
        self.locked = False

    def cluster_status(self) -> ClusterStatus:
        return ClusterStatus(THREE, THREE, {})

    def quorum_queues(self) -> Sequence[QuorumQueue]:
        return list(self.queues)

    def grow(self, member: str, vhost: str, queues: Sequence[str]) -> None:
        assert self.locked
        self.batches.append((vhost, len(queues)))
        self.queues = [
            replace(each, members=each.members | {member})
            if each.vhost == vhost and each.name in queues and each.name not in self.stubborn
            else each
            for each in self.queues
        ]

    @contextmanager
    def lock(self) -> Iterator[None]:
        self.locked = True
        yield
        self.locked = False


def test_many_are_grown_some_at_a_time() -> None:
    many = [QuorumQueue("/", f"q{number}", frozenset("bc")) for number in range(2 * BATCH + 1)]
    tools = Tools([*many, QuorumQueue("v", "q0", frozenset("bc"))])
    assert give(tools, 3, tools.lock) is None
    assert tools.batches == [("/", BATCH), ("/", BATCH), ("/", 1), ("v", 1)]
    assert all(each.members == THREE for each in tools.queues)


def test_nothing_is_locked_when_there_is_nothing_to_do() -> None:
    tools = Tools([QuorumQueue("/", "p", frozenset("b"), 1)])

    def lock() -> AbstractContextManager[None]:
        raise AssertionError

    assert give(tools, 3, lock) is None


def test_what_cannot_be_grown_is_tried_once_and_said() -> None:
    tools = Tools([QuorumQueue("/", "p", frozenset("bc")), QuorumQueue("/", "q", frozenset("bc"))])
    tools.stubborn = frozenset({"p"})
    said = give(tools, 3, tools.lock)
    assert said is not None
    assert "'p' in vhost '/' (2 of 3)" in said
    assert tools.batches == [("/", 2)]
