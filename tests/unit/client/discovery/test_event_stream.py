"""Server-sent events out of bytes, however they are cut."""

from random import Random

import pytest

from rabbitkeeper.client.discovery.event_stream import EventStream, SentEvent, StreamError

SENT = (
    b"event: hello\ndata: {}\n\n: still there\n\nid: run1-1\nevent: group\ndata: {\"a\":\ndata: 1}\n\n"
    b"retry: 3\nnonsense\ndata\n\ndata:no blank\r\n\r\n"
)  # fmt: skip
MEANT = [
    SentEvent("hello", b"{}"),
    SentEvent("group", b'{"a":\n1}', "run1-1"),
    SentEvent("message", b"", "run1-1"),
    SentEvent("message", b"no blank", "run1-1"),
]


def test_events_are_found_in_what_has_come() -> None:
    assert EventStream().feed(SENT) == MEANT


@pytest.mark.parametrize("seed", range(20))
def test_it_does_not_matter_how_they_are_cut(seed: int) -> None:
    random, stream, rest, events = Random(seed), EventStream(), SENT, []
    while rest:
        cut = random.randint(1, 7)
        events += stream.feed(rest[:cut])
        rest = rest[cut:]
    assert events == MEANT


def test_a_comment_is_no_event() -> None:
    stream = EventStream(largest=50)
    for _ in range(100):
        assert stream.feed(b": still there\n\n") == []


@pytest.mark.parametrize("part", [b"x" * 30, b"data: xxxxxxxxxxxxxxxxxxxxxx\n", b": xxxxxxxxxxxxxxxxxx\n"])
def test_one_that_is_too_large_is_not_kept(part: bytes) -> None:
    stream = EventStream(largest=100)
    stream.feed(part)
    with pytest.raises(StreamError):
        stream.feed(part * 5)
