"""Framing of AWS event streams, in any chunking, within bounds, damaged or not."""

from __future__ import annotations

import json
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wires import aws_event, aws_message

from taximeter.extract.aws_events import AwsEventFraming
from taximeter.extract.sse import Frame

EVENT = aws_event("metadata", {"usage": {}})
FRAME: Frame = (b"metadata", b'{"metadata":{"usage": {}}}')


def frames(chunks: list[bytes], longest_event_bytes: int = 1_000) -> list[Frame]:
    framing = AwsEventFraming(longest_event_bytes)
    return [frame for chunk in chunks for frame in framing.feed(chunk)]


STREAMS = [
    ("one event", EVENT, [FRAME]),
    ("two", EVENT + EVENT, [FRAME, FRAME]),
    ("no payload", aws_message(b"", {":event-type": "stop", ":message-type": "event"}), [(b"stop", b'{"stop":{}}')]),
    (
        "an exception is an event",
        aws_event("throttlingException", {"message": "slow"}, "exception"),
        [(b"throttlingException", b'{"throttlingException":{"message": "slow"}}')],
    ),
    (
        "so is an error",
        aws_message(b"", {":message-type": "error", ":error-code": "InternalError", ":error-message": "x"}),
        [(b"error", b'{"error":{"type": "InternalError"}}')],
    ),
    ("a message of no type", aws_message(b"{}", {}) + EVENT, [FRAME]),
    ("a type that tries", aws_message(b"1", {":event-type": 'a":1,"b'}), [(b'a":1,"b', b'{"a\\":1,\\"b":1}')]),
    ("a damaged message", EVENT[:-20] + b"X" + EVENT[-19:] + EVENT, [FRAME]),
]


@pytest.mark.parametrize(("about", "stream", "expected"), STREAMS)
def test_a_stream_is_cut_into_events(about: str, stream: bytes, expected: list[Frame]) -> None:
    assert frames([stream]) == expected
    assert all(isinstance(json.loads(data), dict) for _, data in expected)


@pytest.mark.parametrize(("about", "stream", "expected"), STREAMS)
def test_a_split_anywhere_changes_nothing(about: str, stream: bytes, expected: list[Frame]) -> None:
    assert frames([bytes([byte]) for byte in stream]) == expected
    for cut in range(len(stream) + 1):
        assert frames([stream[:cut], stream[cut:]]) == expected


@pytest.mark.parametrize("chunk_bytes", [1, 13, 10_000])
def test_an_event_over_the_limit_is_skipped_and_reading_goes_on(chunk_bytes: int) -> None:
    stream = EVENT + aws_event("chunk", "x" * 5_000) + EVENT
    chunks = [stream[at : at + chunk_bytes] for at in range(0, len(stream), chunk_bytes)]
    assert frames(chunks) == [FRAME, FRAME]


@pytest.mark.parametrize("prelude", [b"\x00" * 12, struct.pack(">III", 4, 0, zlib.crc32(struct.pack(">II", 4, 0)))])
def test_lengths_that_cannot_be_are_the_end_of_reading(prelude: bytes) -> None:
    framing = AwsEventFraming()
    assert framing.feed(EVENT + prelude + EVENT) == [FRAME]
    assert framing.lost
    assert framing.feed(EVENT) == []


def test_headers_of_every_kind_are_passed_over() -> None:
    values = b"".join(
        b"\x01k" + bytes([kind]) + b"\x00" * size
        for kind, size in {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 8: 8, 9: 16}.items()
    )
    block = values + b"\x0b:event-type\x07\x00\x01e"
    prelude = struct.pack(">II", 16 + len(block) + 2, len(block))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + b"{}"
    assert frames([message + struct.pack(">I", zlib.crc32(message))]) == [(b"e", b'{"e":{}}')]


@given(st.lists(st.binary(max_size=60) | st.just(EVENT) | st.binary(max_size=40).map(lambda b: aws_message(b, {}))))
def test_any_bytes_are_cut_the_same_whole_and_singly(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    assert frames([bytes([byte]) for byte in whole]) == frames([whole])


@given(block=st.binary(max_size=40))
def test_damaged_headers_are_no_event(block: bytes) -> None:
    prelude = struct.pack(">II", 16 + len(block), len(block))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + block
    assert len(frames([message + struct.pack(">I", zlib.crc32(message)) + EVENT])) in (1, 2)
