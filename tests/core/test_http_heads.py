"""Heads taken apart, compared with what a parser hands out header by header."""

from __future__ import annotations

from typing import Any

import httptools
from hypothesis import given
from hypothesis import strategies as st

from taximeter.core.http_heads import MOST_LINES, headers_in

NAMES = st.text("abcXYZ-_~!#$%&'*+.^`|09", min_size=1, max_size=12).map(str.encode)
VALUES = st.binary(max_size=24)
SPACE = st.text(" \t", max_size=3).map(str.encode)
LINES = st.lists(st.tuples(NAMES, SPACE, VALUES).map(lambda line: line[0] + b":" + line[1] + line[2]), max_size=6)
WILD = st.sampled_from([b"a: b\r\n c", b"a : b", b": b", b"a:", b" a: b", b"a: b\nc: d"])
WILD_LINES = st.lists(st.binary(max_size=24) | WILD, max_size=3)


class Handed:
    """What a parser hands out of a head; None where it refuses it."""

    def __init__(self, lines: list[bytes]) -> None:
        self.headers: list[tuple[bytes, bytes]] | None = []
        self._ended = False
        parser: Any = httptools.HttpResponseParser(self)
        try:
            parser.feed_data(b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""]))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.headers = None
        if not self._ended:
            self.headers = None

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self.headers is not None
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._ended = True


@given(st.tuples(LINES, WILD_LINES).map(lambda both: b"\r\n".join(both[0] + both[1]).split(b"\r\n")))
def test_what_a_parser_takes_is_taken_apart_as_it_does(lines: list[bytes]) -> None:
    handed = Handed(lines).headers
    if handed is not None and b"" not in lines:
        assert headers_in(lines) == handed
        assert headers_in(lines) == handed, "the second time from memory"


def test_a_line_that_comes_again_is_the_very_same_header() -> None:
    (first,), (second,) = headers_in([b"Accept: text/plain"]), headers_in([b"Accept: text/plain"])
    assert first is second
    assert first == (b"accept", b"text/plain")


def test_secrets_and_long_lines_are_not_remembered() -> None:
    for line in (b"Authorization: Bearer x", b"X-Taximeter-Key: x", b"cookie: a=b", b"x-long: " + b"x" * 300):
        (first,), (second,) = headers_in([line]), headers_in([line])
        assert first == second
        assert first is not second


def test_any_number_of_different_lines_is_read() -> None:
    for number in range(MOST_LINES * 2):
        assert headers_in([b"X-Request: %d" % number]) == [(b"x-request", b"%d" % number)]
