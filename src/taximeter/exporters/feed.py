"""What changed in the store, window by window: the one source of everything that is exported as numbers.

A feed keeps, for every day (UTC), the sums by series that it has told so far. At each turn:

  1. Ask the store for the totals of all days, and read those days anew whose totals are not the kept ones. Late
     events, re-pricing and deletions show up here like new calls.
  2. What differs from the kept sums is the window: the amounts to add, negative where something was corrected.
  3. Keep the sums, the totals and the window in one transaction.

A crash before 3 leaves everything as it was, and the next turn finds the same differences. So all windows together are
the store, to the last digit; exporters go through them in order, each at its own position.

Series are bounded: the first `most_series` by cost are named, all others are `other`. Which ones are named is decided
anew once a day, and as long as there is room at once.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from taximeter.clock import Clock
from taximeter.exporters.days import DAY_US, Days, differing
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
    total,
)
from taximeter.store.events import EventStore, Query
from taximeter.store.metadata import ExportedDay, Exports, OvertakenError

RANKED_DAYS: Final = 7
"""How many of the last days decide which series are named."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """What a feed tells apart. `measures[0]` ranks the series."""

    name: str
    labels: tuple[str, ...]
    most_series: int
    measures: tuple[str, ...] = MEASURED


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
    told and stays told. `keep_windows` says whether somebody reads the windows. All methods raise StoreError.
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
    ) -> None:
        self.grouping = grouping
        self._store, self._kept, self._clock = store, kept, clock
        self._days = Days(store, grouping.measures, kept_days)
        self._keep_windows = keep_windows
        self._other = series_key([OTHER] * len(grouping.labels))
        self._lock = threading.Lock()
        self._state: State | None = None
        self._told_state: str | None = None
        """What is kept of it."""
        self._anew = False
        """Whether what is kept is by other labels: it goes with the first turn, and not before. Until then another
        server may be at it."""
        self._known: dict[int, Amounts] = {}
        """The totals of every day that was told."""

    @property
    def state(self) -> State | None:
        """None before the first turn."""
        return self._state

    def begin(self) -> State:
        """Take up what was kept. A store that is empty now is told from its first event on."""
        with self._lock:
            state = self._begun()
            if state.until_us == 0 and not self._days.found(self._days.oldest(self._clock.now_us()))[1]:
                with contextlib.suppress(OvertakenError):
                    self._advance(state, self._clock.now_us(), {})
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
            changed = self._changed_days(oldest_us, found)
            if changed or state.until_us == 0:
                self._advance(state, now_us, changed)
            self._forget(oldest_us)

    def _begun(self) -> State:
        return self._state or self._read()

    def _read(self) -> State:
        labels = list(self.grouping.labels)
        told = self._told_state = self._kept.state(self.grouping.name)
        state = State(labels) if told is None else msgspec.json.decode(told, type=State)
        self._anew = state.labels != labels
        if self._anew:
            state = State(labels, number=state.number)
        digests = {} if self._anew else self._kept.day_totals(self.grouping.name)
        self._known = {day: msgspec.json.decode(text, type=Amounts) for day, text in digests.items()}
        self._state = state
        return state

    def _changed_days(self, oldest_us: int, found: Mapping[int, Amounts]) -> dict[int, Sums]:
        """The sums of those days whose totals are not the kept ones."""
        return {day: self._sums(day) for day in differing(self._known, oldest_us, found)}

    def _sums(self, day_us: int) -> Sums:
        grouping = self.grouping
        asked = Query(from_us=day_us, to_us=day_us + DAY_US, measures=grouping.measures, group_by=grouping.labels)
        return sums_of(self._store.query(asked).rows, grouping.labels, grouping.measures)

    def _advance(self, state: State, now_us: int, changed: Mapping[int, Sums]) -> None:
        came: Sums = {}
        for day, sums in changed.items():
            for key, amounts in changes(self._told(day), sums).items():
                add(came, key, amounts)
        after = msgspec.json.decode(msgspec.json.encode(state), type=State)
        self._choose(after, now_us, changed, came)
        whole = state.until_us == 0
        since_us = now_us if whole else state.until_us
        window = Window(state.number + 1, since_us, now_us, state.labels, self._bounded(after, came), whole)
        _book(after, window)
        kept = msgspec.json.encode(after).decode()
        days = [_kept_day(day, sums) for day, sums in changed.items()]
        told = (window.number, msgspec.json.encode(window).decode()) if self._keep_windows else None
        try:
            self._kept.advance(self.grouping.name, kept, self._told_state, days, told, anew=self._anew)
        except OvertakenError:
            self._read()
            raise
        self._told_state, self._anew = kept, False
        self._known.update({day: total(sums) for day, sums in changed.items()})
        self._state = after

    def _told(self, day_us: int) -> Sums:
        text = None if self._anew else self._kept.day_sums(self.grouping.name, day_us)
        return {} if text is None else msgspec.json.decode(text, type=Sums)

    def _choose(self, state: State, now_us: int, changed: Mapping[int, Sums], came: Sums) -> None:
        """Decide which series are named."""
        rank, most = self.grouping.measures[0], self.grouping.most_series
        if len(set(state.named) | set(came)) <= most:
            state.named += [key for key in top(came, most, rank) if key not in state.named]
            return
        if state.ranked_day == now_us // DAY_US:
            room = [key for key in top(came, len(came), rank) if key not in state.named]
            state.named += room[: most - len(state.named)]
            return
        state.ranked_day = now_us // DAY_US
        chosen = top(self._recent(now_us, changed) or came, most, rank)
        for gone in set(state.named) - set(chosen):
            _fold(state, gone, self._other)
        state.named = chosen

    def _recent(self, now_us: int, changed: Mapping[int, Sums]) -> Sums:
        recent: Sums = {}
        today = now_us // DAY_US * DAY_US
        for day in range(today - (RANKED_DAYS - 1) * DAY_US, today + 1, DAY_US):
            for key, amounts in (changed[day] if day in changed else self._told(day)).items():
                add(recent, key, amounts)
        return recent

    def _bounded(self, state: State, came: Sums) -> Sums:
        named = set(state.named)
        bounded: Sums = {}
        for key, amounts in came.items():
            add(bounded, key if key in named else self._other, amounts)
        return bounded

    def _forget(self, oldest_us: int) -> None:
        gone = [day for day in self._known if day < oldest_us]
        if gone:
            self._kept.forget_days(self.grouping.name, oldest_us)
            for day in gone:
                del self._known[day]


def _kept_day(day_us: int, sums: Sums) -> ExportedDay:
    return ExportedDay(day_us, msgspec.json.encode(total(sums)).decode(), msgspec.json.encode(sums).decode())


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
