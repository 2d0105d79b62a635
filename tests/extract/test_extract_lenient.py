"""JSON that is none by the letter, and that client libraries take all the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.extract.lenient import read_leniently


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        ('{"a":1}'.encode("utf-16"), {"a": 1}),
        (b'{"a":"cut \\ud83d"}', {"a": "cut \ufffd"}),
        (b'{"a":"\\uDE00 cut"}', {"a": "\ufffd cut"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a":"\\ud83d\\ud83d\\ude00"}', {"a": "\ufffd\U0001f600"}),
        (b'{"a":"\\\\ud83d"}', {"a": "\\ud83d"}),
        (b'{"a":"\\\\\\ud83d"}', {"a": "\\\ufffd"}),
        (b'{"a":NaN,"b":-Infinity,"c":1}', {"a": None, "b": None, "c": 1}),
        (b'{"a":"bytes \xff"}', {"a": "bytes \ufffd"}),
        (b'{"a":"a\ttab"}', {"a": "a\ttab"}),
    ],
)
def test_what_a_strict_decoder_refuses_is_read(written: bytes, read: object) -> None:
    assert read_leniently(written) == read


@pytest.mark.parametrize("written", [b"", b"data", b'{"a":', b'{"a":"\\ud83', b"{'a': 1}"])
def test_what_is_no_json_is_refused(written: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_leniently(written)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda one: st.dictionaries(st.text(), one)))
def test_what_is_json_is_read_as_json_reads_it(value: object) -> None:
    assert read_leniently(json.dumps(value).encode()) == value
    assert read_leniently(json.dumps(value, ensure_ascii=False).encode()) == value
