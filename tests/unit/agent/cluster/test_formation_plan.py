"""Who founds, who joins, who is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.agent.cluster.formation_plan import FormationStep, plan
from rabbitkeeper.coordinator.model.records import ClusterNode, ClusterRecord

A, B, C, X = "rabbit@a", "rabbit@b", "rabbit@c", "rabbit@x"


def record(*nodes: str, founder: str = A) -> ClusterRecord:
    return ClusterRecord(
        founder=founder,
        formed="2026-01-01T00:00:00.000Z",
        nodes={node: ClusterNode(member=node[-1], joined="2026-01-01T00:00:00.000Z") for node in nodes},
    )


def test_the_first_founds() -> None:
    todo = plan("a", A, frozenset({A}), None, ())
    assert todo.step is FormationStep.FOUND
    assert A in todo.reason


def test_the_first_founds_with_what_it_holds() -> None:
    assert plan("a", A, frozenset({A}), None, ("3 queues",)).step is FormationStep.FOUND


def test_a_cluster_made_by_hand_is_taken_over() -> None:
    assert plan("a", A, frozenset({A, B}), None, ("3 queues",)).step is FormationStep.FOUND
    assert plan("b", B, frozenset({A, B}), record(A), ("3 queues",)).step is FormationStep.RECORD


def test_a_pristine_node_joins_by_the_founder_first() -> None:
    todo = plan("c", C, frozenset({C}), record(A, B, founder=B), ())
    assert todo.step is FormationStep.JOIN
    assert todo.through == (B, A)


def test_a_pristine_node_joins_by_the_others_when_the_founder_was_removed() -> None:
    assert plan("c", C, frozenset({C}), record(A, B, founder=X), ()).through == (A, B)


def test_a_node_that_holds_something_is_refused_and_told_what() -> None:
    todo = plan("b", B, frozenset({B}), record(A), ("2 queues ('orders', …)", "vhost 'shop'"))
    assert todo.step is FormationStep.REFUSE
    assert B in todo.reason
    assert "2 queues ('orders', …), vhost 'shop'" in todo.reason
    assert "reset" in todo.reason


def test_a_node_of_another_cluster_is_refused() -> None:
    todo = plan("b", B, frozenset({B, X}), record(A), ())
    assert todo.step is FormationStep.REFUSE
    assert X in todo.reason
    assert A in todo.reason


def test_a_recorded_node_that_lost_its_disk_is_refused() -> None:
    todo = plan("b", B, frozenset({B}), record(A, B), None)
    assert todo.step is FormationStep.REFUSE
    assert "rabbitkeeper member reinit b" in todo.reason


def test_the_founder_that_lost_its_disk_is_refused_too() -> None:
    assert plan("a", A, frozenset({A}), record(A, B), None).step is FormationStep.REFUSE


def test_a_founder_alone_is_in_the_cluster() -> None:
    assert plan("a", A, frozenset({A}), record(A), None).step is FormationStep.NOTHING


def test_a_node_cut_off_after_it_joined_only_has_to_be_recorded() -> None:
    assert plan("b", B, frozenset({A, B}), record(A), ()).step is FormationStep.RECORD


def test_a_node_under_another_member_name_is_recorded_anew() -> None:
    assert plan("z", B, frozenset({A, B}), record(A, B), ()).step is FormationStep.RECORD


def test_a_member_that_is_down_counts() -> None:
    assert plan("c", C, frozenset({A, C}), record(A, B, C), None).step is FormationStep.NOTHING


def test_joining_without_knowing_what_is_held_is_a_fault() -> None:
    with pytest.raises(ValueError, match="must be known"):
        plan("b", B, frozenset({B}), record(A), None)


NODES = st.sampled_from([A, B, C, X])


@given(
    node=NODES,
    others=st.frozensets(NODES),
    recorded=st.none() | st.frozensets(NODES, min_size=1),
    held=st.sampled_from([(), ("1 queue",)]),
)
def test_nothing_is_ever_lost_by_a_join(
    node: str, others: frozenset[str], recorded: frozenset[str] | None, held: tuple[str, ...]
) -> None:
    its = others | {node}
    todo = plan(node[-1], node, its, None if recorded is None else record(*recorded), held)
    if todo.step is FormationStep.JOIN:
        assert recorded is not None
        assert not held
        assert its == {node}
        assert node not in recorded
        assert set(todo.through) == recorded
    if todo.step in (FormationStep.NOTHING, FormationStep.RECORD):
        assert recorded is not None
        assert (its & recorded) - {node} or recorded <= {node}
    assert (todo.step is FormationStep.FOUND) == (recorded is None)
    assert todo.reason
