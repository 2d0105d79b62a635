"""Calls for the tests of exports: a store, records with exact amounts, a clock that is moved by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from taximeter.clock import rfc3339
from taximeter.core.ids import uuid7
from taximeter.exporters.days import DAY_US
from taximeter.store.events import DuckDBEvents
from taximeter.store.metadata import Metadata

START_US = 1_795_000_000_000_000 // DAY_US * DAY_US
MINUTE_US = 60_000_000


@dataclass
class HandClock:
    """Time that passes when it is told to."""

    at_us: int = START_US

    def now_us(self) -> int:
        return self.at_us

    def monotonic(self) -> float:
        return self.at_us / 1_000_000


def record(at_us: int, number: int, **given: Any) -> dict[str, Any]:
    """A stored record; `number` makes its id."""
    return {
        "event_id": uuid7(at_us // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(at_us),
        "source": "api",
        "provider": "openai",
        "request_model": "gpt-4o",
        "operation": "chat",
        "status": "ok",
        "duration_ms": 500.0,
        "input_tokens": 1000,
        "output_tokens": 500,
        "cost_usd": "0.0125",
        "feature": "chat",
        "team": "core",
        "environment": "prod",
        "user_id": "ann",
        **given,
    }


@dataclass
class World:
    """A store of events and the metadata beside it, which outlive whoever reads them."""

    folder: Path
    store: DuckDBEvents
    metadata: Metadata
    clock: HandClock = field(default_factory=HandClock)
    numbers: int = 0

    def call(self, **given: Any) -> str:
        """One call, now unless `at_us` says otherwise; its id."""
        self.numbers += 1
        came = {"ingested_at": rfc3339(self.clock.at_us), **given}
        told = record(came.pop("at_us", self.clock.at_us), self.numbers, **came)
        self.store.append([json.dumps(told).encode()], {})
        return str(told["event_id"])

    def traffic(self, chance: Random, calls: int, **given: Any) -> None:
        """Calls of several features, models and users, of the last days, with odd amounts; in one batch."""
        lines = []
        for _ in range(calls):
            self.numbers += 1
            priced = chance.random() > 0.05
            told = record(
                self.clock.at_us - chance.randrange(3 * DAY_US),
                self.numbers,
                ingested_at=rfc3339(self.clock.at_us),
                feature=chance.choice(("chat", "search", "summary", None)),
                request_model=chance.choice(("gpt-4o", "gpt-4o-mini", "o3")),
                user_id=f"user-{chance.randrange(20)}",
                input_tokens=chance.randrange(5000),
                output_tokens=chance.randrange(2000),
                cost_usd=f"0.{chance.randrange(10**12):012d}" if priced else None,
                unpriced_reason=None if priced else "unknown_model",
                attempt=chance.choice((1, 1, 1, 2)),
                status=chance.choice(("ok", "ok", "ok", "error")),
                **given,
            )
            lines.append(json.dumps(told).encode())
        self.store.append(lines, {})


@contextmanager
def world(folder: Path) -> Iterator[World]:
    store = DuckDBEvents(folder / "events.duckdb")
    metadata = Metadata(folder / "metadata.sqlite")
    yield World(folder, store, metadata)
    metadata.close()
    store.close()
