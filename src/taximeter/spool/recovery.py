"""What dead writers left behind: their segments are finished, and their calls answered for.

A call is begun by a line with `"record": "begin"` and ended by an event of the same id. A begin without an end, in a
process that died, becomes an event `interrupted` with estimated usage. It has the id of the call: should the real
event turn up after all, it is the same event, and counts once.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from taximeter.core.event import FIELD_NAMES
from taximeter.extract import unread
from taximeter.spool.liveness import LOCK_ENDING, lock_path, try_hold
from taximeter.spool.reader import is_json_object
from taximeter.spool.segments import FILE_MODE, Segment, list_segments, seal, sync_directory

RECORD_KEY: Final = b'"record"'
"""Whatever has this in it is looked at closely; plain events, which are nearly all lines, have not."""

_EVENT_ID: Final = re.compile(rb'"event_id"\s*:\s*"([^"]+)"')


@dataclass(slots=True)
class Adopted:
    """What `adopt` did. `unreadable_begins` are begin records without an id or a start."""

    writers: int = 0
    sealed_segments: int = 0
    interrupted_calls: int = 0
    unreadable_begins: int = 0


@dataclass(slots=True)
class OpenCalls:
    """Calls begun and not ended, and the segments that hold their begins: those must be kept."""

    _segment_of: dict[str, str] = field(default_factory=dict)
    _count: Counter[str] = field(default_factory=Counter)

    def begun(self, event_id: str, segment: str) -> None:
        if event_id not in self._segment_of:
            self._segment_of[event_id] = segment
            self._count[segment] += 1

    def ended(self, event_id: str) -> None:
        segment = self._segment_of.pop(event_id, None)
        if segment is not None:
            self._count[segment] -= 1
            if not self._count[segment]:
                del self._count[segment]

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._segment_of

    def in_segment(self, segment: str) -> bool:
        return segment in self._count

    def __len__(self) -> int:
        return len(self._segment_of)

    def __bool__(self) -> bool:
        return bool(self._segment_of)


def open_calls(directory: Path, marks: Mapping[str, int]) -> OpenCalls:
    """The calls that are open at `marks`, for a reader that starts where another one stopped.

    Only living writers are gone through: the begins of adopted ones have all ended.
    """
    calls = OpenCalls()
    for segment in list_segments(directory):
        if segment.id in marks and lock_path(directory, segment.writer).exists():
            for line in _lines(segment, marks[segment.id]):
                follow(line, segment.id, calls)
    return calls


def follow(line: bytes, segment: str, calls: OpenCalls) -> None:
    """Note the call that a line of `segment` begins or ends."""
    if RECORD_KEY in line:
        record = _parsed(line)
        if record.get("record") == "begin" and isinstance(record.get("event_id"), str):
            calls.begun(record["event_id"], segment)
            return
        if "record" in record:
            return
    if calls and (ended := _event_id(line)) in calls and is_json_object(line):
        calls.ended(ended)


def adopt(directory: Path) -> Adopted:
    """Finish what dead writers left in `directory`. Safe to call at any time, from several processes at once.

    Raises OSError when the directory cannot be read or written; repeating it later is safe.
    """
    done = Adopted()
    for writer, segments in _abandoned(directory).items():
        fd = try_hold(lock_path(directory, writer))
        if fd is None:
            continue  # it lives, or another process is adopting it
        try:
            _adopt_writer(directory, writer, segments, done)
        finally:
            os.close(fd)
    return done


def _abandoned(directory: Path) -> dict[str, list[Segment]]:
    """The segments of every writer that may need adoption: it has a lock file, or an open segment."""
    by_writer: dict[str, list[Segment]] = {}
    for segment in list_segments(directory):
        by_writer.setdefault(segment.writer, []).append(segment)
    locked = {name.removesuffix(LOCK_ENDING) for name in _names(directory) if name.endswith(LOCK_ENDING)}
    candidates = locked | {w for w, segments in by_writer.items() if not all(s.sealed for s in segments)}
    return {writer: by_writer.get(writer, []) for writer in sorted(candidates) if writer not in NOT_WRITERS}


NOT_WRITERS: Final = ("sender",)
"""Lock files in a spool directory that are not a writer's."""


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _adopt_writer(directory: Path, writer: str, segments: list[Segment], done: Adopted) -> None:
    """Adopt one dead writer, whose lock is held.

    1. Seal its open segments: from now on nothing of it changes.
    2. Write the events of interrupted calls as one more segment, which appears whole or not at all.
    3. Remove the lock file, which says that all is done. A crash before it repeats 1 and 2, and finds that nothing
       is left to do there.
    """
    sealed = [segment if segment.sealed else seal(segment) for segment in segments]
    interrupted, unreadable = _interrupted_calls(sealed)
    if interrupted:
        number = max(segment.number for segment in sealed) + 1
        _write_segment(Segment(directory, writer, number), interrupted)
    lock_path(directory, writer).unlink(missing_ok=True)
    done.writers += 1
    done.sealed_segments += sum(not segment.sealed for segment in segments)
    done.interrupted_calls += len(interrupted)
    done.unreadable_begins += unreadable


def _interrupted_calls(segments: Iterable[Segment]) -> tuple[list[bytes], int]:
    """An event line for every call that never ended, and how many begins could not be understood."""
    begun: dict[str, dict[str, Any]] = {}
    output_tokens: dict[str, int] = {}
    for segment in segments:
        for line in _lines(segment):
            record = _parsed(line) if RECORD_KEY in line else {}
            match record.get("record"):
                case "begin":
                    begun[str(record.get("event_id"))] = record
                case "progress":
                    output_tokens[str(record.get("event_id"))] = record.get("output_tokens", 0)
                case _ if begun and (ended := _event_id(line)) in begun and is_json_object(line):
                    del begun[ended]  # a torn event has ended nothing
    usable = {key: begin for key, begin in begun.items() if "event_id" in begin and "started_at" in begin}
    events = [interrupted_event(begin, output_tokens.get(key)) for key, begin in usable.items()]
    lines = [json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() for event in events]
    return lines, len(begun) - len(usable)


def interrupted_event(begin: Mapping[str, Any], streamed_tokens: int | None) -> dict[str, Any]:
    """The event of a call whose process died: input as estimated at its begin, output as far as it had streamed,
    otherwise as much as such calls usually have. Of one that goes on and is told when it is fetched (`told_later`),
    nothing."""
    event = {name: begin[name] for name in FIELD_NAMES if begin.get(name) is not None}
    if begin.get("told_later"):
        event.pop("input_tokens", None)
        return {**event, "status": "interrupted", "not_billed": True}
    expected = streamed_tokens if streamed_tokens is not None else begin.get("expected_output_tokens")
    if expected is not None:
        event["output_tokens"] = round(expected)
    return {**event, "status": "interrupted", "usage_estimated": True}


def _lines(segment: Segment, end: int | None = None) -> Iterable[bytes]:
    """The lines of a segment up to byte `end`; a torn last one is given too, and is no JSON."""
    content = segment.path.read_bytes()[:end]
    return content.split(b"\n") if content else ()


def _event_id(line: bytes) -> str:
    """The event id in a line, found without reading it all; empty when there is none."""
    if line.startswith(unread.PREFIX):
        return unread.event_id(line)
    found = _EVENT_ID.search(line)
    return found[1].decode("utf-8", "replace") if found else ""


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _write_segment(segment: Segment, lines: Iterable[bytes]) -> None:
    unfinished = segment.directory / f".{segment.id}.unfinished"
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with open(fd, "wb") as file:
        file.write(b"\n".join(lines) + b"\n")
        file.flush()
        os.fsync(fd)
    unfinished.rename(segment.path)
    seal(segment)
    sync_directory(segment.directory)
