"""The lines of a batch: which can be read, and what each is the event of.

Only the id and the start are read here (by a compiled decoder, 1 µs a line).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec

from taximeter.clock import to_unix_us


class _Head(msgspec.Struct):
    event_id: UUID
    started_at: Annotated[datetime, msgspec.Meta(tz=True)]


_HEAD: Final = msgspec.json.Decoder(_Head)

Lines = dict[int, tuple[bytes, int]]
"""Readable lines by the number of their event id, each with when it began, microseconds since the epoch; the first line
of an id counts."""


def readable_lines(lines: Sequence[bytes]) -> tuple[Lines, list[bytes]]:
    """The readable lines by event id, and those that could not be read."""
    rejected: list[bytes] = []
    try:
        heads = [_HEAD.decode(line) for line in lines]
    except msgspec.MsgspecError:
        rejected = [line for line in lines if not _is_readable(line)]
        lines = [line for line in lines if _is_readable(line)]
        heads = [_HEAD.decode(line) for line in lines]
    # Reversed, so that the first line of an id is the one that stays.
    pairs = zip(reversed(heads), reversed(lines), strict=True)
    return {head.event_id.int: (line, to_unix_us(head.started_at)) for head, line in pairs}, rejected


def _is_readable(line: bytes) -> bool:
    try:
        _HEAD.decode(line)
    except msgspec.MsgspecError:
        return False
    return True


HIGHEST_ID: Final = (1 << 128) - 1
_VERSION_SHIFT: Final = 76


def has_time(event_id: int) -> bool:
    """Whether an id is a UUIDv7, which begins with the moment it was made."""
    return (event_id >> _VERSION_SHIFT) & 0xF == 7
