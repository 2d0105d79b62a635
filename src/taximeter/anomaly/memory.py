"""What of a slot that is over belongs into history: good minutes, and none of a gap in the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.calendar import MINUTES_A_DAY, SLOT_MINUTES
from taximeter.anomaly.history import Hourly
from taximeter.anomaly.panel import Panel, Raw, Role
from taximeter.anomaly.volume import LEAST_SHAPE
from taximeter.anomaly.windows import Seen, Watch, Windows

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]

SILENT_CALLS: Final = 8.0
"""A stretch without a call in which so many were expected is a gap in the data: one in 3,000 otherwise."""


KNOWN_DAYS: Final = 7
"""Once the week's rhythm is known, silence tells of a gap, and minutes of an incident are not normal ones. Before, they
may be the pause of a nightly job and the job itself: left out, it would be news every night and every week."""


QUIET_SHAPE: Final = 2 * LEAST_SHAPE
"""Below this part of the level silence tells nothing of a row: between its jobs nothing comes, though something may."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """Sums over the good minutes of a slot, per row: calls, how many minutes, and `hourly[Hourly, row]`."""

    calls: Floats
    minutes: Floats
    hourly: Floats


def remembered(panel: Panel, windows: Windows, level: Floats, slot: int) -> Remembered:
    """`level`: calls a minute of each row, on average."""
    rows, begins = panel.rows, panel.column(slot * SLOT_MINUTES)
    if begins < 0:
        return Remembered(np.zeros(rows), np.zeros(rows), np.zeros((len(Hourly), rows)))
    span = slice(begins, begins + SLOT_MINUTES)
    there = np.arange(slot * SLOT_MINUTES, (slot + 1) * SLOT_MINUTES)[None, :] >= panel.born[:rows, None]
    counted = windows.counts[Watch.VOLUME, :rows, span] | ~_is_known(panel)[:, None]
    counted &= ~_silent_minutes(panel, windows, level, begins)
    counted &= there
    calls = (windows.all[Seen.CALLS, :rows, span] * counted).sum(1)
    return Remembered(calls, counted.sum(1).astype(float), _hourly(panel, windows, span, there))


def _is_known(panel: Panel) -> Flags:
    """Which rows had been there for a week when the slot under way began."""
    now = panel.newest // SLOT_MINUTES * SLOT_MINUTES
    return np.asarray(now - panel.born[: panel.rows] >= KNOWN_DAYS * MINUTES_A_DAY)


def _hourly(panel: Panel, windows: Windows, span: slice, there: Flags) -> Floats:
    """`there`: since the row is, for what its feature had before is no news of a model."""
    rows = panel.rows

    def good(what: Seen) -> Floats:
        return np.asarray((windows.good(what, slice(rows), span) * there).sum(1))

    raw = panel.raw[:, :rows, span]
    priced = windows.counts[Watch.COST, :rows, span]
    cached = windows.counts[Watch.CACHE, :rows, span]
    mix = panel.of_role(Role.MIX)
    hourly = np.zeros((len(Hourly), rows))
    hourly[Hourly.CALLS] = np.where(mix, good(Seen.CALLS), good(Seen.PRICED))
    hourly[Hourly.FIRST] = good(Seen.FIRST)
    hourly[Hourly.RETRIES] = good(Seen.RETRIES)
    for what, held, counted in (
        (Hourly.INPUT, Raw.INPUT, priced),
        (Hourly.OUTPUT, Raw.OUTPUT, priced),
        (Hourly.CACHE_INPUT, Raw.INPUT, cached),
        (Hourly.CACHED, Raw.CACHED, cached),
        (Hourly.INPUT_USD, Raw.INPUT_USD, priced),
        (Hourly.OUTPUT_USD, Raw.OUTPUT_USD, priced),
    ):
        hourly[what] = (raw[held] * counted).sum(1)
    return hourly


def _silent_minutes(panel: Panel, windows: Windows, level: Floats, begins: int) -> Flags:
    """Minutes of a slot in a stretch in which nothing came though something should have: [row, minute]."""
    rows = panel.rows
    around = slice(max(begins - SLOT_MINUTES, 0), begins + 2 * SLOT_MINUTES)
    quiet = panel.raw[Raw.CALLS, :rows, around] == 0
    expected = windows.all[Seen.EXPECTED, :rows, around]
    least = np.zeros(rows)
    least[: len(level)] = QUIET_SHAPE * level[:rows]
    expected = np.where(expected > least[:, None], expected, 0)
    silent = np.zeros((rows, SLOT_MINUTES), bool)
    offset, known = begins - around.start, _is_known(panel)
    if quiet.all(0).any():  # nothing at all came from anywhere: the collector was out
        features = panel.of_role(Role.GROUP) & known
        silent[:] = _silent(quiet.all(0), expected[features].sum(0))[offset : offset + SLOT_MINUTES]
    for row in np.flatnonzero(((expected * quiet).sum(1) >= SILENT_CALLS) & known):
        silent[row] |= _silent(quiet[row], expected[row])[offset : offset + SLOT_MINUTES]
    return silent


def _silent(quiet: Flags, expected: Floats) -> Flags:
    """Which minutes belong to a silent stretch that is too long to be chance."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]])))
    silent = np.zeros(len(quiet), bool)
    for begins, ends in zip(edges[::2], edges[1::2], strict=True):
        silent[begins:ends] = expected[begins:ends].sum() >= SILENT_CALLS
    return silent
