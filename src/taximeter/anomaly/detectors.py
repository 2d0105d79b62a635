"""Detectors: each screens all rows at once, then looks closely at the few that stand out.

Both size and significance are asked for: a ratio that matters, and a tail of the row's own noise that is too thin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.finding import FindingKind, Severity
from taximeter.anomaly.memory import KNOWN_DAYS
from taximeter.anomaly.panel import Panel, Role
from taximeter.anomaly.peaks import Peaks
from taximeter.anomaly.ratios import Ratios
from taximeter.anomaly.rules import Thresholds
from taximeter.anomaly.spread import SESSION_MINUTES, Spread
from taximeter.anomaly.tails import as_heavy_as_log_normal, binomial_tail, gamma_tail, negative_binomial_tail, one_of
from taximeter.anomaly.windows import WINDOWS, Seen, Watch, Windows

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]
Places = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A row that is off now, in a window of so many minutes. `ratio` is what was seen per what was expected."""

    kind: FindingKind
    watch: Watch
    row: int
    window: int
    ratio: float
    score: float
    severity: Severity
    surely: float = 0.0
    """Of shares: what it is at least, two standard deviations below what was seen."""
    first: float = 0.0
    """Of shares: the first attempts that they are of."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What is known of all rows in the slot under way."""

    panel: Panel
    windows: Windows
    spread: Spread
    peaks: Peaks
    ratios: Ratios
    thresholds: Thresholds
    days_known: Floats
    """How many days each row has been known for."""
    unexpected: Flags
    """MIX rows whose model nobody allowed."""
    settled: Flags
    """MIX rows whose share is known and not about to change by plan."""
    alike: Places
    """How many users are watched one by one, for a row that is one of them; 1 for rows of other kinds."""


@dataclass(frozen=True, slots=True)
class Detector:
    """`screen` tells which of `sums[what, row, minute, window]` are of a size that matters; `examine` what to make of
    those of one minute: `sums[what, row, window]`, rows and windows (by place)."""

    watch: Watch
    screen: Callable[[Learnt, Floats], Flags]
    examine: Callable[[Learnt, int, Floats, Places, Places], list[Suspicion]]


def _first_per_row(
    rows: Places, places: Places, scores: Floats, look: Callable[[int, int, float], Suspicion | None]
) -> list[Suspicion]:
    """What `look` makes of the highest score of every row; of the next one where it makes nothing of it."""
    found: dict[int, Suspicion] = {}
    for row, place, score in _highest_first(rows, places, scores):
        if row not in found and (suspicion := look(row, place, score)) is not None:
            found[row] = suspicion
    return list(found.values())


def _highest_first(rows: Places, places: Places, scores: Floats) -> Iterator[tuple[int, int, float]]:
    for at in np.argsort(-scores):
        yield int(rows[at]), int(places[at]), float(scores[at])


def _worth_a_word(learnt: Learnt, watch: Watch, rows: Places, places: Places, scores: Floats, least: Any) -> Flags:
    """Which scores are high enough, for this row as well; the others are remembered as what is normal."""
    enough = (scores >= least) & (scores >= learnt.peaks.limit(watch, rows, places))
    learnt.peaks.note(watch, rows[~enough], places[~enough], scores[~enough])
    return np.asarray(enough)


def surely_critical(ratio: float, critical: float, deviation: float) -> Severity:
    """Critical when that is likely: half a relative standard deviation above the threshold. What is told as a warning
    may grow worse; what was told as critical is never taken back."""
    return "critical" if ratio >= critical * (1 + 0.5 * deviation) else "warning"


# ── volume ─────────────────────────────────────────────────────────────────────────────────────────────────────

LEAST_CALLS: Final = 8.0
"""Calls beyond the expected ones, below which nothing is worth a word; three times as many where hardly any are
expected, for what comes so rarely is known poorly: a user's session of a few minutes is no incident."""

SPARSE_CALLS: Final = 10.0
SPARSE_SCORE: Final = 1.0
"""What a window must score more in which fewer calls are expected: the noise of the rare is known worst."""

BURST_MINUTES: Final = 3
"""A burst this long is harmless below the size that needs no waiting."""

SUDDEN: Final = 2.9
"""An excess this large is told at once; a smaller one must last longer than a burst."""

EXPECTED_DAYS: Final = 1.2
"""Of the first day nothing is expected until an hour and a quarter of the next one are over; three hours later the
longest window knows what to expect of all its minutes."""

LEARNING_DAYS: Final = (3.0, 14.0)
LEARNING_FACTOR: Final = (2.0, 1.5, 1.0)
"""Rows known for less than so many days must exceed the warning ratio by these factors: less is known of them."""


def learning_factor(days_known: Floats) -> Floats:
    return np.asarray(np.array(LEARNING_FACTOR)[np.searchsorted(LEARNING_DAYS, days_known, side="right")])


def _least_volume(learnt: Learnt) -> Floats:
    return np.asarray(learnt.thresholds.volume_warning * learning_factor(learnt.days_known))


def _screen_volume(learnt: Learnt, sums: Floats) -> Flags:
    calls, expected = sums[Seen.CALLS], sums[Seen.EXPECTED]
    eligible = learnt.panel.of_role(Role.GROUP, Role.SPENDER) & (learnt.days_known >= EXPECTED_DAYS)
    least = _least_volume(learnt)[:, None, None]
    large = (calls >= least * expected) & (expected > 0)
    large &= calls - expected >= LEAST_CALLS * (1 + 2 / (1 + expected))
    return np.asarray(large & eligible[:, None, None])


def _examine_volume(learnt: Learnt, minute: int, sums: Floats, rows: Places, places: Places) -> list[Suspicion]:
    calls, expected = sums[Seen.CALLS], sums[Seen.EXPECTED]
    ratios = calls[rows, places] / expected[rows, places]
    dispersion = learnt.spread.dispersion[rows, places]
    dispersion = np.where(learnt.days_known[rows] >= KNOWN_DAYS, _of_sessions(dispersion, ratios, places), dispersion)
    scores = negative_binomial_tail(calls[rows, places], expected[rows, places], dispersion)
    asked = one_of(learnt.thresholds.score, learnt.alike[rows])
    asked = asked + SPARSE_SCORE * (expected[rows, places] < SPARSE_CALLS)
    enough = _worth_a_word(learnt, Watch.VOLUME, rows, places, scores, asked)
    least = _least_volume(learnt)

    def look(row: int, place: int, score: float) -> Suspicion | None:
        ratio = float(calls[row, place] / expected[row, place])
        if ratio < SUDDEN and not _outlasts_a_burst(learnt, minute, row, WINDOWS[place], float(least[row])):
            return None
        deviation = volume_deviation(learnt, row, WINDOWS[place], float(expected[row, place]))
        severity = surely_critical(ratio, learnt.thresholds.volume_critical, deviation)
        return Suspicion("volume_spike", Watch.VOLUME, row, WINDOWS[place], ratio, score, severity)

    return _first_per_row(rows[enough], places[enough], scores[enough], look)


def _of_sessions(dispersion: Floats, ratios: Floats, places: Places) -> Floats:
    """What a few sessions do multiplies, so a short window's tail is that of a log-normal variable; in a long one many
    of them average out. For dispersions that were learnt: the guess of the first days is wide as it is."""
    few = np.minimum(1.0, SESSION_MINUTES / np.array(WINDOWS)[places])
    return np.asarray(dispersion + few * (as_heavy_as_log_normal(ratios, dispersion) - dispersion))


def volume_deviation(learnt: Learnt, row: int, window: int, expected: float) -> float:
    """Relative standard deviation of the calls of a window."""
    place = min(int(np.searchsorted(WINDOWS, window)), len(WINDOWS) - 1)
    dispersion = learnt.spread.dispersion[row, place]
    return float(np.sqrt(1 / max(expected, 1.0) + dispersion))


def _outlasts_a_burst(learnt: Learnt, minute: int, row: int, window: int, least: float) -> bool:
    """Whether the excess is there without the largest minutes, too."""
    minutes = learnt.windows.last_good(row, minute, window)
    calls, expected = minutes[Seen.CALLS], minutes[Seen.EXPECTED]
    rest = np.argsort(calls - expected)[:-BURST_MINUTES]
    return len(rest) > 0 and bool(calls[rest].sum() >= (1 + 0.8 * (least - 1)) * expected[rest].sum())


# ── retries ────────────────────────────────────────────────────────────────────────────────────────────────────

LEAST_RETRIES: Final = 6.0
RETRY_WINDOWS: Final = 8
"""Places in WINDOWS: storms are told within the hour."""

RETRY_BLIP: Final = 0.12
"""Retries per first attempt that a hiccup of a provider brings for some minutes: no storm."""


def _screen_retries(learnt: Learnt, sums: Floats) -> Flags:
    first, again = sums[Seen.FIRST], sums[Seen.RETRIES]
    large = (again >= LEAST_RETRIES) & (again >= learnt.thresholds.retries_warning * first)
    large[..., RETRY_WINDOWS:] = False
    return np.asarray(large & learnt.panel.of_role(Role.GROUP, Role.SPENDER, Role.MODEL)[:, None, None])


def _examine_retries(learnt: Learnt, _minute: int, sums: Floats, rows: Places, places: Places) -> list[Suspicion]:
    usual = np.minimum(np.maximum(RETRY_BLIP, 3 * learnt.ratios.retries[rows]), 0.9)
    again, first = sums[Seen.RETRIES][rows, places], sums[Seen.FIRST][rows, places]
    scores = binomial_tail(again, again + first, usual / (1 + usual))
    enough = scores >= learnt.thresholds.score - 1

    def look(row: int, place: int, score: float) -> Suspicion | None:
        again, first = float(sums[Seen.RETRIES, row, place]), float(sums[Seen.FIRST, row, place])
        severity = storm_severity(first, again, learnt.thresholds)
        return Suspicion("retry_storm", Watch.RETRIES, row, WINDOWS[place], again / max(first, 1.0), score, severity)

    return _first_per_row(rows[enough], places[enough], scores[enough], look)


def storm_severity(first: float, again: float, thresholds: Thresholds) -> Severity:
    """Critical when that is likely: half a standard deviation above the threshold."""
    surely = again - 0.5 * np.sqrt(again + thresholds.retries_critical**2 * first)
    return "critical" if surely >= thresholds.retries_critical * first else "warning"


# ── cost per call ──────────────────────────────────────────────────────────────────────────────────────────────

LEAST_PRICED: Final = 10.0
CLUMP_MINUTES: Final = 13
CLUMP_CALLS: Final = 150.0
CLUMP_SCORE: Final = 2.0
"""What a window must score more that is as short and has fewer calls: those of a few minutes are of few users and
alike, and the cost of answers has a longer tail than any that is fitted to its variance."""

DENSE_CALLS: Final = 30.0
"""With so many calls a minute, one endless answer does not move a minute's mean."""

DEAREST_SHARE: Final = (0.1, 0.2)
DEAREST_MINUTES: Final = (1, 2)
"""The part of a window's minutes, at least so many, that an excess may not rest on: the dearest ones, where calls are
dense and where they are not. One endless answer among thirty is no change of course."""


def _least_cost(learnt: Learnt) -> Floats:
    return np.asarray(learnt.thresholds.cost_warning * np.sqrt(learning_factor(learnt.days_known)))


def _screen_cost(learnt: Learnt, sums: Floats) -> Flags:
    calls, cost, expected = (sums[what] for what in (Seen.PRICED, Seen.COST, Seen.COST_EXPECTED))
    large = (calls >= LEAST_PRICED) & (cost >= _least_cost(learnt)[:, None, None] * expected) & (expected > 0)
    return np.asarray(large & (learnt.panel.of_role(Role.GROUP) & (learnt.days_known >= 1))[:, None, None])


def _examine_cost(learnt: Learnt, minute: int, sums: Floats, rows: Places, places: Places) -> list[Suspicion]:
    calls, cost, expected = (sums[what] for what in (Seen.PRICED, Seen.COST, Seen.COST_EXPECTED))
    variance = learnt.spread.cost_variance[rows] / calls[rows, places] + learnt.spread.cost_drift[rows]
    scores = gamma_tail(cost[rows, places] / expected[rows, places], variance)
    clumped = (calls[rows, places] < CLUMP_CALLS) & (np.array(WINDOWS)[places] <= CLUMP_MINUTES)
    asked = learnt.thresholds.score + CLUMP_SCORE * clumped
    enough = _worth_a_word(learnt, Watch.COST, rows, places, scores, asked)
    least = _least_cost(learnt)

    def look(row: int, place: int, score: float) -> Suspicion | None:
        if not _is_spread_out(learnt, minute, row, WINDOWS[place], float(least[row])):
            return None
        ratio = float(cost[row, place] / expected[row, place])
        calls_seen = float(calls[row, place])
        severity = surely_critical(ratio, learnt.thresholds.cost_critical, cost_deviation(learnt, row, calls_seen))
        return Suspicion("cost_per_request", Watch.COST, row, WINDOWS[place], ratio, score, severity)

    return _first_per_row(rows[enough], places[enough], scores[enough], look)


def cost_deviation(learnt: Learnt, row: int, calls: float) -> float:
    """Relative standard deviation of the mean cost of so many calls, whose drift has half averaged out."""
    spread = learnt.spread
    return float(np.sqrt(spread.cost_variance[row] / max(calls, 1.0) + spread.cost_drift[row] / 2))


def _is_spread_out(learnt: Learnt, minute: int, row: int, window: int, least: float) -> bool:
    """Whether calls cost more without the dearest minutes, too."""
    minutes = learnt.windows.last_good(row, minute, window)
    cost, expected = minutes[Seen.COST], minutes[Seen.COST_EXPECTED]
    active = np.flatnonzero(expected > 0)
    sparse = int(minutes[Seen.PRICED].sum() < DENSE_CALLS * len(active))
    dropped = max(DEAREST_MINUTES[sparse], round(DEAREST_SHARE[sparse] * len(active)))
    rest = active[np.argsort((cost - expected)[active])[:-dropped]]
    if not len(rest) or cost[rest].sum() < (1 + 0.75 * (least - 1)) * expected[rest].sum():
        return False
    variance = learnt.spread.cost_variance[row] / minutes[Seen.PRICED][rest].sum() + learnt.spread.cost_drift[row]
    return bool(gamma_tail(cost[rest].sum() / expected[rest].sum(), variance) >= REST_SCORE)


REST_SCORE: Final = 3.0
"""The score that is asked of what is left when the dearest minutes are taken away."""


# ── cache ──────────────────────────────────────────────────────────────────────────────────────────────────────

EARNED_RATE: Final = 0.55
"""A hit rate that was expected to be at least this is worth watching; a feature that lives at 37 % is healthy."""

CACHE_DROP: Final = 0.77
"""The rate must have fallen to this part of the expected one, besides the absolute threshold."""

QUIET: Final = 0.5
"""Below this part of the expected calls a cache cools down by itself, as on a day off: the rate must fall further."""

TOKEN_WEIGHT: Final = 2.0
"""Calls are weighed by their input tokens, whose squared coefficient of variation is about 1: the variance doubles."""

CLUMPED_DEVIATIONS: Final = 2.0
"""Standard deviations that the rate must be below the threshold in a window shorter than CLUMP_MINUTES: the calls of a
few minutes are of few users and alike. In a longer one, a single deviation."""

CACHE_DRIFT: Final = 0.03
"""Standard deviation of the rate from hour to hour, beyond chance."""


def _screen_cache(learnt: Learnt, sums: Floats) -> Flags:
    calls, tokens, cached, expected = (
        sums[what] for what in (Seen.INPUT_CALLS, Seen.INPUT, Seen.CACHED, Seen.CACHED_EXPECTED)
    )
    warmth = np.sqrt(np.clip(sums[Seen.CALLS] / np.maximum(QUIET * sums[Seen.EXPECTED], 1e-9), 0, 1))
    low = (calls >= LEAST_PRICED) & (expected >= EARNED_RATE * tokens) & (cached <= CACHE_DROP * warmth * expected)
    low &= cached <= learnt.thresholds.cache_warning * tokens
    return np.asarray(low & (learnt.panel.of_role(Role.GROUP) & (learnt.days_known >= 1))[:, None, None])


def _examine_cache(learnt: Learnt, _minute: int, sums: Floats, rows: Places, places: Places) -> list[Suspicion]:
    tokens = sums[Seen.INPUT][rows, places]
    usual, rate = sums[Seen.CACHED_EXPECTED][rows, places] / tokens, sums[Seen.CACHED][rows, places] / tokens
    chance = TOKEN_WEIGHT * usual * (1 - usual) / sums[Seen.INPUT_CALLS][rows, places]
    scores = (usual - rate) / np.sqrt(chance + CACHE_DRIFT**2)
    enough = _worth_a_word(learnt, Watch.CACHE, rows, places, scores, learnt.thresholds.score)

    def look(row: int, place: int, score: float) -> Suspicion | None:
        cached, expected, tokens = (
            float(sums[what, row, place]) for what in (Seen.CACHED, Seen.CACHED_EXPECTED, Seen.INPUT)
        )
        rate, calls = cached / tokens, float(sums[Seen.INPUT_CALLS, row, place])
        surely = CLUMPED_DEVIATIONS if WINDOWS[place] < CLUMP_MINUTES else 1.0
        if rate + surely * rate_deviation(rate, calls) > learnt.thresholds.cache_warning:
            return None
        return Suspicion(
            "cache_hit_rate",
            Watch.CACHE,
            row,
            WINDOWS[place],
            cached / expected,
            score,
            cache_severity(rate, calls, learnt.thresholds),
        )

    return _first_per_row(rows[enough], places[enough], scores[enough], look)


def rate_deviation(rate: float, calls: float) -> float:
    """Standard deviation of the hit rate of so many calls."""
    return float(np.sqrt(TOKEN_WEIGHT * rate * (1 - rate) / max(calls, 1.0)))


def cache_severity(rate: float, calls: float, thresholds: Thresholds) -> Severity:
    """Critical when that is likely: half a standard deviation below the threshold."""
    return "critical" if rate < thresholds.cache_critical - 0.5 * rate_deviation(0.5, calls) else "warning"


# ── model mix ──────────────────────────────────────────────────────────────────────────────────────────────────

UNEXPECTED_CALLS: Final = 3.0
DRIFT_CALLS: Final = 6.0
DRIFT_WINDOWS: Final = 9
"""Places in WINDOWS."""

MIX_CLUMPING: Final = 1.5
"""Calls of one model come in clumps; the usual share is taken to be this much larger."""

CERTAIN_SCORE: Final = 9.0
"""The score of what needs no statistics: a model that nobody allowed."""


def _screen_mix(learnt: Learnt, sums: Floats) -> Flags:
    calls, first, expected = (sums[what] for what in (Seen.CALLS, Seen.FIRST, Seen.EXPECTED))
    unexpected = learnt.unexpected[:, None, None] & (calls >= UNEXPECTED_CALLS)
    drifted = (calls >= DRIFT_CALLS) & (calls >= learnt.thresholds.share_warning * first) & (calls > 3 * expected)
    found = unexpected | (drifted & (learnt.settled & ~learnt.unexpected)[:, None, None])
    found[..., DRIFT_WINDOWS:] = False
    return np.asarray(found & learnt.panel.of_role(Role.MIX)[:, None, None])


def _examine_mix(learnt: Learnt, _minute: int, sums: Floats, rows: Places, places: Places) -> list[Suspicion]:
    calls, first, expected = (sums[what][rows, places] for what in (Seen.CALLS, Seen.FIRST, Seen.EXPECTED))
    usual = np.clip(MIX_CLUMPING * expected / np.maximum(first, 1), 1e-3, 0.95)
    scores = binomial_tail(calls, np.maximum(first, calls), usual)
    scores = np.where(learnt.unexpected[rows], np.maximum(scores, CERTAIN_SCORE), scores)
    enough = scores >= learnt.thresholds.score

    def look(row: int, place: int, score: float) -> Suspicion | None:
        calls, first = float(sums[Seen.CALLS, row, place]), max(float(sums[Seen.FIRST, row, place]), 1.0)
        surely = (calls - 2 * calls**0.5) / first
        return Suspicion("model_drift", Watch.MIX, row, WINDOWS[place], calls / first, score, "warning", surely, first)

    return _first_per_row(rows[enough], places[enough], scores[enough], look)


def share_severity(first: float, calls: float, critical: float) -> Severity:
    """Of a dear model's part of a feature's first attempts: critical when that is likely, half a standard deviation
    above the threshold."""
    share, first = calls / max(first, 1.0), max(first, 1.0)
    deviation = np.sqrt(critical * (1 - critical) / first)
    return "critical" if share >= critical + 0.5 * deviation else "warning"


DETECTORS: Final = (
    Detector(Watch.VOLUME, _screen_volume, _examine_volume),
    Detector(Watch.RETRIES, _screen_retries, _examine_retries),
    Detector(Watch.COST, _screen_cost, _examine_cost),
    Detector(Watch.CACHE, _screen_cache, _examine_cache),
    Detector(Watch.MIX, _screen_mix, _examine_mix),
)
