"""Segments: the files of a spool, their names, and how one is finished.

    <writer>-<number>.ndjson                     being written
    <writer>-<number>.<crc32>.sealed.ndjson      finished; its content has this checksum and never changes again

The *id* of a segment, `<writer>-<number>`, stays the same when it is sealed; marks (how far somebody has read)
are kept by id.
"""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600
READ_BYTES: Final = 1 << 20
"""Bytes read at once where a whole segment is gone through."""

_NAME: Final = re.compile(
    r"(?P<writer>[A-Za-z0-9_.-]+)-(?P<number>\d{6,})(?:\.(?P<crc32>[0-9a-f]{8})\.sealed)?\.ndjson"
)


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a spool. `crc32` is the checksum in the name of a sealed one, else None."""

    directory: Path
    writer: str
    number: int
    crc32: int | None = None

    @property
    def id(self) -> str:
        return f"{self.writer}-{self.number:06d}"

    @property
    def sealed(self) -> bool:
        return self.crc32 is not None

    @property
    def path(self) -> Path:
        ending = ".ndjson" if self.crc32 is None else f".{self.crc32:08x}.sealed.ndjson"
        return self.directory / (self.id + ending)


def parse_segment(directory: Path, name: str) -> Segment | None:
    """The segment a file name stands for, or None for any other file."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    crc32 = found["crc32"]
    return Segment(directory, found["writer"], int(found["number"]), None if crc32 is None else int(crc32, 16))


def is_segment_id(name: str) -> bool:
    """Whether `name` can be the id of a segment."""
    return _NAME.fullmatch(name + ".ndjson") is not None


def list_segments(directory: Path) -> list[Segment]:
    """All segments in `directory`, by writer and number; empty when there is no such directory.

    A segment that is being sealed at this moment may be seen under both names; only the sealed one is given.
    """
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    by_id: dict[str, Segment] = {}
    for name in names:
        segment = parse_segment(directory, name)
        if segment is not None and (segment.sealed or segment.id not in by_id):
            by_id[segment.id] = segment
    return sorted(by_id.values(), key=lambda s: (s.writer, s.number))


def make_directory(directory: Path) -> None:
    """Create `directory` for its owner only. Raises OSError."""
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)


def checksum(path: Path) -> int:
    """CRC-32 of the content of a file. Raises OSError."""
    crc32 = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(READ_BYTES):
            crc32 = zlib.crc32(chunk, crc32)
    return crc32


def seal(segment: Segment) -> Segment:
    """Finish a segment nobody writes to any more. Raises OSError; may be repeated after a crash at any step.

    1. fsync the content: a sealed name promises that the content is on disk.
    2. rename to the sealed name. A crash before it leaves an unsealed segment, which the next adopter seals.
    3. fsync the directory. A crash before it may undo the rename, which is the same as a crash before 2.
    """
    with segment.path.open("rb", buffering=0) as file:
        os.fsync(file.fileno())
    finished = Segment(segment.directory, segment.writer, segment.number, checksum(segment.path))
    segment.path.rename(finished.path)
    sync_directory(segment.directory)
    return finished


def sync_directory(directory: Path) -> None:
    """Make names created, renamed or removed in `directory` survive power loss. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
