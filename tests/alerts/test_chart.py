"""The chart of a message: a line of blocks, and a PNG that any reader takes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_channels import NOTIFICATION, OPENED

from taximeter.alerts.channels.email import CHART, composed, html
from taximeter.alerts.channels.slack import blocks
from taximeter.alerts.chart import BAR, GAP, HEIGHT, Chart, png

RED = "#d7263d"
SPIKE = Chart("calls in 5 minutes", (0.0, 1.0, 1.0, 8.0), 3)
charts = st.builds(
    Chart,
    caption=st.text(max_size=20),
    values=st.lists(st.floats(0, 1e12), min_size=1, max_size=40).map(tuple),
    since=st.integers(0, 40),
)


def pixels(image: bytes) -> list[list[bytes]]:
    """The rows of a PNG of eight bits a colour whose rows are not filtered, from the top."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    chunks = dict(chunks_of(image[8:]))
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert kind == [8, 2, 0, 0, 0]
    raw, row_bytes = zlib.decompress(chunks[b"IDAT"]), 1 + 3 * width
    assert len(raw) == height * row_bytes
    rows = [raw[place : place + row_bytes] for place in range(0, len(raw), row_bytes)]
    assert {row[0] for row in rows} == {0}
    return [[row[place : place + 3] for place in range(1, row_bytes, 3)] for row in rows]


def chunks_of(rest: bytes) -> Iterator[tuple[bytes, bytes]]:
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        kind, content = rest[4:8], rest[8 : 8 + length]
        assert struct.unpack(">I", rest[8 + length : 12 + length]) == (zlib.crc32(kind + content),)
        yield kind, content
        rest = rest[12 + length :]


@given(charts)
def test_whatever_the_values_it_is_a_picture_with_one_sign_a_bar(chart: Chart) -> None:
    rows = pixels(png(chart, RED))
    assert {len(row) for row in rows} == {len(chart.values) * (BAR + GAP) + GAP}
    assert len(rows) == HEIGHT
    assert len(chart.line) == len(chart.values)


def test_bars_are_as_high_as_their_values_and_those_of_the_incident_are_coloured() -> None:
    assert SPIKE.line == "▁▂▂█"
    rows = pixels(png(SPIKE, RED))
    bars = [[row[GAP + place * (BAR + GAP)] for row in rows] for place in range(4)]
    filled = [sum(pixel != b"\xff\xff\xff" for pixel in bar) for bar in bars]
    assert filled[0] == 0
    assert filled[1] == filled[2] == round((HEIGHT - 4) / 8)
    assert filled[3] == HEIGHT - 4
    assert bars[3][-1] == bytes.fromhex(RED[1:]) != bars[2][-1]


def test_a_mail_shows_the_chart_within_itself() -> None:
    mail = composed(replace(OPENED, chart=SPIKE), NOTIFICATION, "m@a.example", ["o@a.example"])
    (image,) = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert image["Content-ID"] == f"<{CHART}>"
    assert isinstance(image, EmailMessage)
    assert image.get_content() == png(SPIKE, RED)
    assert f"src='cid:{CHART}'" in html(replace(OPENED, chart=SPIKE))
    text = mail.get_body(["plain"])
    assert text is not None
    assert "▁▂▂█\ncalls in 5 minutes" in text.get_content()


@pytest.mark.parametrize(("chart", "shown"), [(SPIKE, True), (None, False)])
def test_slack_shows_the_chart_as_a_line(chart: Chart | None, shown: bool) -> None:
    told = str([block.to_dict() for block in blocks(replace(OPENED, chart=chart))])
    assert ("▁▂▂█" in told) is shown
