"""From rows to lines of a spool, in batches: read, check as any other event, hand over, add up.

Whatever a row holds, the next one is read. Nothing is handed over that was not checked; what is handed over is on disk
before the next batch is read, so that an import that is killed and repeated continues where it was, by the event ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, islice
from typing import Any, Final, Protocol

import msgspec

from taximeter.core.cost import Cost, Unpriced
from taximeter.core.money import ZERO, add
from taximeter.ingest.imports.registry import LOOKED_AT, recognised
from taximeter.ingest.imports.row import (
    AcrossFiles,
    Draft,
    Format,
    LeftOut,
    Options,
    Outcome,
    Reader,
    Record,
    Row,
    RowError,
    Skipped,
)
from taximeter.ingest.wire import validate_batch

BATCH_EVENTS: Final = 2_000
BATCH_BYTES: Final = 1 << 20
"""A batch has at most so many events, and is not added to beyond so many bytes."""

MOST_REASONS: Final = 100
"""Rows left out that are named by their place; the others are only counted."""

MOST_REMEMBERED: Final = 500_000
"""Events by which one that comes again in the same run is known; of more, the earliest are forgotten."""

_MISREAD: Final = (ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError, RecursionError)
"""What a row of another shape than its format can lead to, however odd."""

_encode: Final = msgspec.json.encode
Lines = Sequence[tuple[str, bytes]]
"""Event ids and lines of a spool."""


class Sink(Protocol):
    """Takes events and returns how many of them are new, once they are on disk. Raises TaximeterError."""

    def take(self, lines: Lines) -> int: ...


PriceRecord = Callable[[Record], Cost | Unpriced]


@dataclass(slots=True)
class Share:
    """What came for one provider and model."""

    events: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = ZERO
    unpriced: int = 0
    reported_cost_usd: Decimal | None = None


@dataclass(slots=True)
class Tally:
    """What came out of some files."""

    files: Counter[str] = field(default_factory=Counter)
    events: int = 0
    new: int = 0
    repeated: int = 0
    """Events that came again: a file beside its copy, a session beside the one that it goes on from."""
    first_at: str | None = None
    last_at: str | None = None
    models: dict[tuple[str, str], Share] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    wrong_at: list[tuple[str, int, str]] = field(default_factory=list)
    """File, place and reason of the first of those."""

    def leave_out(self, file: str, place: int, reason: str, wrong: bool) -> None:
        """`reason` without its particulars is what is counted."""
        (self.wrong if wrong else self.skipped)[reason.partition(": ")[0]] += 1
        if wrong and len(self.wrong_at) < MOST_REASONS:
            self.wrong_at.append((file, place, reason))

    def add(self, record: Record, price: PriceRecord | None) -> None:
        self.events += 1
        at = str(record["started_at"])
        self.first_at = min(self.first_at or at, at)
        self.last_at = max(self.last_at or at, at)
        model = record.get("response_model") or record.get("request_model") or ""
        share = self.models.setdefault((record.get("provider") or "", model), Share())
        share.events += 1
        share.input_tokens += record.get("input_tokens") or 0
        share.output_tokens += record.get("output_tokens") or 0
        reported = record.get("reported_cost_usd")
        if reported is not None:
            share.reported_cost_usd = add(share.reported_cost_usd or ZERO, Decimal(str(reported)))
        cost = price(record) if price else None
        if cost is None:
            return
        if isinstance(cost, Unpriced):
            share.unpriced += 1
        else:
            share.cost_usd = add(share.cost_usd, cost.total)


def outcomes(rows: Iterable[Row | LeftOut], form: Format, options: Options) -> Iterator[Outcome]:
    """What the rows of one file lead to."""
    reader = form.reader(options)
    yield from _read(rows, form, reader)
    yield from reader.finish()


def _read(rows: Iterable[Row | LeftOut], form: Format, reader: Reader) -> Iterator[Outcome]:
    """What they lead to before the end."""
    for row in rows:
        if isinstance(row, LeftOut):
            yield row
            continue
        try:
            yield from reader.read(row)
        except RowError as error:
            yield LeftOut(row.place, str(error), wrong=not isinstance(error, Skipped))
        except _MISREAD as error:
            yield LeftOut(row.place, f"the row has another shape than a {form.title}: {error!r}"[:500])


def told(rows: Iterator[Row | LeftOut]) -> tuple[Format | None, Iterator[Row | LeftOut]]:
    """The format of a file by its first rows, and all of its rows."""
    beginning = list(islice(rows, LOOKED_AT))
    found = recognised(row.values for row in beginning if isinstance(row, Row))
    return found, chain(beginning, rows)


class Import:
    """Takes files in, one after the other; then it has to be finished. `sink` None only looks: a dry run; without
    `price` it says no cost."""

    def __init__(self, sink: Sink | None, price: PriceRecord | None, options: Options) -> None:
        self._sink = sink
        self._price = price
        self._options = options
        self._batch: list[tuple[int, bytes]] = []
        self._batch_bytes = 0
        self._came: dict[int, None] = {}
        self._waiting: dict[str, tuple[Reader, str]] = {}
        self.tally = Tally()

    def take(self, file: str, rows: Iterable[Row | LeftOut], form: Format, passed: Callable[[], None]) -> None:
        """Take in one file. `passed` is called after each row. Raises what the sink raises."""
        self.tally.files[form.name] += 1
        reader, _ = self._waiting.pop(form.name, (None, file))
        reader = reader or form.reader(self._options)
        for outcome in _read(rows, form, reader):
            self._come(file, outcome)
            passed()
        if isinstance(form, AcrossFiles):
            self._waiting[form.name] = reader, file
            self._hand_over(file)
        else:
            self._finish(file, reader)

    def finish(self) -> None:
        """Take in what waited for the last file, and is told with the last of its format. Raises what the sink
        raises."""
        while self._waiting:
            _, (reader, file) = self._waiting.popitem()
            self._finish(file, reader)

    def _finish(self, file: str, reader: Reader) -> None:
        for outcome in reader.finish():
            self._come(file, outcome)
        self._hand_over(file)

    def _come(self, file: str, outcome: Outcome) -> None:
        if isinstance(outcome, Draft):
            self._put(file, outcome)
        else:
            self.tally.leave_out(file, *outcome)

    def _put(self, file: str, draft: Draft) -> None:
        line = _encode(draft.record)
        self._batch.append((draft.place, line))
        self._batch_bytes += len(line)
        if len(self._batch) >= BATCH_EVENTS or self._batch_bytes >= BATCH_BYTES:
            self._hand_over(file)

    def _hand_over(self, file: str) -> None:
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if not batch:
            return
        checked = validate_batch(b"\n".join(line for _, line in batch), "application/x-ndjson", self._options.now_us)
        for rejection in checked.rejected:
            place, _ = batch[rejection["index"]]
            self.tally.leave_out(file, place, f"{rejection['code']}: {rejection['message']}", wrong=True)
        lines = [(event_id, line) for event_id, line in checked.accepted_lines if self._is_first(event_id)]
        for _, line in lines:
            self.tally.add(_decode(line), self._price)
        if self._sink is not None and lines:
            self.tally.new += self._sink.take(lines)

    def _is_first(self, event_id: str) -> bool:
        """Whether this event has not come before in this run; one that has is counted, and goes no further."""
        known_by = hash(event_id)
        if known_by in self._came:
            self.tally.repeated += 1
            return False
        self._came[known_by] = None
        if len(self._came) > MOST_REMEMBERED:
            del self._came[next(iter(self._came))]
        return True


def _decode(line: bytes) -> Mapping[str, Any]:
    record: dict[str, Any] = msgspec.json.decode(line)
    return record
