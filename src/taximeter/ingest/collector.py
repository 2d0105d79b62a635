"""The collector: from the spools of a data directory into the store, priced, each event once.

1. Adopt what dead writers left.
2. Read the next lines behind the store's marks.
   Leave out events of calls that count already by another road (`roads`).
3. Price each event, and splice the cost into its line: the event itself is not rewritten. An outcome has no price.
4. Set aside, in `rejected.ndjson`, what is not an event. A crash before 5 sets it aside twice, which harms nobody.
5. Give lines and marks to the store, which commits both or neither. A crash before it repeats 2 to 5.
6. Set aside what the store could not take. A crash before it loses the text of such lines, never an event.
7. Release segments that are no longer needed, and forget their marks. A crash between the two leaves marks of
   segments that are gone; they are forgotten at the next start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, Protocol, Required, TypedDict

import msgspec

from taximeter.clock import Clock, rfc3339
from taximeter.core.cost import Cost, Unpriced
from taximeter.core.money import format_usd
from taximeter.core.outcome import is_outcome
from taximeter.errors import TaximeterError
from taximeter.ingest.roads import Roads
from taximeter.pricing import Priceable, priceable_from_record
from taximeter.spool import Batch, OpenCalls, Releaser, SpoolReader, adopt, is_segment_id, list_segments, open_calls
from taximeter.spool.rejected import RejectedLines

POLL_SECONDS: Final = 0.1
"""Pause after a batch that was not full: how long a new event waits at most before it is taken up."""

FULL_BATCH_LINES: Final = 5_000
"""A batch of so many lines is followed by the next one at once."""

MOST_WAITING_BYTES: Final = 256 << 20
"""Up to so much may wait in the spools while the collector gives way to those who send; behind that it does not."""

BATCH_LINES: Final = 50_000
BATCH_BYTES: Final = 8 << 20
"""On its way into the store a batch takes some ten times as much memory. With twice as much an event takes 3 % less
CPU, at 50 million events, and the server 60 MB more memory."""

ADOPT_SECONDS: Final = 1.0
RELEASE_SECONDS: Final = 5.0

FIRST_BACKOFF_SECONDS: Final = 0.2
LONGEST_BACKOFF_SECONDS: Final = 30.0

_log = logging.getLogger(__name__)


SET_ASIDE_REASONS: Final[Mapping[str, str]] = {
    "not_an_event": "a line of a spool that is no JSON object, or has no id, no start, or counts that are none",
    "not_storable": "an event or outcome whose id is no UUID, or with a value that the store has no place for",
}
"""Why a line of a spool is kept in `rejected.ndjson` and not stored."""


class Prices(Protocol):
    """What the collector needs of a price book."""

    @property
    def version(self) -> str: ...

    def price(self, call: Priceable, /) -> Cost | Unpriced: ...


class Appended(Protocol):
    """What a store says of a batch, in lines: events that are new and that are not, and outcomes that are new."""

    @property
    def inserted(self) -> int: ...

    @property
    def duplicates(self) -> int: ...

    @property
    def outcomes(self) -> int: ...

    @property
    def rejected(self) -> Sequence[bytes]: ...


class Store(Protocol):
    """What the collector needs of an events store. Every method may raise StoreError."""

    def append(self, lines: Sequence[bytes], marks: Mapping[str, int]) -> Appended: ...

    def marks(self) -> dict[str, int]: ...

    def forget_marks(self, names: Iterable[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class CollectorStatus:
    """How the collector is. Counters begin at its start; `lag_bytes` is what waits in the spools.

    `last_error` is None once a step has succeeded again. `set_aside` is by the names of `SET_ASIDE_REASONS`.
    """

    running: bool = False
    lag_bytes: int = 0
    batches: int = 0
    stored_events: int = 0
    duplicate_events: int = 0
    stored_outcomes: int = 0
    told_twice_events: int = 0
    unpriced_events: int = 0
    interrupted_calls: int = 0
    open_calls: int = 0
    torn_lines: int = 0
    damaged_segments: int = 0
    store_failures: int = 0
    last_error: str | None = None
    set_aside: Mapping[str, int] = field(default_factory=dict)


class PricedRecord(TypedDict, total=False):
    """The part of a record that the collector reads; the rest of the line it does not look at."""

    event_id: Required[str]
    record: str
    started_at: str
    source: str | None
    response_id: str | None
    trace_id: str | None
    span_id: str | None
    provider: str | None
    request_model: str | None
    response_model: str | None
    service_tier: str | None
    region: str | None
    team: str | None
    tenant: str | None
    operation: str | None
    status: str | None
    not_billed: bool | None
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_5m_tokens: int | None
    cache_write_1h_tokens: int | None
    input_audio_tokens: int | None
    cache_read_audio_tokens: int | None
    input_image_tokens: int | None
    input_video_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    output_audio_tokens: int | None
    output_image_tokens: int | None
    units: dict[str, int | str] | None
    by_model: list[dict[str, Any]] | None
    reported_cost_usd: Any


_decode: Final = msgspec.json.Decoder(PricedRecord).decode
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class CostSplicer:
    """Adds the derived fields to event lines, without reading or rewriting the rest of them."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._rules: dict[tuple[str, str], str] = {}
        self.unpriced = 0

    def spliced(self, line: bytes, record: PricedRecord, ingested_at: str) -> bytes:
        """The record as it is stored. Raises KeyError or ValueError for a record that is no event."""
        cost = self._prices.price(priceable_from_record(record))
        if isinstance(cost, Unpriced):
            self.unpriced += 1
            derived = f'"unpriced_reason":"{cost.reason}","price_version":"{cost.price_version}"'
        else:
            derived = f"{_amounts(cost)},{self._rule(cost)}"
        return line.rstrip()[:-1] + f",{derived},{_stamp(ingested_at)}".encode()

    def _rule(self, cost: Cost) -> str:
        key = cost.price_version, cost.price_rule
        found = self._rules.get(key)
        if found is None:
            if len(self._rules) > 10_000:
                self._rules.clear()
            names = {"price_version": cost.price_version, "price_rule": cost.price_rule}
            found = self._rules[key] = msgspec.json.encode(names)[1:-1].decode()
        return found


def _taken_in(outcome: bytes, ingested_at: str) -> bytes:
    """An outcome has no price; all that is added is when it was taken in."""
    return outcome.rstrip()[:-1] + f",{_stamp(ingested_at)}".encode()


def _amounts(cost: Cost) -> str:
    return (
        f'"cost_usd":"{_usd(cost.total)}","cost":{{"input":"{_usd(cost.input)}","cache_read":"{_usd(cost.cache_read)}",'
        f'"cache_write":"{_usd(cost.cache_write)}","output":"{_usd(cost.output)}","other":"{_usd(cost.other)}"}},'
        f'"cache_read_saving_usd":{_usd_or_null(cost.cache_read_saving)},'
        f'"cache_write_surcharge_usd":{_usd_or_null(cost.cache_write_surcharge)}'
    )


def _usd(amount: Decimal) -> str:
    return format_usd(amount) if amount else "0"


def _usd_or_null(amount: Decimal | None) -> str:
    return "null" if amount is None else f'"{_usd(amount)}"'


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A batch ready for the store. It is kept until the store has it, also over failures."""

    lines: Sequence[bytes]
    marks: Mapping[str, int]
    read_lines: int
    ingested_at: str

    def tried_at(self, ingested_at: str) -> _Prepared:
        """The same events, which come to the store at another moment: who reads them in the order in which they came
        has gone on meanwhile."""
        old, new = _stamp(self.ingested_at).encode(), _stamp(ingested_at).encode()
        lines = [line.removesuffix(old) + new for line in self.lines]
        return replace(self, lines=lines, ingested_at=ingested_at)


def _stamp(ingested_at: str) -> str:
    """The end of a line."""
    return f'"ingested_at":"{ingested_at}"}}'


class Collector:
    """Moves events from a spool into a store, in a thread of its own (`start`, `stop`) or step by step (`step`)."""

    def __init__(
        self,
        reader: SpoolReader,
        prices: Prices,
        store: Store,
        clock: Clock,
        *,
        releaser: Releaser | None = None,
        roads: Roads | None = None,
        on_stored: Callable[[int], None] | None = None,
        hurried: Callable[[], bool] = lambda: False,
    ) -> None:
        """`on_stored` is told after each batch how many events are new, in the collector's thread. `hurried`: whether
        senders wait for an answer, to whom a collector with much to store gives half of the time."""
        self._reader = reader
        self._store = store
        self._clock = clock
        self._splicer = CostSplicer(prices)
        self._rejected = RejectedLines(reader.directory)
        self._releaser = releaser or Releaser(reader.directory, clock)
        self._roads = roads or Roads(clock.now_us())
        self._on_stored = on_stored
        self._hurried = hurried
        self._is_behind = False
        self._marks: dict[str, int] | None = None
        self._calls = OpenCalls()
        self._prepared: _Prepared | None = None
        self._adopt_at = self._release_at = clock.monotonic()
        self._counted = CollectorStatus()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def status(self) -> CollectorStatus:
        """How things stand now."""
        return replace(
            self._counted,
            running=self._thread is not None and self._thread.is_alive(),
            lag_bytes=self._reader.unread_bytes(self._marks or {}),
            told_twice_events=self._roads.told_twice,
            unpriced_events=self._splicer.unpriced,
            open_calls=len(self._calls),
            torn_lines=self._reader.torn_lines,
            damaged_segments=len(self._reader.damaged),
            set_aside=dict(self._rejected.counts),
        )

    @property
    def is_behind(self) -> bool:
        """Whether there was a full batch to store, after which the next one follows at once."""
        return self._is_behind

    # -- the thread --------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="taximeter-collector", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the batch under way, and wait for that."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            lines = self._guarded_step()
            self._is_behind = lines is None or lines >= FULL_BATCH_LINES
            failures = failures + 1 if lines is None else 0
            if lines is None:
                self._stopping.wait(min(FIRST_BACKOFF_SECONDS * 2 ** min(failures, 16), LONGEST_BACKOFF_SECONDS))
            else:
                self._stopping.wait(self.rest_seconds(lines, self._clock.monotonic() - began))

    def rest_seconds(self, lines: int, took_seconds: float) -> float:
        """The pause after a step that read so many lines and took so long."""
        if lines < FULL_BATCH_LINES:
            return POLL_SECONDS
        gives_way = self._hurried() and self._reader.unread_bytes(self._marks or {}) < MOST_WAITING_BYTES
        return took_seconds if gives_way else 0.0

    def _guarded_step(self) -> int | None:
        """One step; None when it failed. Whatever goes wrong, events stay in the spool and the thread lives on."""
        try:
            lines = self.step()
        except (TaximeterError, OSError) as error:
            self._failed(error)
            _log.warning("collector: %s", error)
            return None
        except Exception as error:  # noqa: BLE001 - a collector that has died collects nothing
            self._failed(error)
            _log.exception("collector: unexpected")
            return None
        self._counted = replace(self._counted, last_error=None)
        return lines

    def _failed(self, error: Exception) -> None:
        failures = self._counted.store_failures + 1
        self._counted = replace(self._counted, store_failures=failures, last_error=str(error))

    # -- one step ----------------------------------------------------------------------------------------------

    def step(self) -> int:
        """Do what there is to do, once; how many lines were read. Raises StoreError and OSError; nothing is lost."""
        marks = self._started()
        now = self._clock.monotonic()
        if now >= self._adopt_at:
            self._adopt_at = now + ADOPT_SECONDS
            adopted = adopt(self._reader.directory)
            count = self._counted.interrupted_calls + adopted.interrupted_calls
            self._counted = replace(self._counted, interrupted_calls=count)
        if self._prepared is not None:
            self._prepared = self._prepared.tried_at(rfc3339(self._clock.now_us()))
        else:
            self._prepared = self._prepare(self._reader.read(marks, limit_bytes=BATCH_BYTES, limit_lines=BATCH_LINES))
        read_lines = self._commit(self._prepared) if self._prepared is not None else 0
        if now >= self._release_at:
            self._release_at = now + RELEASE_SECONDS
            self._release()
        return read_lines

    def _started(self) -> dict[str, int]:
        """The marks, at the first step taken from the store and cleared of segments that are gone."""
        if self._marks is None:
            stored = self._store.marks()
            here = {segment.id for segment in list_segments(self._reader.directory)}
            self._forget([name for name in stored if is_segment_id(name) and name not in here])
            self._marks = {name: mark for name, mark in stored.items() if name in here}
            self._calls = open_calls(self._reader.directory, self._marks)
        return self._marks

    def _prepare(self, batch: Batch) -> _Prepared | None:
        """None when there is nothing. Raises StoreError when it has to be asked about earlier calls and cannot; the
        batch is read again then."""
        if not batch:
            return None
        now_us = self._clock.now_us()
        read = [(line, piece.segment) for piece in batch.pieces for line in piece.lines]
        found = [event for line, segment in read if not is_outcome(line) and (event := self._read(line, segment))]
        again = self._roads.told_before([record for _, record, _ in found], now_us)
        ingested_at = rfc3339(now_us)
        lines = [_taken_in(line, ingested_at) for line, _ in read if is_outcome(line)]
        for place, (line, record, segment) in enumerate(found):
            if place not in again:
                self._take(line, record, segment, ingested_at, lines)
            elif self._calls:
                self._calls.ended(record["event_id"])
        return _Prepared(lines, batch.marks, len(read), ingested_at)

    def _read(self, line: bytes, segment: str) -> tuple[bytes, PricedRecord, str] | None:
        """The event on a line of a spool; a begin is noted, anything else that is no event set aside."""
        try:
            record = _decode(line)
            if "record" not in record:
                return line, record, segment
            if record["record"] == "begin":
                self._calls.begun(record["event_id"], segment)
        except (*_UNREADABLE, KeyError) as error:
            self._rejected.add("not_an_event", f"{segment}: {error}", line)
        return None

    def _take(self, line: bytes, record: PricedRecord, segment: str, ingested_at: str, lines: list[bytes]) -> None:
        """Price an event. What cannot be priced because it is none is set aside."""
        try:
            lines.append(self._splicer.spliced(line, record, ingested_at))
        except (KeyError, ValueError, TypeError) as error:
            self._rejected.add("not_an_event", f"{segment}: {error}", line)
            return
        if self._calls:
            self._calls.ended(record["event_id"])

    def _commit(self, prepared: _Prepared) -> int:
        appended = self._store.append(prepared.lines, prepared.marks)
        self._prepared = None
        self._started().update(prepared.marks)
        # Whoever sees them counted may rely on it that those who are told know of them.
        if self._on_stored is not None and appended.inserted:
            self._on_stored(appended.inserted)
        self._counted = replace(
            self._counted,
            batches=self._counted.batches + 1,
            stored_events=self._counted.stored_events + appended.inserted,
            duplicate_events=self._counted.duplicate_events + appended.duplicates,
            stored_outcomes=self._counted.stored_outcomes + appended.outcomes,
        )
        for line in appended.rejected:
            self._rejected.add("not_storable", SET_ASIDE_REASONS["not_storable"], line)
        return prepared.read_lines

    def _release(self) -> None:
        marks = self._started()
        gone = self._releaser.release(marks, self._calls, self._reader.damaged)
        self._forget([name for name in gone if name in marks])
        for name in gone:
            marks.pop(name, None)

    def _forget(self, names: Collection[str]) -> None:
        if names:
            self._store.forget_marks(names)
