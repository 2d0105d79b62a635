"""One incident, one finding: of the scopes that are off at once, the one that explains the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.detectors import (
    BURST_MINUTES,
    SUDDEN,
    Learnt,
    Suspicion,
    storm_severity,
    surely_critical,
    volume_deviation,
)
from taximeter.anomaly.panel import MODEL, Panel, Role
from taximeter.anomaly.windows import Seen, Watch

Floats = NDArray[np.floating[Any]]

Explained = tuple[Suspicion, list[int]]
"""A suspicion of the row that explains it, and all rows whose minutes it spoils (that row first)."""

SURE_DEVIATIONS: Final = 2.0
"""Standard deviations that the other users must be below what they would have if all were off alike."""

LEADING_RATIO: Final = 1.3
STORMING: Final = 0.4
"""Retries per first attempt from which a feature takes part in a model's storm."""

LEAST_STORM_MINUTES: Final = 3

JUST_BEGUN: Final = 0.4
"""A storm has begun in this minute if so much of the last three minutes' retries is of it."""

IN_USE_CALLS: Final = 0.5
"""Calls expected in three minutes of a feature that is worth waiting for."""

MAIN_SHARE: Final = 0.5
"""The model that has more of a feature's calls than this is the feature's main one."""


def explain_volume(learnt: Learnt, minute: int, found: Sequence[Suspicion]) -> Iterator[Explained]:
    for top, group in _by_feature(learnt.panel, found).items():
        if learnt.windows.bad[Watch.VOLUME, top]:
            continue
        best = max(group, key=lambda one: one.score)
        totals = learnt.windows.totals(minute, best.window)
        spenders = _spenders(learnt.panel, top, minute)
        culprit = _spending_alone(learnt, totals, top, spenders)
        row = top if culprit is None else culprit
        ratio = float(totals[Seen.CALLS, row] / max(totals[Seen.EXPECTED, row], 1e-9))
        if ratio < learnt.thresholds.volume_warning or (ratio < SUDDEN and best.window <= BURST_MINUTES):
            continue
        deviation = volume_deviation(learnt, row, best.window, float(totals[Seen.EXPECTED, row]))
        severity = surely_critical(ratio, learnt.thresholds.volume_critical, deviation)
        told = replace(best, row=row, ratio=ratio, severity=severity)
        yield told, [top, *spenders] if culprit is None else [row, top]


def _spending_alone(learnt: Learnt, totals: Floats, top: int, spenders: list[int]) -> int | None:
    """The one user who explains the excess, if the others are surely where they should be."""
    if len(spenders) < 2:
        return None
    calls, expected = totals[Seen.CALLS], totals[Seen.EXPECTED]
    leader = max(spenders, key=lambda row: calls[row] - expected[row])
    others, others_expected = calls[top] - calls[leader], expected[top] - expected[leader]
    ratio = calls[leader] / max(expected[leader], 1e-9)
    if ratio < LEADING_RATIO or others_expected <= 0 or others > np.sqrt(ratio) * others_expected:
        return None
    alike = ratio * others_expected
    if calls[top] < learnt.thresholds.volume_warning * expected[top]:
        return leader
    return leader if alike - others >= SURE_DEVIATIONS * np.sqrt(alike) else None


def explain_retries(learnt: Learnt, minute: int, found: Sequence[Suspicion]) -> Iterator[Explained]:
    """A model whose calls are repeated in several features; else each feature, or the one user in it."""
    panel, spoiled = learnt.panel, set[int]()
    for storm in _of_models(learnt, minute, found):
        rows = _storming_features(learnt, minute, storm)
        if rows:
            spoiled.update(rows)
            yield storm, [storm.row, *rows]
    below = [storm for storm in found if panel.role[storm.row] != Role.MODEL and storm.row not in spoiled]
    for top, group in _by_feature(panel, below).items():
        told = top in spoiled or bool(learnt.windows.bad[Watch.RETRIES, top])
        if not told and not _may_be_of_its_model(learnt, minute, top):
            yield _storm_in(learnt, minute, top, max(group, key=lambda one: one.score))


def _of_models(learnt: Learnt, minute: int, found: Sequence[Suspicion]) -> list[Suspicion]:
    """Models that were found to be off, and those of which several features were."""
    storms = {storm.row: storm for storm in found if learnt.panel.role[storm.row] == Role.MODEL}
    together: dict[int, list[Suspicion]] = {}
    for storm in found:
        for model in _main_models(learnt, storm.row):
            together.setdefault(model, []).append(storm)
    for model, group in together.items():
        if model not in storms and len(group) > 1:
            storms[model] = _storm_at(learnt, minute, model, max(group, key=lambda one: one.score))
    return list(storms.values())


def _may_be_of_its_model(learnt: Learnt, minute: int, top: int) -> bool:
    """Whether a storm has begun in this minute, and the other features of the model have had too few calls to tell."""
    begun, lately = (learnt.windows.totals(minute, minutes) for minutes in (1, LEAST_STORM_MINUTES))
    if begun[Seen.RETRIES, top] < JUST_BEGUN * lately[Seen.RETRIES, top]:
        return False
    others = [row for model in _main_models(learnt, top) for row in _features_of(learnt, model) if row != top]
    return any(lately[Seen.EXPECTED, row] >= IN_USE_CALLS and not _is_calm(lately, row) for row in others)


def _main_models(learnt: Learnt, feature: int) -> list[int]:
    """The model that has most of a feature's calls, if there is one: its row."""
    panel = learnt.panel
    mine = panel.of_role(Role.MIX) & (learnt.ratios.share > MAIN_SHARE) & (panel.parent[: panel.rows] == feature)
    names = (dict(panel.scopes[row])[MODEL] for row in np.flatnonzero(mine))
    return [panel.row_of[((MODEL, name),)] for name in names]


def _features_of(learnt: Learnt, model: int) -> list[int]:
    """The features of which a model is the main one."""
    panel = learnt.panel
    name = dict(panel.scopes[model])[MODEL]
    mixes = np.flatnonzero(panel.of_role(Role.MIX) & (learnt.ratios.share > MAIN_SHARE))
    return [int(panel.parent[row]) for row in mixes if dict(panel.scopes[row])[MODEL] == name]


def _storming_features(learnt: Learnt, minute: int, storm: Suspicion) -> list[int]:
    """The features of a model, and their users, if most of those with calls enough to tell take part."""
    features = _features_of(learnt, storm.row)
    # A storm that has just begun shows in its own window, few calls only in a longer one.
    spans = [learnt.windows.totals(minute, minutes) for minutes in (storm.window, LEAST_STORM_MINUTES)]
    part = [row for row in features if any(_storms(totals, row) for totals in spans)]
    calm = [row for row in features if row not in part and _is_calm(spans[0], row)]
    if len(part) < 2 or len(part) <= len(calm):
        return []
    return [row for feature in features for row in (feature, *_spenders(learnt.panel, feature, minute))]


def _storms(totals: Floats, row: int) -> bool:
    first, again = totals[Seen.FIRST, row], totals[Seen.RETRIES, row]
    return bool(again >= 2 and again >= STORMING * first)


def _is_calm(totals: Floats, row: int) -> bool:
    """Whether a feature surely takes no part: two standard deviations below."""
    first, again = totals[Seen.FIRST, row], totals[Seen.RETRIES, row]
    return bool(again + SURE_DEVIATIONS * np.sqrt(again + 1) < STORMING * first)


def _storm_in(learnt: Learnt, minute: int, top: int, best: Suspicion) -> Explained:
    totals = learnt.windows.totals(minute, best.window)
    first, again = totals[Seen.FIRST], totals[Seen.RETRIES]
    spenders = _spenders(learnt.panel, top, minute)
    row = top
    if len(spenders) >= 2:
        leader = max(spenders, key=lambda spender: again[spender])
        alike = again[leader] / max(first[leader], 1.0) * (first[top] - first[leader])
        others = again[top] - again[leader]
        if others <= 0.3 * alike and alike - others >= SURE_DEVIATIONS:
            row = leader
    return _storm_at(learnt, minute, row, best), [top, *spenders] if row == top else [row, top]


def _storm_at(learnt: Learnt, minute: int, row: int, best: Suspicion) -> Suspicion:
    """What `best` found, of another row."""
    totals = learnt.windows.totals(minute, best.window)
    first, again = float(totals[Seen.FIRST, row]), float(totals[Seen.RETRIES, row])
    severity = storm_severity(first, again, learnt.thresholds)
    return replace(best, row=row, ratio=again / max(first, 1.0), severity=severity)


def explain_alone(_learnt: Learnt, _minute: int, found: Sequence[Suspicion]) -> Iterator[Explained]:
    for suspicion in found:
        yield suspicion, [suspicion.row]


def _by_feature(panel: Panel, found: Sequence[Suspicion]) -> dict[int, list[Suspicion]]:
    groups: dict[int, list[Suspicion]] = {}
    for one in found:
        parent = int(panel.parent[one.row])
        groups.setdefault(parent if parent >= 0 else one.row, []).append(one)
    return groups


def _spenders(panel: Panel, top: int, minute: int) -> list[int]:
    """The users of a feature that there are by now."""
    mine = (panel.parent[: panel.rows] == top) & panel.of_role(Role.SPENDER) & (panel.born[: panel.rows] <= minute)
    return [int(row) for row in np.flatnonzero(mine)]


EXPLAINERS: Final = {
    Watch.VOLUME: explain_volume,
    Watch.RETRIES: explain_retries,
    Watch.COST: explain_alone,
    Watch.CACHE: explain_alone,
    Watch.MIX: explain_alone,
}
