"""What the tests of ingest share: a clock that stands still, a store in memory, a price list of two lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from taximeter.clock import rfc3339
from taximeter.core.cost import Cost, Unpriced
from taximeter.core.ids import uuid7
from taximeter.errors import StoreError
from taximeter.pricing import Priceable

NOW_US = 1_790_000_000_000_000


class StillClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now_us(self) -> int:
        return NOW_US + round(self.seconds * 1_000_000)

    def monotonic(self) -> float:
        return self.seconds


def event_id(number: int) -> str:
    return uuid7(NOW_US // 1000 + number, number.to_bytes(10, "big"))


def event(number: int = 1, **fields: Any) -> dict[str, Any]:
    return {"event_id": event_id(number), "started_at": rfc3339(NOW_US), **fields}


def as_line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Appended:
    inserted: int
    duplicates: int
    rejected: tuple[bytes, ...] = ()
    outcomes: int = 0


@dataclass
class MemoryStore:
    """Obeys the contract of a store: lines and marks together or not at all, each event id once."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: dict[str, bytes] = field(default_factory=dict)
    kept_marks: dict[str, int] = field(default_factory=dict)
    fails: int = 0
    fails_after_commit: int = 0
    lookups: list[list[str]] = field(default_factory=list)

    def append(self, lines: Sequence[bytes], marks: Mapping[str, int]) -> Appended:
        if self.fails:
            self.fails -= 1
            raise StoreError("the disk is full")
        records = [json.loads(line) for line in lines]
        fresh = 0
        for record, line in zip(records, lines, strict=True):
            if record["event_id"] not in self.records:
                fresh += 1
                self.records[record["event_id"]] = record
                self.lines[record["event_id"]] = line
        self.kept_marks.update(marks)
        if self.fails_after_commit:
            self.fails_after_commit -= 1
            raise StoreError("killed before it could answer")
        return Appended(fresh, len(lines) - fresh)

    def marks(self) -> dict[str, int]:
        return dict(self.kept_marks)

    def forget_marks(self, names: Iterable[str]) -> None:
        for name in names:
            self.kept_marks.pop(name, None)

    def known_ids(self, ids: Iterable[str]) -> set[str]:
        wanted = list(ids)
        self.lookups.append(wanted)
        return {one for one in wanted if one in self.records}


class TwoPrices:
    """A micro-dollar per input token of `cheap`; nothing else has a price."""

    version = "test-1"

    def price(self, call: Priceable, /) -> Cost | Unpriced:
        if call.model != "cheap":
            return Unpriced("unknown_model", self.version)
        zero = Decimal(0)
        amount = Decimal(call.usage.input_tokens or 0) / 1_000_000
        half, saved = Decimal("0.50"), Decimal("0.25")
        return Cost(amount, zero, zero, half, zero, self.version, 'rule "one"', saved, cache_write_surcharge=None)
