"""The lines of a batch: which can be read, and what each is the event or outcome of.

Only the id and the start are read here (by a compiled decoder, 1 µs a line).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec

from taximeter.clock import to_unix_us
from taximeter.core.outcome import is_outcome


class _Head(msgspec.Struct):
    event_id: UUID
    started_at: Annotated[datetime, msgspec.Meta(tz=True)]


class _OutcomeHead(msgspec.Struct, rename={"event_id": "outcome_id", "started_at": "occurred_at"}):
    event_id: UUID
    started_at: Annotated[datetime, msgspec.Meta(tz=True)]
    name: Annotated[str, msgspec.Meta(min_length=1)]


Head = msgspec.json.Decoder[Any]
"""Reads what has to be in a line."""

EVENT: Final[Head] = msgspec.json.Decoder(_Head)
OUTCOME: Final[Head] = msgspec.json.Decoder(_OutcomeHead)

Lines = dict[int, tuple[bytes, int]]
"""Readable lines by the number of their id, each with its moment (when an event began), microseconds since the epoch;
the first line of an id counts."""


def parted(lines: Sequence[bytes]) -> tuple[Sequence[bytes], list[bytes]]:
    """The lines of events, and those of outcomes."""
    outcomes = [line for line in lines if is_outcome(line)]
    return [line for line in lines if not is_outcome(line)] if outcomes else lines, outcomes


def readable_lines(lines: Sequence[bytes], head: Head = EVENT) -> tuple[Lines, list[bytes]]:
    """The readable lines by id, and those that could not be read."""
    rejected: list[bytes] = []
    try:
        heads = [head.decode(line) for line in lines]
    except msgspec.MsgspecError:
        rejected = [line for line in lines if not _is_readable(line, head)]
        lines = [line for line in lines if _is_readable(line, head)]
        heads = [head.decode(line) for line in lines]
    # Reversed, so that the first line of an id is the one that stays.
    pairs = zip(reversed(heads), reversed(lines), strict=True)
    return {one.event_id.int: (line, to_unix_us(one.started_at)) for one, line in pairs}, rejected


def _is_readable(line: bytes, head: Head) -> bool:
    try:
        head.decode(line)
    except msgspec.MsgspecError:
        return False
    return True


HIGHEST_ID: Final = (1 << 128) - 1
_VERSION_SHIFT: Final = 76


def has_time(event_id: int) -> bool:
    """Whether an id is a UUIDv7, which begins with the moment it was made."""
    return (event_id >> _VERSION_SHIFT) & 0xF == 7
