"""Streams that are one JSON array, taken apart while they come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.extract.arrays import ArrayFraming
from taximeter.extract.gemini import STREAM_GENERATE

texts = st.text() | st.sampled_from(['"', "\\", '\\"', "]}", "[{", "\\\\", "é\n"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=3)


def cut(data: bytes, every: int) -> list[bytes]:
    return [data[start : start + every] for start in range(0, len(data), every)]


def items_in(data: bytes, every: int, framing: ArrayFraming | None = None) -> list[Any]:
    framing = framing or ArrayFraming()
    return [json.loads(item) for piece in cut(data, every) for _, item in framing.feed(piece)]


@given(st.lists(objects | values, max_size=5), st.integers(1, 40), st.booleans(), st.sampled_from([None, 2]))
def test_the_objects_of_an_array_come_out_wherever_it_is_cut(
    array: list[Any], every: int, ascii_only: bool, indent: int | None
) -> None:
    data = json.dumps(array, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    framing = ArrayFraming()
    assert items_in(data, every, framing) == [item for item in array if isinstance(item, dict)]
    assert not framing.pending


@given(objects, st.integers(1, 40))
def test_an_object_by_itself_is_taken_as_well(said: dict[str, Any], every: int) -> None:
    assert items_in(json.dumps(said).encode(), every) == [said]


@given(st.binary(max_size=200) | st.text('[]{}",\\a', max_size=200).map(str.encode), st.integers(1, 20))
def test_whatever_comes_is_cut_alike(data: bytes, every: int) -> None:
    whole, pieces = ArrayFraming(50), ArrayFraming(50)
    one = whole.feed(data)
    assert [frame for piece in cut(data, every) for frame in pieces.feed(piece)] == one
    assert whole.pending == pieces.pending


@pytest.mark.parametrize("every", [1, 7, 10_000])
def test_an_object_that_is_too_long_is_skipped(every: int) -> None:
    data = json.dumps([{"a": 1}, {"long": "x" * 500}, {"b": 2}]).encode()
    framing = ArrayFraming(100)
    assert items_in(data, every, framing) == [{"a": 1}, {"b": 2}]


def test_a_gemini_array_is_read_while_it_comes() -> None:
    reader = STREAM_GENERATE.stream(growing=True)
    said = {"candidates": [{"index": 0, "content": {"parts": [{"text": "four"}]}}]}
    end = {"candidates": [{"index": 0, "finishReason": "STOP"}], "usageMetadata": {"candidatesTokenCount": 1}}
    data = json.dumps([said, end]).encode()
    reader.feed(data[:60])
    assert not reader.content_started
    reader.feed(data[60:-80])
    early = reader.reading()
    reader.feed(data[-80:])
    assert (reader.content_started, early.output_characters, early.finished) == (True, 4, False)
    assert (reader.reading().usage.output_tokens, reader.reading().finished) == (1, True)
