"""Stored events in the order in which they came, each once: the source of everything that is told call by call.

An event has the moment at which its batch went into the store (`ingested_at`). Batches of several writers are not
seen in that order to the second, nor are their clocks equal, so the last `OVERLAP_US` are looked through again at
every turn; the ids that were told of them are kept.

  1. Ask the store which events came since the position, less the overlap, and leave out those that were told.
  2. Read them in pieces, the oldest first, and tell one.
  3. Keep its ids together with the position.

A crash or an outage between 2 and 3 has the same events told again: who is told them knows each by its id.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice, takewhile
from typing import Any, Final

import msgspec

from taximeter.clock import Clock, to_unix_us
from taximeter.store.events import EventQuery, EventStore
from taximeter.store.events.filters import Condition
from taximeter.store.metadata import ExportedUnit, Exports, OvertakenError, Span

SECOND_US: Final = 1_000_000
OVERLAP_US: Final = 300 * SECOND_US
"""How much later than its moment an event may be seen first: for the store's transaction and clocks that differ."""

STEP_US: Final = 600 * SECOND_US
"""How much of the time of arrival is looked at together, after an outage too."""

MOST_LOOKED_AT: Final = 20_000
"""Ids of one page."""

PIECE: Final = 500
"""Events that are told together."""

MOST_PIECES: Final = 400
"""Of one turn; the next one goes on."""


class Position(msgspec.Struct, frozen=True):
    """Events of before `since_us` are not told; all that came before `until_us`, less the overlap, are. `piece` is the
    number of the last piece, and `events` how many were told in all."""

    since_us: int
    until_us: int
    piece: int = 0
    events: int = 0

    @property
    def looked_from_us(self) -> int:
        return max(self.since_us, self.until_us - OVERLAP_US)


@dataclass(frozen=True, slots=True)
class Came:
    """An event that came to the store."""

    event_id: str
    ingested_us: int
    started_us: int


class Arrivals:
    """The events of a store for one place that is told of them. `conditions` say which; they may not change what was
    told. One thread uses it. All methods raise StoreError."""

    def __init__(
        self, name: str, store: EventStore, kept: Exports, clock: Clock, conditions: Sequence[Condition] = ()
    ) -> None:
        self._name, self._store, self._kept, self._clock = name, store, kept, clock
        self._conditions = tuple(conditions)
        self._position: Position | None = None
        self._kept_position: str | None = None
        self._told: dict[int, tuple[int, frozenset[str]]] = {}
        """By number of the piece: when its last event came, and the ids."""
        self._waits_since_us: int | None = None

    def begin(self) -> None:
        """Somebody new is told what comes from now on."""
        if self.follow() is None:
            now_us = self._clock.now_us()
            with contextlib.suppress(OvertakenError):
                self._advance(Position(now_us, now_us), [], [])

    def follow(self) -> Position | None:
        """Take up what was kept, by another server perhaps."""
        self._kept_position = self._kept.state(self._name)
        self._told = {}
        if self._kept_position is None:
            self._position = None
            return None
        position = self._position = msgspec.json.decode(self._kept_position, type=Position)
        for number, until in self._kept.unit_totals(self._name).items():
            if int(until) >= position.looked_from_us:
                ids = self._kept.unit_sums(self._name, number) or "[]"
                self._told[number] = int(until), frozenset(msgspec.json.decode(ids, type=list[str]))
        return position

    @property
    def lag_seconds(self) -> float:
        """For how long events have waited; 0 when none do."""
        if self._waits_since_us is None:
            return 0.0
        return max(0.0, (self._clock.now_us() - self._waits_since_us) / SECOND_US)

    def pieces(self) -> Iterator[list[dict[str, Any]]]:
        """What waits, as whole records. A piece has been told when the next one is asked for."""
        for piece, until_us in islice(self._waiting(), MOST_PIECES):
            if records := self._records(piece):
                yield records
            self._keep(piece, len(records), until_us)

    def _waiting(self) -> Iterator[tuple[list[Came], int]]:
        """Pieces of what was not told, and until when all has been with each of them. An empty one is there where
        nothing came, for the position to go on."""
        if self._position is None:
            self.follow()
        now_us = self._clock.now_us()
        while (position := self._position) is not None and position.until_us < now_us:
            until_us = min(position.until_us + STEP_US, now_us)
            came = self._untold(position, until_us)
            for start in range(0, max(len(came), 1), PIECE):
                self._waits_since_us = came[start].ingested_us if came else None
                whole = start + PIECE >= len(came)
                yield came[start : start + PIECE], until_us if whole else position.until_us
            self._waits_since_us = None

    def _untold(self, position: Position, until_us: int) -> list[Came]:
        """What came until a moment and was not told, the oldest first."""
        told = frozenset().union(*(ids for _, ids in self._told.values()))
        asked = EventQuery(
            filters=self._conditions,
            ingested_from_us=position.looked_from_us,
            ingested_to_us=until_us,
            limit=MOST_LOOKED_AT,
            columns=("ingested_at",),
        )
        found: list[Came] = []
        while True:
            page = self._store.events(asked)
            found += (_came(record) for record in page.events if record["event_id"] not in told)
            if page.next is None:
                return sorted(found, key=lambda one: (one.ingested_us, one.event_id))
            asked = replace(asked, cursor=page.next)

    def _records(self, piece: Sequence[Came]) -> list[dict[str, Any]]:
        """The events of a piece; without those that were deleted meanwhile."""
        if not piece:
            return []
        begins = [one.started_us for one in piece]
        ids = Condition("event_id", "in", tuple(one.event_id for one in piece))
        asked = EventQuery(filters=(ids,), from_us=min(begins), to_us=max(begins) + 1, limit=len(piece))
        return self._store.events(asked).events

    def _keep(self, piece: Sequence[Came], events: int, until_us: int) -> None:
        """Move the position on, and remember the ids for as long as they are looked at."""
        before = self._position
        assert before is not None
        number = before.piece + bool(piece)
        position = Position(before.since_us, until_us, number, before.events + events)
        past = self._past(position)
        gone = [Span(self._name, to_us=past[-1] + 1)] if past else []
        units = [_unit(self._name, number, piece)] if piece else []
        self._advance(position, units, gone)
        for one in past:
            del self._told[one]
        if piece:
            self._told[number] = piece[-1].ingested_us, frozenset(one.event_id for one in piece)

    def _past(self, position: Position) -> list[int]:
        """The first pieces, as far as none of their events is looked at again."""
        kept = takewhile(lambda number: self._told[number][0] < position.looked_from_us, sorted(self._told))
        return list(kept)

    def _advance(self, position: Position, units: Sequence[ExportedUnit], gone: Sequence[Span]) -> None:
        text = msgspec.json.encode(position).decode()
        try:
            self._kept.advance(self._name, text, self._kept_position, units, gone=gone)
        except OvertakenError:
            self.follow()
            raise
        self._position, self._kept_position = position, text


def _came(record: Mapping[str, Any]) -> Came:
    return Came(record["event_id"], _moment_us(record["ingested_at"]), _moment_us(record["started_at"]))


def _moment_us(text: str) -> int:
    return to_unix_us(datetime.fromisoformat(text))


def _unit(name: str, number: int, piece: Sequence[Came]) -> ExportedUnit:
    ids = msgspec.json.encode([one.event_id for one in piece]).decode()
    return ExportedUnit(name, number, str(piece[-1].ingested_us), ids)
