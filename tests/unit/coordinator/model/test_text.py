"""Text from outside is shown, and obeyed by nothing."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rabbitkeeper.coordinator.model.text import has_lone_surrogate, is_plain, printable, printable_json

HARMLESS = "Grüße, Привет, こんにちは, [/x] :bug: \\n 100 %"


def test_what_people_write_stays_as_it_is() -> None:
    assert printable(HARMLESS) == HARMLESS
    assert is_plain(HARMLESS)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nFAKE LINE", "a\\nFAKE LINE"),
        ("a\r\tb", "a\\r\\tb"),
        ("\x9b31m", "\\x9b31m"),  # what some terminals take for ESC [
        ("ev\u202elive", "ev\\u202elive"),
        ("a\u2028b", "a\\u2028b"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert not is_plain(text)


def test_what_may_stay_can_be_said() -> None:
    assert printable("a\nb\r", keep="\n") == "a\nb\\r"


@given(st.text(st.characters(codec=None)))
def test_nothing_is_left_that_is_a_control(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in shown)
    assert has_lone_surrogate(text) == any(unicodedata.category(each) == "Cs" for each in text)


@given(st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner)))
def test_json_keeps_its_value(value: object) -> None:
    document = json.dumps(value, ensure_ascii=False, indent=2)
    assert json.loads(printable_json(document)) == value
