"""The provider's own books: one row for each answer it would bill, kept apart from whoever meters it."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from taximeter.core.usage import Usage

MOST_ROWS: Final = 200_000
"""Rows kept in memory for `GET /_simulator/ledger`; the file has all of them."""

SYNC_SECONDS: Final = 0.5
"""A row is in the file before its answer ends, and on the disk this much later."""

COUNTED: Final = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)

Outcome = Literal["complete", "cut", "hung_up", "spoiled"]
"""Whole; ended early by the provider; the caller had left; generated, but sent as something unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One billed answer. `response_id` is in the body where the protocol has one, `request_id` in the headers."""

    request_id: str
    response_id: str | None
    provider: str
    operation: str
    model: str
    usage: Usage
    outcome: Outcome
    at: str
    tag: str | None = None
    service_tier: str | None = None

    def as_dict(self) -> dict[str, Any]:
        row: dict[str, Any] = {
            "call_id": self.response_id or self.request_id,
            "request_id": self.request_id,
            "provider": self.provider,
            "operation": self.operation,
            "model": self.model,
            "outcome": self.outcome,
            "at": self.at,
            "tag": self.tag,
            "service_tier": self.service_tier,
        }
        for name in COUNTED:
            row[name] = getattr(self.usage, name) or 0
        return row | ({"units": dict(self.usage.units)} if self.usage.units else {})


class BillingLedger:
    """Appends rows to a file (when given one) and keeps the latest in memory with totals over all of them."""

    def __init__(self, file: Path | None = None) -> None:
        self._rows: deque[dict[str, Any]] = deque(maxlen=MOST_ROWS)
        self._totals: dict[str, int] = {"calls": 0, **dict.fromkeys(COUNTED, 0)}
        self._descriptor = None if file is None else os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._unsynced = False

    def add(self, row: Row) -> None:
        """Book an answer. When this returns, a kill of this process does not lose the row."""
        entry = row.as_dict()
        if self._descriptor is not None:
            os.write(self._descriptor, msgspec.json.encode(entry) + b"\n")
            self._unsynced = True
        self._rows.append(entry)
        self._totals["calls"] += 1
        for name in COUNTED:
            self._totals[name] += entry[name]

    def sync(self) -> None:
        """Bring the file to the disk; called every `SYNC_SECONDS` and at the end."""
        if self._descriptor is not None and self._unsynced:
            os.fsync(self._descriptor)
            self._unsynced = False

    def close(self) -> None:
        self.sync()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def report(self, tag: str | None = None) -> bytes:
        """JSON: `totals` over everything, `rows` (only those of `tag`, when given), `rows_left_out`."""
        rows = [row for row in self._rows if tag is None or row["tag"] == tag]
        left_out = self._totals["calls"] - len(self._rows)
        return msgspec.json.encode({"totals": self._totals, "rows": rows, "rows_left_out": left_out})
