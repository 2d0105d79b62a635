"""What was seen beside what was expected, over windows from two minutes to three hours.

The minutes of an incident are in no window: while it lasts and after it, the windows see what is around it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.panel import KEPT_MINUTES, Panel, Raw, Role
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


class Windows:
    """`good[what, row, column]`: minutes without incidents, columns as in the panel; `all` has every minute, and
    `counts[watch, row, column]` says which are good."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self.all = np.zeros((len(Seen), 0, 2 * KEPT_MINUTES), np.float32)
        self.good = np.zeros_like(self.all)
        self.counts = np.zeros((len(Watch), 0, 2 * KEPT_MINUTES), bool)
        self.bad = np.zeros((len(Watch), 0), bool)
        """Rows that have an incident now, by what it is about."""
        self._rows = 0

    def grow(self, rows: int) -> None:
        more = rows - self.good.shape[1]
        if more > 0:
            more = max(more, 64)
            wide = np.zeros((len(Seen), more, 2 * KEPT_MINUTES), np.float32)
            self.all = np.concatenate([self.all, wide], axis=1)
            self.good = np.concatenate([self.good, wide], axis=1)
            self.counts = np.concatenate([self.counts, np.zeros((len(Watch), more, 2 * KEPT_MINUTES), bool)], axis=1)
            self.bad = np.concatenate([self.bad, np.zeros((len(Watch), more), bool)], axis=1)
        for row in range(self._rows, rows):
            if self._panel.role[row] == Role.MIX:
                self.all[Seen.FIRST, row] = self.good[Seen.FIRST, row] = self.all[Seen.FIRST, self._panel.parent[row]]
        self._rows = rows

    def shift(self, by: int) -> None:
        """Follow the columns of the panel."""
        for held in (self.all, self.good, self.counts):
            held[:, :, :-by] = held[:, :, by:]
            held[:, :, -by:] = 0

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
        self.good[:, :rows, column] = self.all[:, :rows, column]
        for watch, places in WATCHED.items():
            spoiled = ~self.counts[watch, :rows, column]
            for what in places:
                self.good[what, :rows, column][spoiled] = 0

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
        self.good[:, :rows, span] = self.all[:, :rows, span]
        self.counts[:, :rows, span] = True
        for watch in Watch:
            for row in np.flatnonzero(self.bad[watch, :rows]):
                self._leave_out(watch, int(row), span)

    def exclude(self, watch: Watch, row: int, from_minute: int) -> None:
        """An incident of this row began then: what the windows have of it since is taken out."""
        self._leave_out(watch, row, slice(max(self._panel.column(from_minute), 0), None))

    def _leave_out(self, watch: Watch, row: int, span: slice) -> None:
        self.counts[watch, row, span] = False
        for what in WATCHED[watch]:
            self.good[what, row, span] = 0

    def sums(self, first_minute: int, minutes: int) -> Floats:
        """Sums over the windows that end with each of the minutes: [what, row, minute, window]."""
        column = self._panel.column(first_minute)
        held = self.good[:, : self._panel.rows, column - LONGEST + 1 : column + minutes]
        return np.asarray(held @ _members(minutes)).reshape(*held.shape[:2], minutes, len(WINDOWS))

    def last(self, row: int, minute: int, minutes: int) -> Floats:
        """The last minutes of one row, those of incidents too, oldest first: [what, minute]."""
        return self.all[:, row, self._columns(minute - minutes + 1, minutes)]

    def last_good(self, row: int, minute: int, minutes: int) -> Floats:
        return self.good[:, row, self._columns(minute - minutes + 1, minutes)]

    def totals(self, minute: int, minutes: int) -> Floats:
        """What the last minutes, those of incidents too, add up to: [what, row]."""
        return np.asarray(self.all[:, : self._panel.rows, self._columns(minute - minutes + 1, minutes)].sum(2))

    def _columns(self, first_minute: int, minutes: int) -> slice:
        column = self._panel.column(first_minute)
        return slice(column, column + minutes)


_MEMBERS: dict[int, Floats] = {}


def _members(minutes: int) -> Floats:
    """Which minutes are in which window, for windows that end with each of the last `minutes`: sums are a product of
    matrices. [minute, ending minute x window]"""
    held = _MEMBERS.get(minutes)
    if held is None:
        at = np.arange(LONGEST - 1 + minutes)[:, None, None]
        ends = LONGEST - 1 + np.arange(minutes)[None, :, None]
        inside = (at <= ends) & (at > ends - np.array(WINDOWS)[None, None, :])
        held = _MEMBERS[minutes] = inside.reshape(len(at), -1).astype(np.float32)
    return held
