"""Framing of lines of JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.extract.lines import LineFraming

STREAMS = [
    ("lines", b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
    ("the last without its end", b'{"a":1}\n{"b":2}', [b'{"a":1}', b'{"b":2}']),
    ("CRLF and blanks", b'\r\n{"a":1}\r\n\r\n  \n{"b":2}\r\n', [b'{"a":1}', b'{"b":2}']),
    ("nothing", b"", []),
]


def lines(chunks: list[bytes], longest_line_bytes: int = 100) -> list[bytes]:
    framing = LineFraming(longest_line_bytes)
    found = [data for chunk in chunks for _, data in framing.feed(chunk)]
    last = framing.unfinished()
    return found if last is None else [*found, last[1]]


@pytest.mark.parametrize(("about", "stream", "expected"), STREAMS)
def test_a_stream_is_cut_into_lines_in_any_chunking(about: str, stream: bytes, expected: list[bytes]) -> None:
    assert lines([stream]) == expected
    for cut in range(len(stream) + 1):
        assert lines([stream[:cut], stream[cut:]]) == expected


@given(st.lists(st.sampled_from([b"x", b"\n", b"\r", b" ", b"{}"])))
def test_bytes_fed_singly_give_what_the_whole_gives(stream: list[bytes]) -> None:
    whole = b"".join(stream)
    assert lines([bytes([byte]) for byte in whole]) == lines([whole])


@pytest.mark.parametrize("chunk_bytes", [1, 7, 10_000])
def test_a_line_over_the_limit_is_skipped_and_reading_goes_on(chunk_bytes: int) -> None:
    stream = b"before\n" + b"x" * 500 + b"\nafter\n" + b"x" * 500
    chunks = [stream[at : at + chunk_bytes] for at in range(0, len(stream), chunk_bytes)]
    assert lines(chunks) == [b"before", b"after"]


def test_a_line_that_never_ends_is_not_kept() -> None:
    framing = LineFraming(1_000)
    for _ in range(100):
        framing.feed(b"x" * 1_000)
    assert len(framing._partial) <= 1_001
