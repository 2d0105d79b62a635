"""How something went in the hours before an incident: a line of blocks for text, a small PNG for mails and chats.

The PNG is drawn here: bars on white are filled rectangles, which is less code than the use of a drawing library, and
none of those is small. What the bars mean is said in the caption beside them, so that no font is needed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from taximeter.alerts.states import SECOND_US

BUCKETS: Final = 36
BUCKET_US: Final = 300 * SECOND_US
"""Three hours, five minutes a bar."""

HEIGHT: Final = 96
BAR: Final = 10
GAP: Final = 3
"""Pixels."""

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_BEFORE: Final = b"\x9a\xa5\xb1"
_WHITE: Final = b"\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class Chart:
    """`values` one a bar, oldest first; those from place `since` on belong to the incident. No value is negative."""

    caption: str
    values: Sequence[float]
    since: int

    @property
    def line(self) -> str:
        """`▁▁▂█`: as high as can be told by eight signs."""
        highest = max(self.values, default=0.0)
        steps = [round(value / highest * (len(_BLOCKS) - 1)) if highest else 0 for value in self.values]
        return "".join(_BLOCKS[step] for step in steps)


def png(chart: Chart, colour: str) -> bytes:
    """The bars of a chart; those of the incident in `colour` (`#d7263d`)."""
    width = len(chart.values) * (BAR + GAP) + GAP
    highest = max(chart.values, default=0.0)
    heights = [_height(value, highest) for value in chart.values]
    colours = [bytes.fromhex(colour[1:]) if place >= chart.since else _BEFORE for place in range(len(heights))]
    rows = [_row(heights, colours, HEIGHT - row) for row in range(HEIGHT)]
    header = struct.pack(">IIBBBBB", width, HEIGHT, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _height(value: float, highest: float) -> int:
    """What is something is at least one pixel high."""
    return max(1, round(value / highest * (HEIGHT - 4))) if value and highest else 0


def _row(heights: Sequence[int], colours: Sequence[bytes], above: int) -> bytes:
    """The pixels `above` the ground."""
    bars = (colour if height >= above else _WHITE for height, colour in zip(heights, colours, strict=True))
    return _WHITE * GAP + b"".join(bar * BAR + _WHITE * GAP for bar in bars)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
