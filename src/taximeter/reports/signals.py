"""What detection looks at, asked of the store: calls, tokens and cost by minute and cell."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import numpy as np

from taximeter.anomaly.calendar import SLOT_MINUTES
from taximeter.anomaly.detection import Minute
from taximeter.anomaly.panel import FEATURE, MODEL, USER, Panel, Value
from taximeter.errors import UsageError
from taximeter.store.events import EventStore, Query
from taximeter.store.events.filters import Condition

MINUTE_US: Final = 60_000_000

MEASURES: Final = (
    "calls",
    "refused",
    "cached_calls",
    "retries",
    "input_tokens",
    "cache_read_tokens",
    "output_tokens",
    "cost_usd",
    "cost_output_usd",
)

Key = tuple[str | None, ...]
"""Of a cell, as `Panel.cell` takes it."""

MOST_SPENDERS: Final = 1_000
"""Users that are watched one by one: those with most calls in the last day."""

MANY_ROWS: Final = 20_000
"""Rows of one answer, some kilobytes each; where there were more, shorter times are asked about from then on."""

DAY_US: Final = 86_400_000_000

HISTORY_US: Final = 35 * DAY_US
"""How much of the past detection learns from."""


class Signals:
    """Minutes of calls as detection takes them. Users beyond the busiest are not told apart."""

    def __init__(self, store: EventStore, dimensions: Sequence[str]) -> None:
        self._store, self._dimensions = store, tuple(dimensions)
        self._spenders: Collection[tuple[str, str]] = frozenset()
        self._too_long_us: dict[tuple[str, ...], int] = {}
        """Pieces of this length had too many rows once, by these dimensions, and are not asked for again."""

    def choose_spenders(self, now_us: int) -> None:
        """Who is told apart from now on. Raises StoreError."""
        busiest = self._store.query(
            Query(
                from_us=now_us - DAY_US,
                to_us=now_us,
                measures=("calls",),
                group_by=(FEATURE, USER),
                limit=MOST_SPENDERS,
            )
        )
        told_apart = ((row.get(FEATURE) or "", row.get(USER)) for row in busiest.rows if not row.get("other"))
        self._spenders = frozenset((feature, user) for feature, user in told_apart if user is not None)

    def model_prices(self, now_us: int) -> dict[str, float]:
        """What a token of output cost on each model in the last day, in USD. Raises StoreError."""
        asked = Query(
            from_us=now_us - DAY_US, to_us=now_us, measures=("cost_output_usd", "output_tokens"), group_by=(MODEL,)
        )
        return {
            row[MODEL]: float(row["cost_output_usd"]) / row["output_tokens"]
            for row in self._store.query(asked).rows
            if row[MODEL] and row["cost_output_usd"] and row["output_tokens"]
        }

    def first_minute(self, from_us: int, to_us: int) -> int | None:
        """The first hour of a range that has calls, as a minute; None when none has. Raises StoreError."""
        rows = self._store.query(Query(from_us=from_us, to_us=to_us, measures=("calls",), interval="hour")).rows
        starts = [_minute(row["time"]) for row in rows if row["calls"]]
        return max(from_us // MINUTE_US, min(starts)) if starts else None

    def blocks(self, panel: Panel, first: int, last: int) -> Iterator[list[Minute]]:
        """The minutes from `first` to `last`, also those without calls, slot by slot. Raises StoreError.

        A cell is made with the slot that needs it first: detection of the slots before it knows nothing of it.
        """
        by_minute: dict[int, dict[Key, list[float]]] = {}
        for row in self._rows(first * MINUTE_US, (last + 1) * MINUTE_US):
            values = _values(row)
            if values[0] <= 0:
                continue
            held = by_minute.setdefault(_minute(row["time"]), {}).setdefault(self._key(row), [0.0] * len(values))
            for place, value in enumerate(values):
                held[place] += value
        for slot in slots(first, last):
            yield [_as_minute(panel, minute, by_minute.get(minute, {})) for minute in slot]

    def _rows(self, from_us: int, to_us: int) -> Iterator[dict[str, Any]]:
        """Of users that are not told apart the store makes one row a cell: they are most of all users."""
        asked = Query(from_us=from_us, to_us=to_us, measures=MEASURES, group_by=self._dimensions, interval="minute")
        if USER not in self._dimensions:
            yield from self._in_pieces(asked)
            return
        users = tuple(sorted({user for _, user in self._spenders}))
        together = tuple(name for name in self._dimensions if name != USER)
        others = (Condition(USER, "not", users),) if users else ()
        yield from self._in_pieces(replace(asked, group_by=together, filters=others))
        if users:
            yield from self._in_pieces(replace(asked, filters=(Condition(USER, "in", users),)))

    def _in_pieces(self, query: Query) -> Iterator[dict[str, Any]]:
        """Halves when there are too many rows for one answer; only one piece is in memory at a time."""
        length_us = query.to_us - query.from_us
        if length_us < self._too_long_us.get(query.group_by, HISTORY_US):
            try:
                rows = self._store.query(query).rows
            except UsageError as error:
                if "kept_from" in error.facts or length_us <= MINUTE_US:
                    raise
                self._too_long_us[query.group_by] = length_us
            else:
                if len(rows) > MANY_ROWS and length_us > MINUTE_US:
                    self._too_long_us[query.group_by] = length_us
                yield from rows
                return
        middle = query.from_us + length_us // (2 * MINUTE_US) * MINUTE_US
        yield from self._in_pieces(replace(query, to_us=middle))
        yield from self._in_pieces(replace(query, from_us=middle))

    def _key(self, row: Mapping[str, Any]) -> Key:
        feature = row.get(FEATURE) or ""
        user = row.get(USER)

        def value(name: str) -> str | None:
            if name == FEATURE:
                return feature
            if name == USER:
                return user if (feature, user) in self._spenders else None
            held = row.get(name)
            return (held or "") if name == MODEL else held

        return tuple(value(name) for name in self._dimensions)


def _minute(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) // 60


def _values(row: Mapping[str, Any]) -> tuple[float, ...]:
    """In the order of `panel.Value`. Calls that no provider was asked for do not count."""
    calls = row["calls"] - (row["refused"] or 0) - (row["cached_calls"] or 0)
    cost, output = (float(row[name] or 0) for name in ("cost_usd", "cost_output_usd"))
    return (
        float(calls),
        float(row["retries"] or 0),
        float(row["input_tokens"] or 0),
        float(row["cache_read_tokens"] or 0),
        float(row["output_tokens"] or 0),
        max(0.0, cost - output),
        output,
    )


def _as_minute(panel: Panel, minute: int, cells: Mapping[Key, Sequence[float]]) -> Minute:
    numbers = np.fromiter((panel.cell(key, minute) for key in cells), np.int32, len(cells))
    return Minute(minute, numbers, np.array(list(cells.values()), float).reshape(-1, len(Value)))


def without_calls(minute: int) -> Minute:
    return Minute(minute, np.zeros(0, np.int32), np.zeros((0, len(Value))))


def slots(first: int, last: int) -> Iterator[range]:
    """The minutes from `first` to `last`, those of each slot together."""
    while first <= last:
        ends = min(last + 1, first - first % SLOT_MINUTES + SLOT_MINUTES)
        yield range(first, ends)
        first = ends
