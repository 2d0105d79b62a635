"""The store of events: the page's overview and the named questions over a long history, with and without roll-ups.

    python -m bench store [--store-events 1000000] [--store-days 30] [--store-file FILE]
        [--store-others ClickHouse PostgreSQL]

A history is made inside DuckDB (see `histories`), its roll-ups are added up, and every question is asked several times:
first with nothing of the file in memory, then warm. Beside it stands plain DuckDB on the same events: the same
statements without roll-ups. `--store-file` takes a history that is there already, and leaves it there.
`--store-others` asks the same of the ClickHouse engine and of PostgreSQL, on the same events (see `store_others`), and
compares what they answer.
"""

from __future__ import annotations

import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.figures import Promise, Result, Row
from bench.histories import fill, history_of
from bench.store_others import MissingEngineError, Other, clickhouse_engine, postgres
from taximeter.reports.questions import QUESTIONS, Asked, answer_question
from taximeter.store.events import DuckDBEvents, parse_query

WARM_MS, COLD_MS, START_SECONDS = 300.0, 1500.0, 3.0
EVENT_BYTES, RESIDENT_MB = 85.0, 1024.0
TIMES: Final = 7
ONE_USER: Final = {"filters": {"user_id": "user_7"}}

_TABLE: Final = ["cost_usd", "calls", "total_tokens", "unpriced_calls"]
OVERVIEW: Final[Mapping[str, Mapping[str, Any]]] = {
    "page: tiles": {"measures": ["cost_usd", "calls", "total_tokens"]},
    "page: chart by day, in Berlin": {
        "measures": ["cost_usd", "calls"],
        "group_by": ["model"],
        "interval": "day",
        "timezone": "Europe/Berlin",
        "limit": 8,
    },
    "page: top users": {"measures": _TABLE, "group_by": ["user_id"], "limit": 10},
    "page: top features": {"measures": _TABLE, "group_by": ["feature"], "limit": 10},
    "page: top models": {"measures": _TABLE, "group_by": ["model"], "limit": 10},
}

Ask = Callable[[Asked], Mapping[str, Any]]
"""A question; its answer as JSON."""

OTHERS: Final = {"ClickHouse": clickhouse_engine, "PostgreSQL": postgres}
TIMES_OF_OTHERS: Final = 3


@dataclass(frozen=True)
class Timed:
    """Wall times of one question in ms: the first, and the rest sorted; the median of their CPU times; the answer."""

    first_ms: float
    warm_ms: list[float]
    cpu_ms: float
    answer: Mapping[str, Any]

    @property
    def p95_ms(self) -> float:
        return self.warm_ms[-1]

    @property
    def median_ms(self) -> float:
        return statistics.median(self.warm_ms)


@dataclass(frozen=True)
class Measured:
    """Questions by name: how long ours takes, and events alone; and the rest of the figures."""

    asks: Mapping[str, Ask]
    ours: Mapping[str, Timed]
    alone: Mapping[str, Timed]
    events: int
    bytes_an_event: float
    start_seconds: float
    resident_mb: float
    notes: Sequence[str]


def result(events: int, days: int, file: Path | None, *, others: Sequence[str] = ()) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        made = file or Path(folder) / "events.duckdb"
        if file is None:
            fill(made, history_of(events, days))
        measured = _measured(made)
        beside = [_beside(name, made, Path(folder), measured) for name in others]
    rows = {name: _row(measured.ours[name], measured.alone[name]) for name in measured.asks}
    rows = {name: {**row, **{f"{one.name}, ms": one.warm_ms.get(name) for one in beside}} for name, row in rows.items()}
    notes = [*measured.notes, *(one.note for one in beside)]
    return Result("store", f"Store: {measured.events:,} events", rows, [*_promises(measured), *_same(beside)], notes)


def _measured(file: Path) -> Measured:
    store = DuckDBEvents(file)
    began, cpu = time.perf_counter(), time.process_time()
    now_us, count = _end_and_count(store)
    units = store.roll_up(now_us)
    notes = [f"{units} units of roll-ups added up in {time.perf_counter() - began:.1f} s"]
    notes.append(f"{time.process_time() - cpu:.1f} s of CPU for that")
    store.close()
    bytes_an_event = file.stat().st_size / count
    asks = _asks(now_us)
    forget_pages(file)
    began = time.perf_counter()
    store = DuckDBEvents(file)
    asks["page: tiles"](store)
    start_seconds = time.perf_counter() - began
    ours = {name: timed(file, store, ask) for name, ask in asks.items()}
    store.close()
    plain = DuckDBEvents(file, use_rollups=False)
    alone = {name: timed(file, plain, ask) for name, ask in asks.items()}
    plain.close()
    resident_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Measured(asks, ours, alone, count, bytes_an_event, start_seconds, resident_mb, notes)


def _promises(measured: Measured) -> list[Promise]:
    ours = measured.ours.values()
    return [
        Promise("slowest question, warm, p95", max(one.p95_ms for one in ours), WARM_MS, "ms"),
        Promise("slowest question, cold", max(one.first_ms for one in ours), COLD_MS, "ms"),
        Promise("start until the first answer", measured.start_seconds, START_SECONDS, "s"),
        Promise("disk, roll-ups included", measured.bytes_an_event, EVENT_BYTES, "bytes an event"),
        Promise("resident memory", measured.resident_mb, RESIDENT_MB, "MB"),
    ]


@dataclass(frozen=True)
class Beside:
    """What another engine took, warm, in ms, and which questions it answered differently."""

    name: str
    note: str
    warm_ms: Mapping[str, float]
    differing: Sequence[str] = ()


def _beside(name: str, file: Path, folder: Path, measured: Measured) -> Beside:
    warm_ms, differing = {}, []
    try:
        with OTHERS[name](file, folder) as other:
            for question, ask in measured.asks.items():
                if ask(other) != measured.ours[question].answer:
                    differing.append(question)
                warm_ms[question] = statistics.median(_wall_ms(ask, other) for _ in range(TIMES_OF_OTHERS))
            size = other.bytes_on_disk / measured.events
    except MissingEngineError as error:
        return Beside(name, str(error), {})
    return Beside(name, f"{name}: {size:.1f} bytes an event, without roll-ups", warm_ms, differing)


def _wall_ms(ask: Ask, other: Other) -> float:
    began = time.perf_counter()
    ask(other)
    return (time.perf_counter() - began) * 1000


def _same(beside: Sequence[Beside]) -> list[Promise]:
    """That all engines answer alike, to the last digit."""
    return [
        Promise(f"questions that {one.name} answers differently", float(len(one.differing)), 0.0, "questions")
        for one in beside
        if one.warm_ms
    ]


def _end_and_count(store: DuckDBEvents) -> tuple[int, int]:
    """The moment after the last event, and how many there are."""
    with store.reading(None) as cursor:
        found = cursor.execute("SELECT epoch_us(max(started_at)), count(*) FROM events").fetchone()
    assert found is not None
    return int(found[0]) + 1, int(found[1])


def _asks(now_us: int) -> dict[str, Ask]:
    page: dict[str, Ask] = {
        name: lambda store, body=body: store.query(parse_query({"from": "30d", **body}, now_us)).as_dict()  # type: ignore[misc]
        for name, body in OVERVIEW.items()
    }
    named: dict[str, Ask] = {
        question.name: lambda store, question=question: answer_question(  # type: ignore[misc]
            question.name, ONE_USER if question.needs else {}, store, now_us
        )
        for question in QUESTIONS
    }
    return {**page, **named}


def timed(file: Path, store: DuckDBEvents, ask: Ask) -> Timed:
    forget_pages(file)
    walls, cpus = [], []
    for _ in range(TIMES):
        wall, cpu = time.perf_counter(), time.process_time()
        answer = ask(store)
        walls.append((time.perf_counter() - wall) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    return Timed(walls[0], sorted(walls[1:]), statistics.median(cpus[1:]), answer)


def forget_pages(file: Path) -> None:
    """The system's memory of the file goes; what the engine itself keeps in memory stays."""
    descriptor = os.open(file, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def _row(ours: Timed, alone: Timed) -> Row:
    return {
        "first ms": ours.first_ms,
        "warm ms": ours.median_ms,
        "warm p95 ms": ours.p95_ms,
        "CPU ms": ours.cpu_ms,
        "events alone, ms": alone.median_ms,
        "events alone, CPU ms": alone.cpu_ms,
        "x less CPU": alone.cpu_ms / ours.cpu_ms,
    }
