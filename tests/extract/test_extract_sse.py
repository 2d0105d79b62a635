"""Framing of server-sent events, in any chunking, within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.extract import SseFraming
from taximeter.extract.sse import Frame

STREAMS: list[tuple[str, bytes, list[Frame]]] = [
    ("one event", b"data: a\n\n", [(b"", b"a")]),
    ("no space after the colon", b"data:a\n\n", [(b"", b"a")]),
    ("only the first space goes", b"data:  a\n\n", [(b"", b" a")]),
    ("a named event", b"event: start\ndata: a\n\n", [(b"start", b"a")]),
    ("a name lasts for one event", b"event: x\ndata: a\n\ndata: b\n\n", [(b"x", b"a"), (b"", b"b")]),
    ("CRLF", b"event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", [(b"x", b"a"), (b"", b"b")]),
    ("CR", b"data: a\r\rdata: b\r\r", [(b"", b"a"), (b"", b"b")]),
    ("mixed line ends", b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", [(b"", b"a"), (b"", b"b"), (b"", b"c")]),
    ("several data lines", b"data: a\ndata: b\ndata:\n\n", [(b"", b"a\nb\n")]),
    ("a data line without colon", b"data\n\n", [(b"", b"")]),
    ("comments", b": OPENROUTER PROCESSING\n\n:\n\ndata: a\n: b\n\n", [(b"", b"a")]),
    ("other fields", b"id: 7\nretry: 10\ndata: a\nfoo\ndatabase: b\n\n", [(b"", b"a")]),
    ("a name without data is no event", b"event: ping\n\ndata: a\n\n", [(b"", b"a")]),
    ("a byte order mark", b"\xef\xbb\xbfdata: a\n\n", [(b"", b"a")]),
    ("blank lines", b"\n\n\ndata: a\n\n\n\n", [(b"", b"a")]),
]


def frames(chunks: list[bytes], longest_event_bytes: int = 1_000) -> list[Frame]:
    framing = SseFraming(longest_event_bytes)
    found = [frame for chunk in chunks for frame in framing.feed(chunk)]
    last = framing.unfinished()
    return found if last is None else [*found, last]


@pytest.mark.parametrize(("about", "stream", "expected"), STREAMS)
def test_a_stream_is_cut_into_events(about: str, stream: bytes, expected: list[Frame]) -> None:
    assert frames([stream]) == expected


@pytest.mark.parametrize(("about", "stream", "expected"), STREAMS)
def test_two_splits_anywhere_change_nothing(about: str, stream: bytes, expected: list[Frame]) -> None:
    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            assert frames([stream[:first], stream[first:second], stream[second:]]) == expected


@given(stream=st.lists(st.sampled_from([b"data: x", b"data:", b"event: e", b":c", b"\n", b"\r", b"\xef\xbb\xbf"])))
def test_bytes_fed_singly_give_what_the_whole_gives(stream: list[bytes]) -> None:
    whole = b"".join(stream)
    assert frames([bytes([byte]) for byte in whole]) == frames([whole])


@pytest.mark.parametrize("ending", [b"data: a", b"data: a\n", b"data: a\r"])
def test_a_last_event_without_its_blank_line_is_unfinished(ending: bytes) -> None:
    framing = SseFraming()
    assert framing.feed(ending) == []
    assert framing.pending
    assert framing.unfinished() == (b"", b"a")
    assert framing.unfinished() == (b"", b"a"), "looking changes nothing"
    assert framing.feed(b"b\n\n" if ending == b"data: a" else b"\n\n")[0][1] in (b"ab", b"a")
    assert not framing.pending


@pytest.mark.parametrize(
    ("about", "event"),
    [
        ("one long line", b"data: " + b"x" * 200),
        ("many lines", b"data: xxxxxxxxx\n" * 20),
        ("many empty lines", b"data:\n" * 200),
        ("a long comment", b":" + b"x" * 200),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [1, 7, 10_000])
def test_an_event_over_the_limit_is_skipped_and_reading_goes_on(about: str, event: bytes, chunk_bytes: int) -> None:
    stream = b"data: before\n\n" + event + b"\n\ndata: after\n\n"
    chunks = [stream[at : at + chunk_bytes] for at in range(0, len(stream), chunk_bytes)]
    assert frames(chunks, longest_event_bytes=100) == [(b"", b"before"), (b"", b"after")]


def test_a_line_that_never_ends_is_not_kept() -> None:
    framing = SseFraming(1_000)
    for _ in range(1_000):
        framing.feed(b"data: " + b"x" * 1_000)
    assert len(framing._partial) <= 1_001
