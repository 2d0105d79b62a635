"""From a file to rows, a piece at a time: CSV, JSON lines, a JSON document; plain or packed, told by their content.

The memory this takes is bounded by `MOST_ITEM_BYTES`, however large the file is. What cannot be read is left out with
its place, and reading goes on behind it.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeAlias

import msgspec
import zstandard

from taximeter.errors import UsageError
from taximeter.extract.lenient import read_leniently
from taximeter.ingest.imports.json_items import ENVELOPES, JsonItems
from taximeter.ingest.imports.row import LeftOut, Row, Values

MOST_ITEM_BYTES: Final = 32 << 20
"""A row larger than this is left out."""

CHUNK_BYTES: Final = 1 << 18
PEEK_BYTES: Final = 1 << 16

Shape: TypeAlias = Literal["csv", "lines", "document", "empty"]

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ZIP: Final = b"PK\x03\x04"
_OF_A_MAC: Final = "__MACOSX/"
"""Where macOS packs what it knows of a file beside it."""

_BOM: Final = b"\xef\xbb\xbf"
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SEPARATOR: Final = b"sep="
"""How Excel begins a file to say what is between its cells."""
_DELIMITERS: Final = (",", ";", "\t", "|")
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeError)
_DAMAGED: Final = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, zstandard.ZstdError)
_TOO_LARGE: Final = f"larger than {MOST_ITEM_BYTES >> 20} MiB"


class RowFile:
    """A file that is read once, from its beginning. Use it in a `with` block. `size` is in bytes.

    Raises OSError, and UsageError for an archive of several files.
    """

    def __init__(self, path: Path) -> None:
        self.name: Final = str(path)
        self.size = path.stat().st_size
        self._raw = path.open("rb")
        with ExitStack() as closing:
            closing.enter_context(self._raw)
            self._content = _unpacked(self._raw, self.name)
            closing.pop_all()

    def __enter__(self) -> RowFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    @property
    def read(self) -> int:
        """How far it is read, in bytes on disk."""
        return self._raw.tell() if not self._raw.closed else self.size

    def rows(self) -> Iterator[Row | LeftOut]:
        """The rows in their order; what is no row, with its reason."""
        yield from rows_of(self._content)


def rows_of(content: io.BufferedReader[Any]) -> Iterator[Row | LeftOut]:
    """The rows of what is read. A packed stream that breaks off ends with the reason."""
    try:
        beginning = content.peek(PEEK_BYTES)
        if beginning.startswith(_UTF16):
            content = io.BufferedReader(_AsUtf8(content), PEEK_BYTES)
            beginning = content.peek(PEEK_BYTES)
        if beginning.startswith(_BOM):
            content.read(len(_BOM))
            beginning = beginning[len(_BOM) :]
        shape = shape_of(beginning)
        if shape == "csv":
            yield from _csv_rows(content, beginning)
        elif shape == "lines":
            yield from _line_rows(content)
        elif shape == "document":
            yield from _document_rows(content)
    except _DAMAGED as error:
        yield LeftOut(0, f"the file is damaged: {error}")


def _unpacked(raw: io.BufferedReader[Any], name: str) -> io.BufferedReader[Any]:
    beginning = raw.peek(4)[:4]
    if beginning.startswith(_GZIP):
        return io.BufferedReader(gzip.GzipFile(fileobj=raw))
    if beginning == _ZSTD:
        unpacker = zstandard.ZstdDecompressor()
        return io.BufferedReader(unpacker.stream_reader(raw, read_across_frames=True), PEEK_BYTES)
    if beginning == _ZIP:
        return io.BufferedReader(_the_file_in(raw, name), PEEK_BYTES)
    return raw


def _the_file_in(raw: io.BufferedReader[Any], name: str) -> Any:
    """Raises UsageError."""
    try:
        archive = zipfile.ZipFile(raw)
        (member,) = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith(_OF_A_MAC)]
        return archive.open(member)
    except (ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
        hint = "unpack it, and import the files or their directory"
        raise UsageError(f"{name}: not an archive of one file", hint=hint) from None


class _AsUtf8(io.RawIOBase):
    """A file of Windows, in UTF-16, as UTF-8."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")
        self._kept = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._kept and (chunk := self._content.read(CHUNK_BYTES)):
            self._kept = self._decoder.decode(chunk).encode("utf-8", "replace")
        count = min(len(buffer), len(self._kept))
        buffer[:count], self._kept = self._kept[:count], self._kept[count:]
        return count


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    """What is no UTF-8 is of Windows' older encoding, as Excel writes it."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


_WINDOWS: Final = "taximeter-windows"
codecs.register_error(_WINDOWS, _as_windows)


def shape_of(beginning: bytes) -> Shape:
    """What a file is, by how it begins."""
    beginning = beginning.lstrip()
    if not beginning:
        return "empty"
    if beginning.startswith(b"["):
        return "document"
    if not beginning.startswith(b"{"):
        return "csv"
    line, newline, _ = beginning.partition(b"\n")
    return "lines" if newline and _object(line) is not None else "document"


def _object(written: bytes) -> Values | None:
    try:
        value = msgspec.json.decode(written)
    except _UNREADABLE:
        value = _read_leniently(written)
    return value if isinstance(value, dict) else None


def _read_leniently(written: bytes) -> object:
    """What agents written in JavaScript leave: halves of emojis, where they cut a text."""
    try:
        return read_leniently(written)
    except (ValueError, RecursionError):
        return None


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _line_rows(content: IO[bytes]) -> Iterator[Row | LeftOut]:
    place = 0
    while line := content.readline(MOST_ITEM_BYTES):
        place += 1
        whole = line.endswith(b"\n") or len(line) < MOST_ITEM_BYTES
        if not whole:
            _skip_line(content)
            yield LeftOut(place, _TOO_LARGE)
        elif line.strip():
            yield from rows_in(place, line)


def _skip_line(content: IO[bytes]) -> None:
    while (rest := content.readline(CHUNK_BYTES)) and not rest.endswith(b"\n"):
        pass


def rows_in(place: int, written: bytes) -> Iterator[Row | LeftOut]:
    """The row that an object is, or the rows that lie in it."""
    values = _object(written)
    if values is None:
        yield LeftOut(place, "no JSON object")
        return
    wrapped = [value for key, value in values.items() if key in ENVELOPES and isinstance(value, list)]
    if wrapped and all(isinstance(one, str) for one in wrapped[0]) and wrapped[0]:
        wrapped = []  # ids of what lies elsewhere, as a trace has them of its observations
    for one in wrapped[0] if wrapped else (values,):
        yield Row(place, one) if isinstance(one, dict) else LeftOut(place, "no JSON object")


def _document_rows(content: IO[bytes]) -> Iterator[Row | LeftOut]:
    items, place = JsonItems(), 0
    while chunk := content.read(CHUNK_BYTES):
        for written in items.feed(chunk):
            place += 1
            yield from rows_in(place, written)
        if items.kept_bytes > MOST_ITEM_BYTES:
            yield LeftOut(place + 1, f"{_TOO_LARGE}; what follows is not read")
            return
    if items.within_item:
        yield LeftOut(place + 1, "the file ends within a row")


# ── CSV ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _csv_rows(content: io.BufferedReader[Any], beginning: bytes) -> Iterator[Row | LeftOut]:
    csv.field_size_limit(MOST_ITEM_BYTES)
    head = beginning.partition(b"\n")[0].decode("utf-8", "replace").rstrip("\r")
    said = head[len(_SEPARATOR) :] if beginning[: len(_SEPARATOR)].lower() == _SEPARATOR else ""
    if said:
        content.readline()
    lines = io.TextIOWrapper(content, encoding="utf-8", errors=_WINDOWS, newline="")
    noted = _Lines(lines)
    cells = csv.reader(noted, delimiter=said[:1] or max(_DELIMITERS, key=head.count))
    names: list[str] | None = None
    short = _Short()
    skipped = 1 if said else 0
    while True:
        try:
            row = next(cells)
        except StopIteration:
            break
        except csv.Error as error:
            yield LeftOut(skipped + cells.line_num, f"no CSV: {error}")
            continue
        if names is None:
            names = _names(row)
        elif any(row) and not _is_heading(names, row):
            place = skipped + cells.line_num
            made = _csv_row(place, names, row)
            if noted.ended and _leaves_out_little(names, row):
                yield from short.take(Row(place, dict(zip(names, row, strict=False))), made)
            else:
                yield made
    yield from short.rest()
    lines.detach()


class _Lines:
    """`ended`: whether the line that was read last ends as a line, which a torn one does not."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.ended = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.ended = line[-1:] in ("\n", "\r")
        return line


class _Short:
    """Rows that end early, as they may be taken and as they would be left out. One alone is torn; a second one shows
    that it is the habit of who wrote them."""

    def __init__(self) -> None:
        self._first: tuple[Row, Row | LeftOut] | None = None
        self._is_habit = False

    def take(self, row: Row, torn: Row | LeftOut) -> Iterator[Row]:
        if not self._is_habit and self._first is None:
            self._first = row, torn
            return
        if self._first is not None:
            yield self._first[0]
        self._first, self._is_habit = None, True
        yield row

    def rest(self) -> Iterator[Row | LeftOut]:
        """What is left of them at the end of the file."""
        if self._first is not None:
            yield self._first[1]


_NEEDED: Final = re.compile(
    r"token|cost|spend|amount|price|usd|usage|request|call|count|quantity|model|time|date|status|cache|tier|batch|\bid\b",
    re.IGNORECASE,
)
"""What is in the name of a column by which a call is counted, priced or known."""


def _leaves_out_little(names: list[str], row: list[str]) -> bool:
    """Whether a row ends before its last cells, and none of these has to do with what a call costs: Excel and others
    leave out the empty cells at the end of a row."""
    return len(row) < len(names) and not any(map(_NEEDED.search, names[len(row) :]))


def _names(heading: list[str]) -> list[str]:
    """A separator at the end of the heading begins no column."""
    names = [name.strip() for name in heading]
    while names and not names[-1]:
        names.pop()
    return names


def _is_heading(names: list[str], row: list[str]) -> bool:
    """Whether a row is the heading once more: files that were put together have several."""
    return bool(names) and row[0].strip() == names[0] and _names(row) == names


def _csv_row(place: int, names: list[str], row: list[str]) -> Row | LeftOut:
    """A row with other cells than the heading is torn, or has an unquoted separator: its values stand elsewhere. That
    several rows end early at cells that need not be there is a habit of who wrote them."""
    if len(row) < len(names) or any(row[len(names) :]):
        return LeftOut(place, f"a row of {len(row)} cells under a heading of {len(names)}")
    return Row(place, dict(zip(names, row, strict=False)))
