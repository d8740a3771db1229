"""Where places were seen to lead somewhere, and when that is forgotten."""

from collections.abc import Sequence

import pytest

from rabbitkeeper.client.amqp.frames import Template
from rabbitkeeper.client.publish.entry import Entry
from rabbitkeeper.client.publish.routes import REMEMBERED, Routes


def confirmed(routes: Routes, keys: Sequence[str], *, mandatory: bool = True) -> None:
    entries = []
    for key in keys:
        one = Entry("m", "e", key, 1, 10.0)
        one.template = Template("e", key, mandatory=mandatory, flags=0, before=b"", after=b"")
        entries.append(one)
    routes.confirmed(entries)


@pytest.fixture
def routes() -> Routes:
    """Key k was well at a; the client is at b."""
    routes = Routes()
    routes.moved_to("a")
    confirmed(routes, "k")
    routes.moved_to("b")
    return routes


def test_a_place_is_known_from_the_member_before(routes: Routes) -> None:
    assert routes.elsewhere(("e", "k")) == "a"
    assert routes.elsewhere(("e", "other")) is None


def test_what_is_well_here_too_is_not_looked_for_elsewhere(routes: Routes) -> None:
    confirmed(routes, "k")
    assert routes.elsewhere(("e", "k")) is None
    routes.moved_to("c")
    assert routes.elsewhere(("e", "k")) == "b"


def test_the_member_itself_is_not_another_one(routes: Routes) -> None:
    routes.moved_to("a")
    assert routes.elsewhere(("e", "k")) is None
    routes.moved_to("c")
    assert routes.elsewhere(("e", "k")) == "a"


def test_a_connection_to_the_same_member_changes_nothing(routes: Routes) -> None:
    confirmed(routes, "k")
    routes.moved_to("b")
    assert routes.elsewhere(("e", "k")) is None


def test_a_message_that_need_not_be_routed_says_nothing(routes: Routes) -> None:
    confirmed(routes, "x", mandatory=False)
    routes.moved_to("c")
    assert routes.elsewhere(("e", "x")) is None


def test_a_template_is_noted_again_after_a_move() -> None:
    routes, one = Routes(), Entry("m", "e", "k", 1, 10.0)
    one.template = Template("e", "k", mandatory=True, flags=0, before=b"", after=b"")
    for member in "abc":
        routes.moved_to(member)
        routes.confirmed([one])
    routes.moved_to("d")
    assert routes.elsewhere(("e", "k")) == "c"


def test_what_is_wrong_or_cannot_be_asked_is_forgotten(routes: Routes) -> None:
    routes.forget(("e", "k"))
    assert routes.elsewhere(("e", "k")) is None
    confirmed(routes, "xy")
    routes.moved_to("c")
    routes.forget_member("b")
    assert routes.elsewhere(("e", "x")) is routes.elsewhere(("e", "y")) is None


def test_no_more_is_kept_than_so_many_places(routes: Routes) -> None:
    for number in range(4):
        routes.moved_to(f"m{number}")
        confirmed(routes, [f"{number}.{key}" for key in range(REMEMBERED)])
        assert len(routes._here) <= REMEMBERED
        assert len(routes._elsewhere) <= REMEMBERED
    confirmed(routes, ["one more"])
    assert len(routes._here) <= REMEMBERED
    confirmed(routes, ["after it was forgotten"])
    routes.moved_to("z")
    assert routes.elsewhere(("e", "after it was forgotten")) == "m3"
