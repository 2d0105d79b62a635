"""Following a spool: the segments of all its writers, living and dead, from where one has got to.

Marks say how far each segment has been read, in bytes, always just behind a line break. They are kept by whoever
reads (the store commits them together with what it stored), so a reader has nothing to lose.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

from taximeter.extract.unread import PREFIX as UNREAD
from taximeter.extract.unread import finished
from taximeter.spool.segments import Segment, checksum, list_segments

LIMIT_BYTES: Final = 16 << 20
LIMIT_LINES: Final = 50_000


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive lines of one segment, those of answers that were spooled unread as their events, and the mark behind
    them."""

    segment: str
    lines: list[bytes]
    mark: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What one `read` found: lines without their line breaks, and the new marks of the segments it touched."""

    pieces: Sequence[Piece]

    @property
    def lines(self) -> list[bytes]:
        return [line for piece in self.pieces for line in piece.lines]

    @property
    def marks(self) -> dict[str, int]:
        return {piece.segment: piece.mark for piece in self.pieces}

    def __bool__(self) -> bool:
        return bool(self.pieces)


@dataclass(slots=True)
class _Room:
    """What a batch may still take."""

    bytes: int
    lines: int

    @property
    def used_up(self) -> bool:
        return self.bytes <= 0 or self.lines <= 0


@dataclass(slots=True)
class SpoolReader:
    """Reads the spool in `directory`.

    `torn_lines` counts lines that a crash cut off and lines of damaged segments that are no JSON; they are skipped.
    `damaged` holds the ids of sealed segments whose content has not the checksum of their name.
    """

    directory: Path
    torn_lines: int = 0
    damaged: set[str] = field(default_factory=set)
    _verified: set[str] = field(default_factory=set)
    _last_writer: str = ""

    def read(
        self, marks: Mapping[str, int], *, limit_bytes: int = LIMIT_BYTES, limit_lines: int = LIMIT_LINES
    ) -> Batch:
        """The next lines behind `marks`: each writer's in its order, another writer first each time."""
        room = _Room(limit_bytes, limit_lines)
        pieces: list[Piece] = []
        for segments in self._in_turn():
            pieces += self._read_writer(segments, marks, room)
            if room.used_up:
                break
        return Batch(pieces)

    def _read_writer(self, segments: Sequence[Segment], marks: Mapping[str, int], room: _Room) -> Iterator[Piece]:
        """What one writer has to offer. Its later segments wait until its earlier ones are read to their end."""
        for segment in segments:
            mark = marks.get(segment.id, 0)
            size = _size(segment)
            if size is None or room.used_up:
                return
            if size <= mark:
                continue
            piece = self._read_segment(segment, mark, room)
            if piece is None:
                return
            self._last_writer = segment.writer
            room.bytes -= piece.mark - mark
            room.lines -= len(piece.lines)
            yield piece
            if piece.mark < size:
                return

    def unread_bytes(self, marks: Mapping[str, int]) -> int:
        """How much lies behind `marks`, a line that is being written included."""
        return sum(max(0, size - marks.get(segment.id, 0)) for segment, size in sizes(self.directory))

    def _in_turn(self) -> list[list[Segment]]:
        """The segments of each writer, beginning behind the writer that was read last."""
        segments = list_segments(self.directory)
        self._verified &= {segment.id for segment in segments}
        by_writer = {writer: list(own) for writer, own in groupby(segments, key=lambda s: s.writer)}
        return [by_writer[w] for w in sorted(by_writer, key=lambda writer: (writer <= self._last_writer, writer))]

    def _read_segment(self, segment: Segment, mark: int, room: _Room) -> Piece | None:
        try:
            content = _read_lines(segment.path, mark, room.bytes)
            if not content:
                return None
            if segment.sealed and segment.id not in self._verified:
                self._verify(segment)
        except FileNotFoundError:  # sealed or released a moment ago
            return None
        if not content.endswith(b"\n"):
            return self._last_line(segment, mark, content) if segment.sealed else None
        lines = content[:-1].split(b"\n")
        if len(lines) > room.lines:
            del lines[room.lines :]
            content_bytes = sum(map(len, lines)) + len(lines)
        else:
            content_bytes = len(content)
        if segment.id in self.damaged:
            lines = self._whole(lines)
        return Piece(segment.id, _read_up(lines), mark + content_bytes)

    def _last_line(self, segment: Segment, mark: int, content: bytes) -> Piece:
        """The end of a finished segment without a line break: torn by a crash, unless only the break is missing."""
        return Piece(segment.id, _read_up(self._whole([content])), mark + len(content))

    def _whole(self, lines: Sequence[bytes]) -> list[bytes]:
        whole = [line for line in lines if is_json_object(line)]
        self.torn_lines += len(lines) - len(whole)
        return whole

    def _verify(self, segment: Segment) -> None:
        if checksum(segment.path) != segment.crc32:
            self.damaged.add(segment.id)
        self._verified.add(segment.id)


def _read_up(lines: list[bytes]) -> list[bytes]:
    """The same lines, with the events of those whose answers nobody has read so far."""
    return [finished(line) if line.startswith(UNREAD) else line for line in lines]


def _read_lines(path: Path, mark: int, limit_bytes: int) -> bytes:
    """Whole lines from `mark` on, about `limit_bytes` of them and at least one; without any, what is there."""
    with path.open("rb", buffering=0) as file:
        file.seek(mark)
        content = file.read(limit_bytes) or b""
        end = content.rfind(b"\n") + 1
        while not end and (more := file.read(limit_bytes)):
            end = more.rfind(b"\n") + 1
            end = end and len(content) + end
            content += more
    return content[:end] if end else content


def _size(segment: Segment) -> int | None:
    """In bytes; None when the file was renamed or released a moment ago."""
    try:
        return segment.path.stat().st_size
    except FileNotFoundError:
        return None


def sizes(directory: Path) -> Iterator[tuple[Segment, int]]:
    """Every segment with its size in bytes."""
    for segment in list_segments(directory):
        size = _size(segment)
        if size is not None:
            yield segment, size


def is_json_object(line: bytes) -> bool:
    """Whether `line` is one whole JSON object. A torn one never is: its last brace is missing."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
