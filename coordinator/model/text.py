"""Text from outside, made fit to be shown: on a terminal, in a log, to systemd. Pure.

Names, reasons and addresses are written by others. A control character among them could move the cursor, set
a window's title or begin a line of its own; a mark of direction could have a text read backwards. They are
shown as Python would write them, ``\\x1b``. Text that is stored or sent to programs stays as it is.
"""

import re

# C0, DEL and C1; marks of direction (Unicode's Bidi_Control); separators of lines; lone surrogates.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str, *, keep: str = "") -> str:
    """``text`` with everything escaped that a terminal would obey rather than show.

    Args:
        text: whatever it holds.
        keep: characters that may stay, such as a newline.
    """
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def printable_json(text: str) -> str:
    """The same for a JSON document: its value stays what it is."""
    # Outside strings JSON has no such character but the newline, tab and carriage return that lay it out.
    return _UNPRINTABLE.sub(
        lambda found: found[0] if found[0] in "\n\r\t" else f"\\u{ord(found[0]):04x}", text
    )


def is_plain(text: str) -> bool:
    """Whether nothing in ``text`` needs to be escaped."""
    return _UNPRINTABLE.search(text) is None


def has_lone_surrogate(text: str) -> bool:
    """Whether ``text`` cannot be written as UTF-8: it was bytes of some other encoding."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _escaped(character: str) -> str:
    number = ord(character)
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(
        character, f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
    )
