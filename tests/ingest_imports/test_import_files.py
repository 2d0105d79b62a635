"""From bytes to rows: whatever shape a file has, a piece at a time, and whatever is wrong with it."""

from __future__ import annotations

import gzip
import io
import json
import os
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from import_rig import rows_in

from taximeter.errors import UsageError
from taximeter.ingest.imports.files import RowFile, shape_of
from taximeter.ingest.imports.json_items import ENVELOPES, JsonItems
from taximeter.ingest.imports.row import LeftOut, Row

EXAMPLES = settings(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "30")), deadline=None)


def values_in(content: bytes) -> list[Any]:
    return [row.values for row in rows_in(content) if isinstance(row, Row)]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"", []),
        (b" \n\n", []),
        (b'{"a":1}', [{"a": 1}]),
        (b'{"a":1}\n{"a":2}\n', [{"a": 1}, {"a": 2}]),
        (b'{"a":1}\r\n\r\n{"a":2}', [{"a": 1}, {"a": 2}]),
        (b'[{"a":1},{"a":[{"b":2}]}]', [{"a": 1}, {"a": [{"b": 2}]}]),
        (b'{\n "object":"page",\n "data":[\n  {"a":1}\n ],\n "meta":{"data":[{"no":1}]}\n}', [{"a": 1}]),
        (b'{"data":[{"a":1}],"meta":{}}', [{"a": 1}]),
        (b'{"data":[{"a":1}]}\n{"data":[{"a":2},{"a":3}]}\n', [{"a": 1}, {"a": 2}, {"a": 3}]),
        (b'{\n"a": 1\n}\n{\n"a": 2\n}', [{"a": 1}, {"a": 2}]),
        (b'{"data":[{"a":1,"observations":["b","c"]}]}', [{"a": 1, "observations": ["b", "c"]}]),
        (b'{"a":"cut \\ud83d"}\n{"a":2}\n', [{"a": "cut \ufffd"}, {"a": 2}]),
        (b'[{"a":"]}{[\\"\\\\"}]', [{"a": ']}{["\\'}]),
        (b"a,b\n1,2\n", [{"a": "1", "b": "2"}]),
        (b"\xef\xbb\xbfa;b\n1;2\n", [{"a": "1", "b": "2"}]),
        (b'a\tb\n"1\n1"\t2\n', [{"a": "1\n1", "b": "2"}]),
        (b"a,b\n\n1,2,\n1,\n", [{"a": "1", "b": "2"}, {"a": "1", "b": ""}]),
        (b"a,b\n1,2\na,b\n3,4\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        (b"a,b,\n1,2\n1,2,\n", [{"a": "1", "b": "2"}, {"a": "1", "b": "2"}]),
        (b"sep=;\r\na;b,c\r\n1;2,5\r\n", [{"a": "1", "b,c": "2,5"}]),
        (b"sep=\t\r\na\tb,c\r\n1\t2,5\r\n", [{"a": "1", "b,c": "2,5"}]),
        ("a,b\nJürgen,1\n".encode(), [{"a": "Jürgen", "b": "1"}]),
        ("a,b\nJürgen,1\n".encode("cp1252"), [{"a": "Jürgen", "b": "1"}]),
        ("a\tb\r\nJürgen\t1\r\n".encode("utf-16"), [{"a": "Jürgen", "b": "1"}]),
        ('[{"a":"Jürgen"}]'.encode("utf-16"), [{"a": "Jürgen"}]),
        ('{"a":1}\r\n{"a":2}\r\n'.encode("utf-16"), [{"a": 1}, {"a": 2}]),
    ],
)
def test_rows_are_found_in_every_shape(content: bytes, rows: list[Any]) -> None:
    assert values_in(content) == rows


def zipped(*names: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in names:
            opened.writestr(name, TWO_ROWS)
    return archive.getvalue()


TWO_ROWS = b'{"a":1}\n{"a":2}\n'
IN_TWO_FRAMES = zstandard.compress(TWO_ROWS[:8]) + zstandard.compress(TWO_ROWS[8:])
PACKED = {
    "gzip": gzip.compress(TWO_ROWS),
    "zstd": zstandard.compress(TWO_ROWS),
    "zstd, added to": IN_TWO_FRAMES,
    "zip": zipped("rows"),
    "zip of a Mac": zipped("rows", "__MACOSX/._rows"),
}


@pytest.mark.parametrize("packed", PACKED)
def test_a_packed_file_is_read_as_what_is_in_it(packed: str, tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_bytes(PACKED[packed])
    with RowFile(file) as opened:
        assert [row.values for row in opened.rows() if isinstance(row, Row)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("packed", ["gzip", "zstd"])
def test_a_packed_file_that_breaks_off_says_so(packed: str, tmp_path: Path) -> None:
    file = tmp_path / "rows"
    whole = b"".join(b'{"a":"%d"}\n' % (number * 7919) for number in range(50_000))
    file.write_bytes((gzip.compress(whole) if packed == "gzip" else zstandard.compress(whole))[:-20])
    with RowFile(file) as opened:
        *rows, last = opened.rows()
    assert isinstance(last, LeftOut)
    assert last.reason.startswith(("the file is damaged", "no JSON object"))
    assert len(rows) > 1000


@pytest.mark.parametrize("content", [zipped("a", "b"), b"PK\x03\x04 and no more"], ids=["two", "torn"])
def test_an_archive_that_is_not_of_one_file_says_what_to_do(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "rows.zip"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"rows\.zip: not an archive of one file"):
        RowFile(file)


@pytest.mark.parametrize(("row", "cells"), [(b"1", 1), (b"1,2,3", 3), (b"1,2,,3", 4)])
def test_a_row_whose_cells_do_not_stand_under_the_heading_is_left_out(row: bytes, cells: int) -> None:
    rows = rows_in(b"model,tokens\n" + row + b"\n1,2\n")
    assert rows == [LeftOut(2, f"a row of {cells} cells under a heading of 2"), Row(3, {"model": "1", "tokens": "2"})]


SHORT = b"2026-01-05,gpt-4o,7"


@pytest.mark.parametrize(
    ("rows", "taken"),
    [
        ([SHORT, SHORT + b",core", SHORT], 3),
        ([SHORT + b",,", SHORT + b",core,a note", SHORT], 2),
        ([SHORT + b",,", SHORT[:-2], SHORT[:-2]], 1),
        ([SHORT + b",core,a note", SHORT, SHORT + b",core"], 3),
    ],
    ids=["a habit", "one alone", "no counts", "of other lengths"],
)
def test_rows_that_end_before_cells_that_need_not_be_there_are_taken_where_that_is_a_habit(
    rows: list[bytes], taken: int
) -> None:
    content = b"\n".join([b"time,model,tokens,team,note", *rows, b""])
    found = rows_in(content)
    assert len([one for one in found if isinstance(one, Row)]) == taken
    assert len(found) == len(rows)
    assert sorted(one.place for one in found) == list(range(2, 2 + len(rows)))


def test_the_last_row_that_ends_early_is_torn_where_its_line_does_not_end() -> None:
    found = rows_in(b"\n".join([b"time,model,tokens,team,note", SHORT, SHORT, SHORT]))
    assert [type(one) for one in found] == [Row, Row, LeftOut]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b'{"a":1}\n{"a":\n{"a":3}\n', [(2, "no JSON object")]),
        (b'{"a":1}\n[1]\n"x"\n', [(2, "no JSON object"), (3, "no JSON object")]),
        (b'[{"a":1},{"a":nan},{"a":3}]', [(2, "no JSON object")]),
        (b'[{"a":1},{"a":3', [(2, "the file ends within a row")]),
        (b'{"data":[{"a":1},{"a":2}', [(3, "the file ends within a row")]),
        (b'{"data":[{"a":1},7]}\n{"data":[{"a":2}]}\n', [(1, "no JSON object")]),
    ],
)
def test_what_is_broken_is_left_out_and_the_rest_is_read(content: bytes, wrong: list[tuple[int, str]]) -> None:
    rows = rows_in(content)
    assert [(one.place, one.reason) for one in rows if isinstance(one, LeftOut)] == wrong
    assert {"a": 1} in values_in(content)


def test_a_gzip_that_breaks_off_ends_with_its_reason(tmp_path: Path) -> None:
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"a":1}\n' * 50_000, compresslevel=1)[:-40])
    with RowFile(packed) as opened:
        rows = list(opened.rows())
    assert isinstance(rows[-1], LeftOut)
    assert "the file is damaged" in rows[-1].reason
    assert len(rows) > 1_000


@pytest.mark.parametrize("beginning", [b"[", b"{", b"{\n", b'{"a":[1,\n'])
def test_what_is_no_line_of_json_is_a_document(beginning: bytes) -> None:
    assert shape_of(beginning) == "document"


@pytest.mark.parametrize("start", [b"[", b'{"data":['])
def test_a_large_document_takes_no_more_memory_than_its_rows(tmp_path: Path, start: bytes) -> None:
    one = b'{"name":"' + b"x" * 1_000 + b'"},'
    large = tmp_path / "large.json"
    large.write_bytes(start + one * 30_000 + b"{}" + (b"]" if start == b"[" else b"]}"))
    tracemalloc.start()
    with RowFile(large) as opened:
        count = sum(1 for _ in opened.rows())
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 30_001
    assert peak < 8 << 20 < large.stat().st_size


def test_a_row_beyond_belief_ends_a_document_and_only_itself_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taximeter.ingest.imports.files.MOST_ITEM_BYTES", 1_000)
    large = b'{"a":"' + b"x" * 600_000 + b'"}'
    rows = rows_in(b'{"a":1}\n' + large + b'\n{"a":2}\n')
    assert [row.place for row in rows if isinstance(row, LeftOut)] == [2]
    assert [row.values for row in rows if isinstance(row, Row)] == [{"a": 1}, {"a": 2}]
    (ended,) = rows_in(b"[" + large + b"," + large + b"]")
    assert isinstance(ended, LeftOut)


# ── properties ─────────────────────────────────────────────────────────────────────────────────────────────────

texts = st.text(st.characters(codec="utf-8"), max_size=8)
leaves = st.none() | st.booleans() | st.integers(-10, 10) | texts
anything = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
rows = st.dictionaries(texts, anything, max_size=4)
envelopes = st.sampled_from(sorted(ENVELOPES))
plain_objects = rows.filter(lambda row: not ENVELOPES & row.keys())


def items_of(content: bytes, cuts: list[int]) -> list[Any]:
    items, found, begin = JsonItems(), [], 0
    for end in [*sorted(cut % (len(content) + 1) for cut in cuts), len(content)]:
        found += [json.loads(item) for item in items.feed(content[begin:end])]
        begin = end
    assert not items.within_item
    return found


cuts = st.lists(st.integers(0, 10_000), max_size=5)
indents = st.sampled_from([None, 1])


@EXAMPLES
@given(st.lists(rows, max_size=5), cuts, indents, st.booleans())
def test_an_array_gives_its_objects_wherever_it_is_cut(
    wanted: list[Any], cut: list[int], indent: int | None, ascii_only: bool
) -> None:
    assert items_of(json.dumps(wanted, indent=indent, ensure_ascii=ascii_only).encode(), cut) == wanted


@EXAMPLES
@given(st.lists(rows, max_size=5), envelopes, plain_objects, cuts)
def test_an_object_gives_what_is_in_its_envelope(
    wanted: list[Any], envelope: str, beside: dict[str, Any], cut: list[int]
) -> None:
    first, last = {**beside, envelope: wanted}, {envelope: wanted, **beside}
    for document in (first, last):
        assert items_of(json.dumps(document).encode(), cut) == wanted


@EXAMPLES
@given(st.lists(plain_objects, min_size=1, max_size=4), cuts)
def test_objects_without_one_are_rows_themselves(wanted: list[Any], cut: list[int]) -> None:
    assert items_of("\n".join(json.dumps(one, indent=1) for one in wanted).encode(), cut) == wanted


@EXAMPLES
@given(st.binary(max_size=200), cuts)
def test_bytes_at_random_never_crash(content: bytes, cut: list[int]) -> None:
    items, begin = JsonItems(), 0
    for end in [*sorted(one % (len(content) + 1) for one in cut), len(content)]:
        list(items.feed(content[begin:end]))
        begin = end
    assert items.kept_bytes <= len(content)
    rows_in(content)
