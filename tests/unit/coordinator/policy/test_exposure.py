"""Whether a group is as closed as its agents believe, over permissions made by hand."""

import pytest

from rabbitkeeper.coordinator.model.permissions import EVERYBODY, Permissions
from rabbitkeeper.coordinator.policy.exposure import standing

OURS, OTHER, CLIENTS = "digest:agents:HASH", "digest:mallory:HASH", "digest:clients:HASH"
OPEN = Permissions((EVERYBODY,), (EVERYBODY,), own=False)
CLOSED = Permissions((OURS,), (OURS, CLIENTS), own=True)


def test_a_group_that_is_not_there_is_made_as_one_wishes() -> None:
    assert standing(None, None, "agents").refusal is None
    assert standing(None, None, None).refusal is None


def test_an_identity_is_never_silently_without_effect() -> None:
    said = standing(OPEN, OPEN, "agents").refusal
    assert said is not None
    assert said.startswith(
        "the group is open to everybody, so that the identity 'agents' would have no effect"
    )
    assert "rabbitkeeper secure" in said


def test_a_group_that_somebody_else_has_made_before_is_found() -> None:
    squatted = Permissions((OTHER,), (OTHER, EVERYBODY), own=False)
    said = standing(squatted, OPEN, "agents").refusal
    assert said is not None
    assert said.startswith("the group belongs to mallory, so that the identity")
    assert "HASH" not in said
    said = standing(squatted, OPEN, None).refusal
    assert said is not None
    assert said.startswith("the group belongs to mallory: give the identity of its agents")


def test_a_closed_group_is_well_and_needs_the_identity() -> None:
    assert standing(CLOSED, CLOSED, "agents", (CLIENTS,)) == standing(CLOSED, OPEN, "agents")
    assert standing(CLOSED, OPEN, "agents").warnings == ()
    assert standing(CLOSED, OPEN, None).refusal is not None


@pytest.mark.parametrize(("writer", "who"), [(EVERYBODY, "everybody may still write"), (OTHER, "mallory")])
def test_who_may_write_besides_is_told(writer: str, who: str) -> None:
    found = standing(Permissions((OURS, writer), (OURS, writer), own=True), OPEN, "agents")
    assert found.refusal is None
    (warning,) = found.warnings
    assert who in warning


def test_readers_that_are_not_those_of_the_file_are_told() -> None:
    (warning,) = standing(CLOSED, OPEN, "agents", (EVERYBODY,)).warnings
    assert "can be read by clients, which is not what zookeeper.readers says" in warning


def test_a_parent_that_belongs_to_somebody_else_is_told() -> None:
    (warning,) = standing(CLOSED, Permissions((OTHER,), (), own=False), "agents").warnings
    assert warning == "the node of all groups belongs to mallory, who can keep new groups out"
