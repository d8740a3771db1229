"""Keys of ``rabbitkeeper watch``: nothing is done before it was tried and agreed to."""

import pytest
from support.agent_states import leader, member, view

from rabbitkeeper.coordinator.cli.dialog import Dialog, Quit, Wish, answered, chosen_of, press
from rabbitkeeper.coordinator.cli.keyboard import keys
from rabbitkeeper.coordinator.model.records import OperationKind, PauseRecord

VIEW = view(leader("node2"))
PAUSED = view(leader("node2"), pause=PauseRecord(by="ann", since=""))


def pressed(*typed: str, dialog: Dialog | None = None) -> tuple[Dialog, Wish | Quit | None]:
    now, todo = dialog or Dialog(), None
    for key in typed:
        now, todo = press(now, key, VIEW)
    return now, todo


@pytest.mark.parametrize(
    ("typed", "wish"),
    [
        ("s", Wish(OperationKind.SWITCHOVER, "node1")),
        ("js", Wish(OperationKind.SWITCHOVER, None)),  # it leads: to the best of the others
        ("jjjs", Wish(OperationKind.SWITCHOVER, "node3")),
        ("jjkkkr", Wish(OperationKind.RESTART, "node1")),
        ("R", Wish(OperationKind.ROLLING_RESTART)),
        ("p", Wish(OperationKind.PAUSE)),
    ],
)
def test_a_key_only_tries(typed: str, wish: Wish) -> None:
    assert pressed(*typed)[1] == wish
    assert wish.dry_run


def test_what_was_tried_is_done_with_y_and_with_no_other_key() -> None:
    tried = answered(Dialog(), Wish(OperationKind.RESTART, "node1"), "the broker of node1 is restarted")
    assert tried.said == "restart: the broker of node1 is restarted. Do it? y / n"
    assert press(tried, "y", VIEW)[1] == Wish(OperationKind.RESTART, "node1", dry_run=False)
    for key in ("n", "q", "r", "Y", " ", "up"):
        left, todo = press(tried, key, VIEW)
        assert (todo, left.wish, left.said) == (None, None, "nothing was done")
        assert press(left, "y", VIEW) == (left, None)


def test_a_refusal_is_told_and_leaves_nothing_to_agree_to() -> None:
    refused = answered(Dialog(), Wish(OperationKind.PAUSE), "it is paused", refused=True)
    assert (refused.said, refused.bad, refused.wish) == ("pause refused: it is paused", True, None)


def test_a_pause_is_ended_by_the_key_that_begins_it() -> None:
    assert press(Dialog(), "p", PAUSED)[1] == Wish(OperationKind.RESUME)


def test_a_member_that_is_gone_is_not_chosen_any_more() -> None:
    dialog, _ = pressed("down", "down")
    assert chosen_of(dialog, VIEW) == "node3"
    assert chosen_of(dialog, view(None, member("node1"))) == "node1"


def test_q_ends_it_and_other_keys_do_nothing() -> None:
    assert pressed("q")[1] == Quit()
    assert pressed("x", "y", "\n") == (Dialog(), None)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (b"s", ["s"]),
        (b"\x1b[A\x1b[Bj", ["up", "down", "j"]),
        (b"\x1bOA", ["up"]),
        (b"\x1b[15~y", []),  # of an unknown key nothing may be left that agrees to something
        (b"\xff", ["\xff"]),
    ],
)
def test_what_a_terminal_sends_is_keys(typed: bytes, found: list[str]) -> None:
    assert keys(typed) == found
