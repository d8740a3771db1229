"""Forming a cluster while agents are cut off at any point: a model of RabbitMQ, no server."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation.rabbitmq.formation import CutOff, FakeCtl, FakeStore, Rabbits
from support.effort import examples

from rabbitkeeper.agent.cluster.formation import FormationFailed, Identity, form
from rabbitkeeper.agent.cluster.formation_plan import FormationStep
from rabbitkeeper.agent.health.majority_canary import QUEUE
from rabbitkeeper.agent.model.errors import FormationRefused
from rabbitkeeper.coordinator.model.errors import Conflict

OWN_VHOST = "rabbitkeeper"


def me(node: str) -> Identity:
    return Identity(member=node[-1], node=node, vhost=OWN_VHOST, user=("keeper", "secret"))


def run(store: FakeStore, ctl: FakeCtl, *, logged_in: bool = False) -> FormationStep:
    return form(
        store,
        ctl,
        me(ctl.node),
        logged_in=lambda: logged_in,
        peer_versions=lambda: ctl.rabbits.versions,
    ).step


@pytest.fixture
def rabbits() -> Rabbits:
    three = Rabbits()
    for node in ("rabbit@a", "rabbit@b", "rabbit@c"):
        three.add(node)
    return three


def test_three_nodes_become_one_cluster(rabbits: Rabbits) -> None:
    store = FakeStore(rabbits)
    steps = [run(store, FakeCtl(rabbits, node)) for node in ("rabbit@b", "rabbit@a", "rabbit@c")]
    assert steps == [FormationStep.FOUND, FormationStep.JOIN, FormationStep.JOIN]
    assert rabbits.database["rabbit@a"].members == {"rabbit@a", "rabbit@b", "rabbit@c"}
    assert store.view is not None
    assert store.view.record.founder == "rabbit@b"
    assert set(store.view.record.nodes) == {"rabbit@a", "rabbit@b", "rabbit@c"}


def test_the_agents_vhost_is_there_before_the_cluster_is_recorded(rabbits: Rabbits) -> None:
    store, ctl = FakeStore(rabbits), FakeCtl(rabbits, "rabbit@a")
    rabbits.cut_off_after(4)
    with pytest.raises(CutOff):
        run(store, ctl)
    assert store.view is None
    rabbits.cut_off_in = lambda: False
    run(store, ctl)
    vhosts = [each["name"] for each in ctl.own.definitions["vhosts"]]
    assert OWN_VHOST in vhosts


def test_a_settled_member_costs_one_question(rabbits: Rabbits) -> None:
    store = FakeStore(rabbits)
    run(store, FakeCtl(rabbits, "rabbit@a"))
    again = FakeCtl(rabbits, "rabbit@a")
    assert run(store, again, logged_in=True) is FormationStep.NOTHING
    assert again.asked == ["status"]


def test_a_vhost_that_was_deleted_is_made_again(rabbits: Rabbits) -> None:
    store, ctl = FakeStore(rabbits), FakeCtl(rabbits, "rabbit@a")
    run(store, ctl)
    ctl.own.definitions["vhosts"] = [{"name": "/"}]
    run(store, ctl, logged_in=False)
    assert {"name": OWN_VHOST} in ctl.own.definitions["vhosts"]


def test_the_agents_user_is_made_where_the_founder_has_another(rabbits: Rabbits) -> None:
    store, ctl = FakeStore(rabbits), FakeCtl(rabbits, "rabbit@b")
    rabbits.database["rabbit@a"].definitions["users"] = [{"name": "other"}]
    form(
        store,
        FakeCtl(rabbits, "rabbit@a"),
        Identity("a", "rabbit@a", OWN_VHOST, ("other", "x")),
    )
    run(store, ctl)
    made = [each for each in ctl.own.definitions["users"] if each["name"] == "keeper"]
    assert len(made) == 1
    assert "secret" not in repr(made)
    assert made[0]["password_hash"]


@pytest.mark.parametrize("queues", [(), (QUEUE,)], ids=["not declared yet", "declared by the founder"])
def test_the_canarys_queue_has_a_replica_on_each_of_three(rabbits: Rabbits, queues: tuple[str, ...]) -> None:
    rabbits.add("rabbit@d")
    store = FakeStore(rabbits)
    run(store, FakeCtl(rabbits, "rabbit@a"))
    held = [{"name": queue, "vhost": OWN_VHOST} for queue in queues]
    rabbits.database["rabbit@a"].definitions["queues"] = [{"name": "q", "vhost": "/"}, *held]
    for node in ("rabbit@b", "rabbit@c", "rabbit@d"):
        run(store, FakeCtl(rabbits, node))
    three = {"rabbit@a", "rabbit@b", "rabbit@c"}
    assert rabbits.database["rabbit@a"].replicas == (three if queues else {"rabbit@a"})


def test_a_node_with_queues_is_refused_and_left_alone(rabbits: Rabbits) -> None:
    store, ctl = FakeStore(rabbits), FakeCtl(rabbits, "rabbit@b")
    rabbits.add("rabbit@b", queues=("orders",))
    run(store, FakeCtl(rabbits, "rabbit@a"))
    with pytest.raises(FormationRefused, match=r"rabbit@b holds 1 queue \('orders'\)"):
        run(store, ctl)
    assert set(ctl.asked) == {"status", "definitions"}
    assert store.holder is None


def test_a_node_whose_version_cannot_be_in_the_cluster_is_refused_and_left_alone(rabbits: Rabbits) -> None:
    store, ctl = FakeStore(rabbits), FakeCtl(rabbits, "rabbit@b")
    rabbits.versions = {"rabbit@a": "4.0.5", "rabbit@b": "4.3.6"}
    run(store, FakeCtl(rabbits, "rabbit@a"))
    with pytest.raises(
        FormationRefused, match=r"rabbit@b cannot join rabbit@a: it has RabbitMQ 4.3.6, rabbit@a"
    ):
        run(store, ctl)
    assert set(ctl.asked) == {"status", "definitions"}
    rabbits.versions = {"rabbit@a": "4.2.9", "rabbit@b": "4.3.6"}
    assert run(store, ctl) is FormationStep.JOIN


def test_the_founder_is_down_so_another_member_is_joined(rabbits: Rabbits) -> None:
    store, ctl = FakeStore(rabbits), FakeCtl(rabbits, "rabbit@c")
    run(store, FakeCtl(rabbits, "rabbit@a"))
    run(store, FakeCtl(rabbits, "rabbit@b"))
    rabbits.down.add("rabbit@a")
    assert run(store, ctl) is FormationStep.JOIN
    assert [each for each in ctl.asked if each.startswith("join")] == ["join rabbit@a", "join rabbit@b"]


def test_no_member_can_be_reached_so_the_node_starts_again_as_it_was(rabbits: Rabbits) -> None:
    store, ctl = FakeStore(rabbits), FakeCtl(rabbits, "rabbit@b")
    run(store, FakeCtl(rabbits, "rabbit@a"))
    rabbits.down.add("rabbit@a")
    with pytest.raises(FormationFailed, match="rabbit@a is down"):
        run(store, ctl)
    assert ctl.asked[-1] == "start_app"
    assert ctl.own.members == {"rabbit@b"}


def test_a_lost_lock_is_noticed_before_the_node_is_touched(rabbits: Rabbits) -> None:
    store, ctl = FakeStore(rabbits), FakeCtl(rabbits, "rabbit@b")
    run(store, FakeCtl(rabbits, "rabbit@a"))
    store.lose_lock = True
    with pytest.raises(FormationFailed, match="lock was lost"):
        run(store, ctl)
    assert "stop_app" not in ctl.asked


def test_a_conflict_while_recording_keeps_what_the_other_wrote(rabbits: Rabbits) -> None:
    store = FakeStore(rabbits)
    run(store, FakeCtl(rabbits, "rabbit@a"))
    run(store, FakeCtl(rabbits, "rabbit@b"))
    assert store.view is not None
    store.interfere = [store.view.record]
    run(store, FakeCtl(rabbits, "rabbit@c"))
    assert set(store.view.record.nodes) == {"rabbit@a", "rabbit@b", "rabbit@c"}


@settings(max_examples=examples(300), deadline=None)
@given(
    turns=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 16)), max_size=12),
    holder=st.sampled_from(["rabbit@a", "rabbit@b", "rabbit@c", None]),
)
def test_whatever_is_cut_off_wherever_the_cluster_forms_and_nothing_is_destroyed(
    turns: list[tuple[str, int]], holder: str | None
) -> None:
    """Each turn an agent tries to form and is killed at its n-th effect; in the end all try undisturbed."""
    rabbits = Rabbits()
    for node in ("rabbit@a", "rabbit@b", "rabbit@c"):
        rabbits.add(node, queues=("data",) if node == holder else ())
    store = FakeStore(rabbits)
    for letter, left in turns:
        rabbits.cut_off_after(left)
        with suppress(CutOff, FormationRefused):
            run(store, FakeCtl(rabbits, f"rabbit@{letter}"))
        assert rabbits.destroyed == []
        record = store.view.record if store.view is not None else None
        for node in record.nodes if record is not None else ():
            assert record is not None
            assert rabbits.database[node] is rabbits.database[record.founder]
            assert {"name": OWN_VHOST} in rabbits.database[node].definitions["vhosts"]
    rabbits.cut_off_in = lambda: False
    refused = set()
    for node in ("rabbit@a", "rabbit@b", "rabbit@c"):
        try:
            run(store, FakeCtl(rabbits, node))
        except FormationRefused:
            refused.add(node)
    assert rabbits.destroyed == []
    assert refused <= {holder}
    assert store.view is not None
    formed = {"rabbit@a", "rabbit@b", "rabbit@c"} - refused
    assert set(store.view.record.nodes) == formed
    assert rabbits.database[store.view.record.founder].members == formed


def test_two_founders_in_spite_of_the_lock_are_one_too_many(rabbits: Rabbits) -> None:
    other, store = FakeStore(rabbits), FakeStore(rabbits)
    run(other, FakeCtl(rabbits, "rabbit@a"))
    assert other.view is not None
    store.interfere = [other.view.record]
    with pytest.raises(Conflict):
        run(store, FakeCtl(rabbits, "rabbit@b"))
    assert run(store, FakeCtl(rabbits, "rabbit@b")) is FormationStep.JOIN


def replaced(rabbits: Rabbits, *, by: str) -> FakeStore:
    """Three members, of which "c" comes again with another node."""
    store = FakeStore(rabbits)
    canary = {"name": QUEUE, "vhost": OWN_VHOST}
    rabbits.database["rabbit@a"].definitions["queues"] = [{"name": "q", "vhost": "/"}, canary]
    for node in ("rabbit@a", "rabbit@b", "rabbit@c"):
        run(store, FakeCtl(rabbits, node))
    rabbits.add(by)
    return store


def come(store: FakeStore, ctl: FakeCtl) -> None:
    form(store, ctl, Identity("c", ctl.node, OWN_VHOST, ("keeper", "secret")))


def test_a_member_on_another_machine_takes_the_place_of_its_node_that_is_gone(rabbits: Rabbits) -> None:
    store = replaced(rabbits, by="rabbit@new")
    rabbits.down.add("rabbit@c")
    ctl = FakeCtl(rabbits, "rabbit@new")
    come(store, ctl)
    assert store.view is not None
    assert set(store.view.record.nodes) == ctl.own.members == {"rabbit@a", "rabbit@b", "rabbit@new"}
    assert ctl.own.replicas == {"rabbit@a", "rabbit@b", "rabbit@new"}, "of the canary's queue"
    asked = [what for what in ctl.asked if what.startswith(("join", "grow", "shrink", "forget"))]
    assert asked == ["join rabbit@a", "grow", "shrink rabbit@c", "forget rabbit@c"]


def test_a_node_that_still_runs_is_not_replaced(rabbits: Rabbits, caplog: pytest.LogCaptureFixture) -> None:
    store = replaced(rabbits, by="rabbit@new")
    come(store, FakeCtl(rabbits, "rabbit@new"))
    assert store.view is not None
    assert set(store.view.record.nodes) == {"rabbit@a", "rabbit@b", "rabbit@c", "rabbit@new"}
    assert "rabbit@c, which c had before, stays in the cluster: rabbit@c still runs" in caplog.text
    assert "member replace c" in caplog.text


def test_a_node_is_not_replaced_without_a_majority(
    rabbits: Rabbits, caplog: pytest.LogCaptureFixture
) -> None:
    store = replaced(rabbits, by="rabbit@new")
    rabbits.down |= {"rabbit@b", "rabbit@c"}
    come(store, FakeCtl(rabbits, "rabbit@new"))
    assert store.view is not None
    assert "rabbit@c" in store.view.record.nodes
    assert "only 2 of 4 nodes run" in caplog.text
    rabbits.down.remove("rabbit@b")
    come(store, FakeCtl(rabbits, "rabbit@new"))
    assert set(store.view.record.nodes) == {"rabbit@a", "rabbit@b", "rabbit@new"}


@pytest.mark.parametrize("points", range(0, 40, 3))
def test_who_is_cut_off_while_it_replaces_its_old_node_does_the_rest_later(
    rabbits: Rabbits, points: int
) -> None:
    store = replaced(rabbits, by="rabbit@new")
    rabbits.down.add("rabbit@c")
    rabbits.cut_off_after(points)
    with suppress(CutOff):
        come(store, FakeCtl(rabbits, "rabbit@new"))
    rabbits.cut_off_in = lambda: False
    store.holder = None
    come(store, FakeCtl(rabbits, "rabbit@new"))
    assert store.view is not None
    assert set(store.view.record.nodes) == {"rabbit@a", "rabbit@b", "rabbit@new"}
    assert rabbits.database["rabbit@a"].members == {"rabbit@a", "rabbit@b", "rabbit@new"}
    assert rabbits.destroyed == []
