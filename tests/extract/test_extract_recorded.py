"""Every recorded answer gives its expected usage: whole, torn anywhere, as bytes and as parsed events."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_answers import CASES, Case, cases, differences

from taximeter.core.usage import violations
from taximeter.extract import Reading

STREAMS = [case for case in cases() if case.stream]
CUT_OFF = {"openai-chat-stream-client-abort", "anthropic-stream-overloaded-midway", "groq-stream-error-no-usage"}
"""Streams that end without a terminal event."""


def name(case: Case) -> str:
    return case.id


def read_in_pieces(case: Case, pieces: list[bytes]) -> Reading:
    reader = case.flavour.stream(case.request)
    for piece in pieces:
        reader.feed(piece)
    return reader.reading()


@pytest.mark.parametrize("case", cases(), ids=name)
def test_a_recorded_answer_gives_its_expected_usage(case: Case) -> None:
    assert differences(case, case.read()) == []


def test_every_recording_of_the_manifest_has_a_flavour() -> None:
    assert (
        len(cases()) == json.loads((CASES.parent / "manifest.json").read_text())["cases"] == len(list(CASES.iterdir()))
    )
    assert len(STREAMS) >= 40


@pytest.mark.parametrize("case", STREAMS, ids=name)
def test_a_stream_reads_the_same_one_byte_at_a_time(case: Case) -> None:
    assert read_in_pieces(case, [bytes([byte]) for byte in case.body]) == case.read()


@pytest.mark.parametrize("case", STREAMS, ids=name)
def test_a_stream_reads_the_same_split_in_two_at_every_byte_near_its_ends(case: Case) -> None:
    whole, size = case.read(), len(case.body)
    for cut in {*range(min(size, 60)), *range(max(size - 120, 0), size)}:
        assert read_in_pieces(case, [case.body[:cut], case.body[cut:]]) == whole, f"split at byte {cut}"


@pytest.mark.parametrize("case", STREAMS, ids=name)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_stream_reads_the_same_in_any_chunking(case: Case, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(case.body)), max_size=12).map(sorted))
    pieces = [case.body[start:end] for start, end in pairwise([0, *cuts, len(case.body)])]
    assert read_in_pieces(case, pieces) == case.read()


@pytest.mark.parametrize("case", STREAMS, ids=name)
def test_parsed_events_read_like_raw_bytes(case: Case) -> None:
    reader = case.flavour.stream(case.request)
    for event in case.events():
        reader.feed_event(event)
    assert reader.reading() == case.read()


@pytest.mark.parametrize("case", STREAMS, ids=name)
def test_a_stream_is_finished_when_its_terminal_event_was_seen(case: Case) -> None:
    reading = case.read()
    assert reading.finished is (case.id not in CUT_OFF)


@pytest.mark.parametrize("case", STREAMS, ids=name)
def test_line_ends_and_a_missing_last_blank_line_change_nothing(case: Case) -> None:
    whole = case.read()
    assert read_in_pieces(case, [case.body.replace(b"\n", b"\r\n")]) == whole
    if case.id != "openai-chat-stream-client-abort":
        assert read_in_pieces(case, [case.body.rstrip(b"\n")]) == whole


@pytest.mark.parametrize("case", STREAMS, ids=name)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_stream_that_breaks_off_keeps_what_was_known(case: Case, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(case.body)))
    reading = read_in_pieces(case, [case.body[:cut]])
    whole = case.read()
    assert violations(reading.usage) == []
    assert reading.output_characters <= whole.output_characters or case.flavour.name == "openai.realtime"
    assert reading.response_model in (None, whole.response_model)


@pytest.mark.parametrize("case", cases(), ids=name)
def test_parts_lie_within_their_wholes_and_shares_add_up(case: Case) -> None:
    reading = case.read()
    assert violations(reading.usage) == []
    if reading.by_model:
        for whole in ("input_tokens", "output_tokens", "cache_read_tokens"):
            assert sum(getattr(usage, whole) or 0 for _, usage in reading.by_model) == getattr(reading.usage, whole)
