"""Headers out of the head of an HTTP/1.1 message, for whoever has it checked by a parser.

A strict parser that hands each header to Python takes longer for that than for all its checking. So it is asked to
check only, and the head, which is good then, is taken apart here. Nearly all lines of a head are those of the head
before it, as the same libraries talk to the same hosts: lines that were seen a moment ago are not taken apart again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

END_OF_HEAD: Final = b"\r\n\r\n"

MOST_LINES: Final = 1024
"""Lines that are remembered. When there are more all are forgotten, and what still comes is learnt again at once."""
LONGEST_LINE_BYTES: Final = 256
"""Longer ones are not remembered."""

_CREDENTIALS: Final = (b"authorization", b"proxy-authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
_SECRET: Final = frozenset((*_CREDENTIALS, b"x-taximeter-key", b"x-amz-security-token", b"cookie", b"set-cookie"))
"""Headers that stay in memory no longer than their request."""

Header = tuple[bytes, bytes]


class _Lines(dict[bytes, Header]):
    """Headers by their line."""

    def __missing__(self, line: bytes) -> Header:
        name, _, value = line.partition(b":")
        name = name.lower()
        header = name, value.lstrip()
        if len(line) <= LONGEST_LINE_BYTES and name not in _SECRET:
            if len(self) >= MOST_LINES:
                self.clear()
            self[line] = header
        return header


_lines: Final = _Lines()


def headers_in(lines: Iterable[bytes]) -> list[Header]:
    """Names in lower case and values, of lines that a parser has found good: none is folded, before the colon stands
    the name and nothing else, and no control character but tabs behind it."""
    return [*map(_lines.__getitem__, lines)]
