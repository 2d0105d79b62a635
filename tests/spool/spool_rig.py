"""What the tests of the spool share: a clock that stands still, and a writer in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from taximeter.core.ids import uuid7
from taximeter.spool import SpoolReader, list_segments

START_US = 1_790_000_000_000_000


class StillClock:
    """Moves only when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now_us(self) -> int:
        return START_US + round(self.seconds * 1_000_000)

    def monotonic(self) -> float:
        return 1000.0 + self.seconds


def event_id(number: int) -> str:
    return uuid7(START_US // 1000 + number, number.to_bytes(10, "big"))


def line(number: int, **fields: object) -> bytes:
    event = {"event_id": event_id(number), "started_at": "2026-09-21T14:13:20.000000Z", **fields}
    return json.dumps(event, separators=(",", ":")).encode()


def begin(number: int, **fields: object) -> bytes:
    return line(number, record="begin", source="gateway", provider="openai", **fields)


def progress(number: int, output_tokens: int) -> bytes:
    return json.dumps({"record": "progress", "event_id": event_id(number), "output_tokens": output_tokens}).encode()


def all_lines(directory: Path, marks: Mapping[str, int] | None = None) -> list[bytes]:
    """Everything a reader finds, however many reads that takes."""
    return list(read_all(SpoolReader(directory), dict(marks or {})))


def read_all(reader: SpoolReader, marks: dict[str, int], **limits: int) -> Iterable[bytes]:
    while batch := reader.read(marks, **limits):
        yield from batch.lines
        marks.update(batch.marks)


def ids(lines: Iterable[bytes]) -> list[str]:
    return [json.loads(one)["event_id"] for one in lines]


def until(condition: Callable[[], object]) -> None:
    """Waits for it, a minute at most."""
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


def file_names(directory: Path, ending: str) -> list[str]:
    return sorted(name for name in os.listdir(directory) if name.endswith(ending))


def only_segment(directory: Path) -> Path:
    (segment,) = list_segments(directory)
    return segment.path


def start_process(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Python code in a process of its own, with `sys.argv[1:]` = `arguments` and its output as a pipe."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
