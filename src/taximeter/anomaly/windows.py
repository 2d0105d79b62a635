"""What was seen beside what was expected, over windows from two minutes to three hours.

The minutes of an incident are in no window: while it lasts and after it, the windows see what is around it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.panel import WIDTH, Panel, Raw, Role
from taximeter.anomaly.ratios import Ratios

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]

WINDOWS: Final = (2, 3, 5, 8, 13, 21, 34, 60, 100, 180)
"""Minutes. Short ones see what is large at once, long ones what is small or rare."""

LONGEST: Final = WINDOWS[-1]


class Watch(IntEnum):
    """What an incident can be about; its minutes are left out for this only."""

    VOLUME = 0
    RETRIES = 1
    COST = 2
    CACHE = 3
    MIX = 4


class Seen(IntEnum):
    """Sums over minutes. For MIX rows CALLS are the model's first attempts, FIRST those of the feature."""

    CALLS = 0
    """First attempts."""
    EXPECTED = 1
    FIRST = 2
    RETRIES = 3
    PRICED = 4
    """Calls that COST rests on."""
    COST = 5
    """USD at unchanged prices and mix."""
    COST_EXPECTED = 6
    INPUT_CALLS = 7
    INPUT = 8
    CACHED = 9
    CACHED_EXPECTED = 10


WATCHED: Final = {
    Watch.VOLUME: (Seen.CALLS, Seen.EXPECTED),
    Watch.RETRIES: (Seen.FIRST, Seen.RETRIES),
    Watch.COST: (Seen.PRICED, Seen.COST, Seen.COST_EXPECTED),
    Watch.CACHE: (Seen.INPUT_CALLS, Seen.INPUT, Seen.CACHED, Seen.CACHED_EXPECTED),
    Watch.MIX: (Seen.CALLS, Seen.FIRST, Seen.EXPECTED),
}


_WATCHED_BY: Final = {what: [watch for watch, watched in WATCHED.items() if what in watched] for what in Seen}


class Windows:
    """`all[what, row, column]`: columns as in the panel; `counts[watch, row, column]`: minutes without incidents."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self.all = np.zeros((len(Seen), 0, WIDTH), np.float32)
        self.counts = np.ones((len(Watch), 0, WIDTH), bool)
        self.bad = np.zeros((len(Watch), 0), bool)
        """Rows that have an incident now, by what it is about."""
        self._rows = 0

    def grow(self, rows: int) -> None:
        more = rows - self.all.shape[1]
        if more > 0:
            more = max(more, 64)
            self.all = np.concatenate([self.all, np.zeros((len(Seen), more, WIDTH), np.float32)], axis=1)
            self.counts = np.concatenate([self.counts, np.ones((len(Watch), more, WIDTH), bool)], axis=1)
            self.bad = np.concatenate([self.bad, np.zeros((len(Watch), more), bool)], axis=1)
        for row in range(self._rows, rows):
            if self._panel.role[row] == Role.MIX:
                self.all[Seen.FIRST, row] = self.all[Seen.FIRST, self._panel.parent[row]]
        self._rows = rows

    def shift(self, by: int) -> None:
        """Follow the columns of the panel."""
        for held, empty in ((self.all, 0), (self.counts, True)):
            for one in held:
                one[:, :-by] = one[:, by:]
                one[:, -by:] = empty

    def take(self, first_minute: int, expected: Floats, ratios: Ratios) -> None:
        """Take in what the panel has of the minutes from `first_minute` on, beside what was expected: `expected[row,
        minute]` calls."""
        self._see(first_minute, expected, ratios)
        self.judge(first_minute, expected.shape[1])

    def retake(self, minute: int, ratios: Ratios) -> None:
        """Take in again what the panel has of a minute, which is as good as it was."""
        rows, column = self._panel.rows, self._panel.column(minute)
        expected = self.all[Seen.EXPECTED, :rows, column : column + 1].copy()
        self._see(minute, expected, ratios)

    def _see(self, first_minute: int, expected: Floats, ratios: Ratios) -> None:
        panel, rows = self._panel, self._panel.rows
        span = self._columns(first_minute, expected.shape[1])
        raw = panel.raw[:, :rows, span]
        first = raw[Raw.CALLS] - raw[Raw.RETRIES]
        mix = panel.of_role(Role.MIX)
        seen = self.all[:, :rows, span]
        seen[Seen.CALLS] = seen[Seen.FIRST] = first
        seen[Seen.EXPECTED] = expected
        seen[Seen.FIRST, mix] = first[panel.parent[:rows][mix]]
        seen[Seen.EXPECTED, mix] = seen[Seen.FIRST, mix] * ratios.share[mix, None]
        seen[Seen.RETRIES] = raw[Raw.RETRIES]
        seen[Seen.PRICED] = seen[Seen.INPUT_CALLS] = raw[Raw.HOME_CALLS]
        seen[Seen.COST] = raw[Raw.INPUT] * ratios.input_price[:, None] + raw[Raw.OUTPUT] * ratios.output_price[:, None]
        seen[Seen.COST_EXPECTED] = raw[Raw.HOME_CALLS] * ratios.cost[:, None]
        seen[Seen.INPUT], seen[Seen.CACHED] = raw[Raw.INPUT], raw[Raw.CACHED]
        seen[Seen.CACHED_EXPECTED] = raw[Raw.INPUT] * ratios.cached[:, None]

    def judge(self, first_minute: int, minutes: int) -> None:
        """Which of these minutes are good, by the incidents there are now."""
        rows, span = self._panel.rows, self._columns(first_minute, minutes)
        self.counts[:, :rows, span] = ~self.bad[:, :rows, None]

    def exclude(self, watch: Watch, row: int, from_minute: int) -> None:
        """An incident of this row began then: what the windows have of it since is taken out."""
        self.counts[watch, row, max(self._panel.column(from_minute), 0) :] = False

    def good(self, what: Seen, rows: Any, span: slice) -> Floats:
        """Minutes of incidents are 0: [row, column]."""
        kept = self.counts[_WATCHED_BY[what], rows, span].all(0)
        return np.asarray(self.all[what, rows, span] * kept)

    def sums(self, first_minute: int, minutes: int) -> Floats:
        """Sums over the windows that end with each of the minutes: [what, row, minute, window].

        As differences of running sums. A product of matrices would be as fast, but for the threads it begins.
        """
        rows, column = self._panel.rows, self._panel.column(first_minute)
        span = slice(column - LONGEST + 1, column + minutes)
        found = np.empty((len(Seen), rows, minutes, len(WINDOWS)), np.float32)
        running = np.zeros((rows, LONGEST + minutes))
        for what in Seen:
            np.cumsum(self.good(what, slice(rows), span), axis=1, dtype=float, out=running[:, 1:])
            for place, window in enumerate(WINDOWS):
                begins = slice(LONGEST - window, LONGEST - window + minutes)
                found[what, :, :, place] = running[:, LONGEST:] - running[:, begins]
        return found

    def last(self, row: int, minute: int, minutes: int) -> Floats:
        """The last minutes of one row, those of incidents too, oldest first: [what, minute]."""
        return self.all[:, row, self._columns(minute - minutes + 1, minutes)]

    def last_good(self, row: int, minute: int, minutes: int) -> Floats:
        """As `last`, without those of incidents."""
        span = self._columns(minute - minutes + 1, minutes)
        return np.stack([self.good(what, row, span) for what in Seen])

    def totals(self, minute: int, minutes: int) -> Floats:
        """What the last minutes, those of incidents too, add up to: [what, row]."""
        return np.asarray(self.all[:, : self._panel.rows, self._columns(minute - minutes + 1, minutes)].sum(2))

    def _columns(self, first_minute: int, minutes: int) -> slice:
        column = self._panel.column(first_minute)
        return slice(column, column + minutes)
