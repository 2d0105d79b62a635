"""What changed in the store, window by window: the one source of everything that is exported as numbers.

A feed keeps, for every day (UTC), the sums by series that it has told so far; for today and yesterday, for every hour.
At each turn:

  1. Ask the store for the totals of all days, then for those of the hours of days whose totals are not the kept ones,
     and read the hours anew that differ. Late events, re-pricing and deletions show up here like new calls.
  2. What differs from the kept sums is the window: the amounts to add, negative where something was corrected.
  3. Keep the sums, the totals and the window in one transaction.

A crash before 3 leaves everything as it was, and the next turn finds the same differences. So all windows together are
the store, to the last digit; exporters go through them in order, each at its own position.

A store that has a history when the feed begins is told in pieces, so that it need not fit into memory. The feed has
begun with the last of them; until then it shows nothing.

Series are bounded: the first `most_series` by cost are named, all others are `other`. Which ones are named is decided
anew once a day, and as long as there is room at once.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from taximeter.clock import Clock
from taximeter.exporters.days import DAY_US, HOUR_US, Days, differing
from taximeter.exporters.series import (
    MEASURED,
    OTHER,
    Amounts,
    Sums,
    add,
    changes,
    series_key,
    sums_of,
    top,
)
from taximeter.exporters.told import Told, Unit, day_of
from taximeter.store.events import EventStore, Query
from taximeter.store.metadata import Exports, OvertakenError, Span

RANKED_DAYS: Final = 7
"""How many of the last days decide which series are named."""


SERIES_AT_ONCE: Final = 10_000
"""Series of a history that are in memory together, some kilobytes each while they are read, told and kept; at least
those of a day are."""

MOST_READ: Final = 20_000
"""Series of an hour or a day that are read; those behind them are told as `other`, so that the sum stays."""


def measured(store: EventStore, asked: Query) -> Sums:
    """The measures of a query by its groups."""
    rows = store.query(replace(asked, limit=MOST_READ)).rows
    return sums_of(rows, asked.group_by, asked.measures)


@dataclass(frozen=True, slots=True)
class Grouping:
    """What a feed tells apart. The totals of `measures` say whether something changed; `read` reads what is told. What
    there is most of in `rank` is named first."""

    name: str
    labels: tuple[str, ...]
    most_series: int
    measures: tuple[str, ...] = MEASURED
    read: Callable[[EventStore, Query], Sums] = measured
    rank: str = "cost_usd"


class Window(msgspec.Struct, frozen=True):
    """What came to the store between two turns, by series. Windows are numbered from 1.

    A `whole` one is what the store had when the feed began: it has been spent before, and is no news.
    """

    number: int
    from_us: int
    to_us: int
    labels: list[str]
    amounts: Sums
    whole: bool = False


class State(msgspec.Struct):
    """Where a feed stands: the number of the last window, and everything until there.

    `totals` are the amounts of the store; `peaks` the highest that each of them was, for counters that never go back.
    """

    labels: list[str]
    number: int = 0
    until_us: int = 0
    ranked_day: int = -1
    named: list[str] = []
    totals: Sums = {}
    peaks: Sums = {}


class Feed:
    """One grouping of a store. `turn` and `begin` are called by one thread; `state` may be read by any.

    `kept_days` is for how many days the store keeps what is asked (None: for ever): what it no longer keeps has been
    told and stays told. `keep_windows` says whether somebody reads the windows. A history is told by about
    `series_at_once`. All methods raise StoreError.
    """

    def __init__(
        self,
        grouping: Grouping,
        store: EventStore,
        kept: Exports,
        clock: Clock,
        *,
        kept_days: int | None = None,
        keep_windows: bool = False,
        series_at_once: int = SERIES_AT_ONCE,
    ) -> None:
        self.grouping = grouping
        self._series_at_once = series_at_once
        self._store, self._kept, self._clock = store, kept, clock
        self._days = Days(store, grouping.measures, kept_days)
        self._keep_windows = keep_windows
        self._other = series_key([OTHER] * len(grouping.labels))
        self._lock = threading.Lock()
        self._state: State | None = None
        self._kept_state: str | None = None
        """What is kept of it."""
        self._told = Told(grouping.name, kept)

    @property
    def state(self) -> State | None:
        """None before the first turn."""
        return self._state

    def begin(self) -> State:
        """Take up what was kept. A store that is empty now is told from its first event on."""
        with self._lock:
            state = self._begun()
            if state.until_us == 0 and not self._days.any(self._days.oldest(self._clock.now_us())):
                with contextlib.suppress(OvertakenError):
                    self._advance(state, self._clock.now_us(), [], begun=True)
            return self._begun()

    def follow(self) -> None:
        """Take up what another server kept, when this one does not look for changes itself."""
        with self._lock:
            self._read()

    def turn(self) -> None:
        """Look for changes, and keep them as the next window."""
        with self._lock:
            state = self._begun()
            now_us = self._clock.now_us()
            oldest_us, found = self._days.found(self._days.oldest(now_us))
            changed = self._changed(oldest_us, found, now_us)
            if state.until_us == 0:
                self._tell_history(state, now_us, changed)
            elif news := list(changed):
                self._advance(state, now_us, news, begun=True)
            self._fold(now_us)
            self._told.forget(oldest_us)

    def _begun(self) -> State:
        return self._state or self._read()

    def _read(self) -> State:
        labels = list(self.grouping.labels)
        told = self._kept_state = self._kept.state(self.grouping.name)
        state = State(labels) if told is None else msgspec.json.decode(told, type=State)
        # What is kept by other labels goes with the first turn, and not before: until then another server may be at it.
        anew = state.labels != labels
        if anew:
            state = State(labels, number=state.number)
        self._told.read(anew=anew)
        self._state = state
        return state

    def _changed(self, oldest_us: int, found: Mapping[int, Amounts], now_us: int) -> Iterator[Unit]:
        """The units whose totals are not the kept ones, as they are now."""
        for day_us in differing(self._told.days, oldest_us, found):
            if self._told.by_hour(day_us, now_us):
                hours = self._days.hours(day_us)
                for hour_us in differing(self._told.hours(day_us), day_us, hours):
                    yield self._unit(hour_us, HOUR_US, hours.get(hour_us, {}))
            else:
                yield self._unit(day_us, DAY_US, found.get(day_us, {}))

    def _unit(self, start_us: int, length_us: int, totals: Amounts) -> Unit:
        return Unit(start_us, length_us, totals, self._sums(start_us, length_us))

    def _sums(self, start_us: int, length_us: int) -> Sums:
        grouping, to_us = self.grouping, start_us + length_us
        asked = Query(from_us=start_us, to_us=to_us, measures=grouping.measures, group_by=grouping.labels)
        return grouping.read(self._store, asked)

    def _tell_history(self, state: State, now_us: int, units: Iterable[Unit]) -> None:
        """Begin with what the store has, in pieces. Who spent most lately is named before the first of them."""
        state.ranked_day = now_us // DAY_US
        self._name(state, self._first_lately(now_us))
        piece: list[Unit] = []
        for unit in units:
            piece.append(unit)
            if sum(len(one.sums) for one in piece) >= self._series_at_once:
                state = self._advance(state, now_us, piece, begun=False)
                piece.clear()
        self._advance(state, now_us, piece, begun=True)

    def _first_lately(self, now_us: int) -> list[str]:
        recent = self._sums(_ranked_from(now_us), RANKED_DAYS * DAY_US)
        return top(recent, self.grouping.most_series, self.grouping.rank)

    def _advance(self, state: State, now_us: int, changed: Sequence[Unit], *, begun: bool) -> State:
        came, recent = self._came(changed, now_us)
        after = msgspec.json.decode(msgspec.json.encode(state), type=State)
        self._choose(after, now_us, came, recent)
        whole = state.until_us == 0
        since_us = now_us if whole else state.until_us
        window = Window(state.number + 1, since_us, now_us, state.labels, self._bounded(after, came), whole)
        _book(after, window)
        if not begun:
            after.until_us = 0
        content = msgspec.json.encode(window).decode() if self._keep_windows else None
        self._keep(after, changed, window=None if content is None else (window.number, content), gone=self._told.gone)
        self._told.remember(changed)
        self._state = after
        return after

    def _keep(self, state: State, units: Sequence[Unit], window: tuple[int, str] | None, gone: Sequence[Span]) -> None:
        kept = msgspec.json.encode(state).decode()
        told = [self._told.kept(unit) for unit in units]
        try:
            self._kept.advance(self.grouping.name, kept, self._kept_state, told, window, gone=gone)
        except OvertakenError:
            self._read()
            raise
        self._kept_state = kept

    def _fold(self, now_us: int) -> None:
        """Make one unit of the hours of each day that is over for long enough."""
        past, state = self._told.past(now_us), self._state
        if past and state is not None:
            self._keep(state, past, None, [self._told.hours_of(day) for day in past])
            self._told.fold(past)

    def _came(self, changed: Sequence[Unit], now_us: int) -> tuple[Sums, Sums]:
        """What has come to the store; and of that what belongs to the days that decide about names."""
        came: Sums = {}
        recent: Sums = {}
        for unit in changed:
            for key, amounts in changes(self._told.sums(unit), unit.sums).items():
                add(came, key, amounts)
                if unit.start_us >= _ranked_from(now_us):
                    add(recent, key, amounts)
        return came, recent

    def _choose(self, state: State, now_us: int, came: Sums, recent: Sums) -> None:
        """Decide which series are named."""
        rank, most = self.grouping.rank, self.grouping.most_series
        if len(set(state.named) | set(came)) <= most:
            state.named += [key for key in top(came, most, rank) if key not in state.named]
            return
        if state.ranked_day == now_us // DAY_US:
            room = [key for key in top(came, len(came), rank) if key not in state.named]
            state.named += room[: most - len(state.named)]
            return
        state.ranked_day = now_us // DAY_US
        self._name(state, top(self._recent(now_us, recent) or came, most, rank))

    def _name(self, state: State, chosen: list[str]) -> None:
        for gone in set(state.named) - set(chosen):
            _fold(state, gone, self._other)
        state.named = chosen

    def _recent(self, now_us: int, came: Sums) -> Sums:
        """The sums of the last days, with what has come to them."""
        recent: Sums = {}
        days = range(_ranked_from(now_us), now_us + 1, DAY_US)
        for sums in (*(self._told.day_sums(day_us) for day_us in days), came):
            for key, amounts in sums.items():
                add(recent, key, amounts)
        return recent

    def _bounded(self, state: State, came: Sums) -> Sums:
        named = set(state.named)
        bounded: Sums = {}
        for key, amounts in came.items():
            add(bounded, key if key in named else self._other, amounts)
        return bounded


def _ranked_from(now_us: int) -> int:
    return day_of(now_us) - (RANKED_DAYS - 1) * DAY_US


def _book(state: State, window: Window) -> None:
    """Let a state stand after a window."""
    for key, amounts in window.amounts.items():
        add(state.totals, key, amounts)
        totals, peaks = state.totals.get(key, {}), state.peaks.setdefault(key, {})
        for name in amounts:
            if (amount := totals.get(name)) is not None and amount > peaks.get(name, 0):
                peaks[name] = amount
    state.number, state.until_us = window.number, window.to_us


def _fold(state: State, gone: str, other: str) -> None:
    """A series that is no longer named leaves what it had to `other`: the sum over all series stays."""
    for sums in (state.totals, state.peaks):
        add(sums, other, sums.pop(gone, {}))
