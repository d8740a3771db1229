"""Which versions of RabbitMQ are supported, and which cannot be in one cluster."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.agent.rabbitmq.versions import NEWEST, OLDEST, apart, unsupported, version_of


def test_a_version_is_its_first_two_numbers() -> None:
    assert version_of("4.3.0-rc.1") == (4, 3)
    assert version_of("3.13.7+1.g1234") == (3, 13)
    assert version_of("unknown") is None


@pytest.mark.parametrize("version", ["3.10.8", "3.13.7", "4.0.5", "4.1.8", "4.2.9", "4.3.6", "what", None])
def test_what_is_supported_or_unreadable_is_not_spoken_of(version: str | None) -> None:
    assert unsupported(version) is None


def test_an_older_and_a_newer_version_are_named_with_what_is_supported() -> None:
    assert unsupported("3.8.9") == (
        "RabbitMQ 3.8.9 is not supported: this agent was made for 3.10 to 4.3; upgrade the broker"
    )
    assert unsupported("5.0.1") == (
        "RabbitMQ 5.0.1 is not known yet: this agent was made for 3.10 to 4.3; look for a newer RabbitKeeper"
    )


@pytest.mark.parametrize(
    ("older", "newer"),
    [("3.10.8", "3.12.0"), ("3.12.14", "4.0.5"), ("4.0.5", "4.3.6"), ("4.1.8", "4.3.0"), ("3.13.7", "4.3.6")],
)
def test_two_versions_without_a_rolling_upgrade_are_kept_apart(older: str, newer: str) -> None:
    said = apart(newer, {"rabbit@a": older})
    assert said == (
        f"it has RabbitMQ {newer}, rabbit@a has {older}, and RabbitMQ cannot have these two in one cluster; "
        f"install {older.rpartition('.')[0]} here"
    )
    assert apart(older, {"rabbit@a": newer}) is not None


@pytest.mark.parametrize(
    ("older", "newer"), [("3.13.7", "4.0.5"), ("3.13.7", "4.2.0"), ("4.0.5", "4.2.9"), ("4.2.9", "4.3.6")]
)
def test_two_versions_with_a_rolling_upgrade_may_be_together(older: str, newer: str) -> None:
    assert apart(newer, {"rabbit@a": older}) is None
    assert apart(older, {"rabbit@a": newer}) is None


def test_patch_releases_of_a_series_may_be_together() -> None:
    assert apart("4.2.9", {"rabbit@a": "4.2.0", "rabbit@b": "4.2.9"}) is None


def test_what_is_not_known_is_left_to_rabbitmq() -> None:
    assert apart(None, {"rabbit@a": "4.0.5"}) is None
    assert apart("4.3.6", {}) is None
    assert apart("4.3.6", {"rabbit@a": "what"}) is None
    assert apart("9.0.0", {"rabbit@a": "4.3.6"}) is None


_SERIES = st.tuples(st.integers(OLDEST[0], NEWEST[0] + 1), st.integers(0, 15)).map(
    lambda two: f"{two[0]}.{two[1]}.1"
)


@given(_SERIES, _SERIES)
def test_being_kept_apart_is_mutual(one: str, other: str) -> None:
    assert (apart(one, {"n": other}) is None) is (apart(other, {"n": one}) is None)
