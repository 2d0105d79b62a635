"""Plain questions that need nothing learnt: more errors than the day before, users nobody knew, a z-score.

`alerts.checks` switches them on and off. Each is called with an instant, and raises StoreError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from taximeter.alerts.alert import Observation
from taximeter.alerts.message import counted, dollars
from taximeter.alerts.states import SECOND_US
from taximeter.store.events import EventStore, Query
from taximeter.store.events.filters import parse_filters

MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

CHECK_EVERY_US: Final = MINUTE_US
"""How often they are asked."""

ERRORS_US: Final = 10 * MINUTE_US
LEAST_ERRORS: Final = 20
"""Errors of a feature in that time that are worth telling."""

MORE_ERRORS: Final = 3.0
"""So many times their share of the day before."""

GRAVE_ERRORS: Final = 0.5
"""From this share of the calls on it is critical."""

KNOWN_US: Final = 7 * DAY_US
"""Who called in so long a time before is no new spender."""

MOST_GROUPS: Final = 50


# ── errors ─────────────────────────────────────────────────────────────────────────────────────────────────

ERRORS_RULE: Final = "error_rate"


@dataclass(frozen=True, slots=True)
class Errors:
    """Features of which at least `share` of the calls of the last minutes failed, and `MORE_ERRORS` times as many as
    the day before."""

    store: EventStore
    share: float

    def __call__(self, now_us: int) -> list[Observation] | None:
        rows = self._rows(now_us - ERRORS_US, now_us)
        many = [row for row in rows if row["errors"] >= LEAST_ERRORS and row["error_rate"] >= self.share]
        if not many:
            return []
        before = self._rows(now_us - DAY_US - ERRORS_US, now_us - ERRORS_US)
        usual = {row["feature"]: row["error_rate"] or 0.0 for row in before}
        return [
            _failing(row, usual.get(row["feature"]))
            for row in many
            if row["error_rate"] >= MORE_ERRORS * usual.get(row["feature"], 0.0)
        ]

    def _rows(self, from_us: int, to_us: int) -> list[dict[str, Any]]:
        asked = Query(
            from_us=from_us,
            to_us=to_us,
            measures=("errors", "error_rate", "calls"),
            group_by=("feature",),
            limit=MOST_GROUPS,
        )
        return [row for row in self.store.query(asked).rows if not row.get("other")]


def _failing(row: Mapping[str, Any], usual: float | None) -> Observation:
    before = "no calls before" if usual is None else f"{usual:.1%} the day before"
    return Observation(
        rule=ERRORS_RULE,
        kind="error_rate",
        labels=_named(row, "feature"),
        severity="critical" if row["error_rate"] >= GRAVE_ERRORS else "warning",
        summary=f"{row['errors']} of {row['calls']} calls failed in 10 minutes ({row['error_rate']:.0%}; {before})",
        facts={
            "amount": f"{row['error_rate']:.0%} of {row['calls']} calls fail",
            "shown": [("Errors", str(row["errors"])), ("Calls", str(row["calls"])), ("Before", before)],
        },
    )


# ── new spenders ───────────────────────────────────────────────────────────────────────────────────────────

SPENDER_RULE: Final = "new_spender"


@dataclass(frozen=True, slots=True)
class NewSpenders:
    """Users who spent at least `usd` within the last hour and did not call in the week before it."""

    store: EventStore
    usd: Decimal

    def __call__(self, now_us: int) -> list[Observation] | None:
        spent = {row["user_id"]: row for row in self._rows(now_us - HOUR_US, now_us) if self._heavy(row)}
        if not spent:
            return []
        known = {row["user_id"] for row in self._rows(now_us - HOUR_US - KNOWN_US, now_us - HOUR_US, sorted(spent))}
        return [_new(row) for user, row in spent.items() if user not in known]

    def _heavy(self, row: Mapping[str, Any]) -> bool:
        cost = row["cost_usd"]
        return row["user_id"] is not None and not row.get("other") and cost is not None and Decimal(cost) >= self.usd

    def _rows(self, from_us: int, to_us: int, users: Sequence[str] = ()) -> list[dict[str, Any]]:
        asked = Query(
            from_us=from_us,
            to_us=to_us,
            measures=("cost_usd", "calls"),
            group_by=("user_id",),
            filters=parse_filters({"user_id": {"in": list(users)}}) if users else (),
            limit=MOST_GROUPS,
        )
        return self.store.query(asked).rows


def _new(row: Mapping[str, Any]) -> Observation:
    told = dollars(Decimal(row["cost_usd"]))
    return Observation(
        rule=SPENDER_RULE,
        kind="new_spender",
        labels=_named(row, "user_id"),
        severity="warning",
        summary=f"{told} in the last hour ({counted(row['calls'], 'call')}), and not a call in the week before",
        facts={"amount": f"{told} an hour", "shown": [("Spent", told), ("Calls", str(row["calls"]))]},
    )


# ── a z-score ──────────────────────────────────────────────────────────────────────────────────────────────

Z_SCORE_RULE: Final = "z_score"
GRAVE_Z_SCORE: Final = 2.0
"""Critical from so many times the bound on."""

Baseline = Callable[[int], Mapping[str, Any] | None]
"""The last whole hour before an instant: its `cost_usd`, the `baseline_cost_usd` of the hours of the week before it and
its `z_score`, each None where it is not known. Raises StoreError."""


@dataclass(frozen=True, slots=True)
class ZScore:
    """The last whole hour cost more than `bound` standard deviations over the mean of a week's hours."""

    baseline: Baseline
    bound: float

    def __call__(self, now_us: int) -> list[Observation] | None:
        row = self.baseline(now_us)
        if row is None or row["z_score"] is None:
            return None
        return [_far(row, self.bound)] if row["z_score"] > self.bound else []


def _far(row: Mapping[str, Any], bound: float) -> Observation:
    cost, mean = (dollars(Decimal(row[name])) for name in ("cost_usd", "baseline_cost_usd"))
    away = f"{row['z_score']:.1f}"
    return Observation(
        rule=Z_SCORE_RULE,
        kind="z_score",
        labels={},
        severity="critical" if row["z_score"] > GRAVE_Z_SCORE * bound else "warning",
        summary=f"the last hour cost {cost}, {away} standard deviations over the mean of {mean} of a week's hours",
        facts={
            "amount": f"{cost} an hour",
            "shown": [("Last hour", cost), ("Mean", mean), ("z-score", away)],
        },
    )


def _named(row: Mapping[str, Any], dimension: str) -> dict[str, str]:
    return {} if row[dimension] is None else {dimension: str(row[dimension])}
