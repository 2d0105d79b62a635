"""A store with two days and ten hours of calls of one feature, and detection beside it."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from taximeter.clock import rfc3339
from taximeter.compose.detecting import Detecting
from taximeter.config.anomalies import AnomalySettings
from taximeter.core.ids import EventIds, uuid7
from taximeter.store.events import DuckDBEvents
from taximeter.store.metadata import Metadata

MINUTE_US: Final = 60_000_000
DAY: Final = 1440
FIRST: Final = 29_800_000 - 29_800_000 % DAY
NOW: Final = FIRST + 2 * DAY + 600
"""Two days and ten hours of history."""

CALLS_A_MINUTE: Final = 4


class Clock:
    def __init__(self, minute: float) -> None:
        self.minute = minute

    def now_us(self) -> int:
        return int(self.minute * MINUTE_US)

    def monotonic(self) -> float:
        return self.minute * 60


class History:
    """A store that calls are put into, minute by minute."""

    def __init__(self, folder: Path, seed: int = 7) -> None:
        folder.mkdir(exist_ok=True)
        self.store = DuckDBEvents(folder / "events.duckdb", query_timeout_seconds=600)
        self.metadata = Metadata(folder / "metadata.sqlite")
        self._random = random.Random(seed)

    def calls(self, first: int, last: int, factor: float = 1.0, **fields: Any) -> None:
        """Calls of the minutes from `first` to before `last`, `factor` times as many as usual."""
        lines = []
        for minute in range(first, last):
            number = round(self._random.gauss(CALLS_A_MINUTE * factor, 1.2 * factor**0.5))
            lines += [self._line(minute, fields) for _ in range(max(number, 0))]
        self.store.append(lines, {})

    def _line(self, minute: int, fields: Mapping[str, Any]) -> bytes:
        at_us = minute * MINUTE_US + self._random.randrange(MINUTE_US)
        event = {
            "event_id": uuid7(at_us // 1000, self._random.randbytes(10)),
            "started_at": rfc3339(at_us),
            "ingested_at": rfc3339(at_us),
            "provider": "openai",
            "request_model": "gpt-4o-mini",
            "feature": "chat",
            "user_id": f"u{self._random.randrange(3)}",
            "status": "ok",
            "input_tokens": 1000,
            "output_tokens": 200,
            "cost_usd": "0.010000000000",
            "cost": {"input": "0.004", "output": "0.006"},
            **fields,
        }
        return json.dumps(event).encode()

    def detecting(
        self, clock: Clock, settings: AnomalySettings | None = None, *, store: Any = None, **more: Any
    ) -> Detecting:
        ids = EventIds(lambda size: self._random.randbytes(size))
        asked, settings = store or self.store, settings or AnomalySettings()
        return Detecting(asked, self.metadata.findings, settings, clock, ids, **more)

    def close(self) -> None:
        self.store.close()
        self.metadata.close()
