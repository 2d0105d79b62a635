"""The cost of hours against the week before each of them: mean, standard deviation, z-score.

For n hours of costs x: mean m = Σx / n, sample deviation s = √(Σ(x - m)² / (n - 1)), z = (cost - m) / s. An hour
without calls cost nothing; one whose cost is not known is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from taximeter.clock import to_datetime, to_unix_us
from taximeter.core.money import ZERO, add, exact, format_usd
from taximeter.store.events import Query
from taximeter.store.events.filters import parse_filters
from taximeter.store.events.instants import parse_instant, time_zone

if TYPE_CHECKING:
    from taximeter.reports.questions import Asked

SHOWN_HOURS: Final = 24
BASELINE_HOURS: Final = 7 * 24
HOUR_US: Final = 3_600_000_000
_PRECISE: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)

Costs = Mapping[int, Decimal | None]
"""Cost by the start of the hour, microseconds since the epoch; None when it is not known."""


def hourly_baseline(store: Asked, asked: Mapping[str, Any], now_us: int) -> dict[str, Any]:
    """The last 24 hours (UTC hours, told in the zone) up to `to`; the last one may be under way (`complete`)."""
    zone = time_zone(asked.get("timezone") or "UTC")
    to_us = parse_instant(asked["to"], now_us, zone.key, field="to") if asked.get("to") else now_us + 1
    last_us = (to_us - 1) // HOUR_US * HOUR_US
    shown = [last_us - hours * HOUR_US for hours in reversed(range(SHOWN_HOURS))]
    filters = parse_filters(asked.get("filters") or {})
    from_us = shown[0] - BASELINE_HOURS * HOUR_US
    by_hour = store.query(Query(from_us=from_us, to_us=to_us, measures=("cost_usd",), filters=filters, interval="hour"))
    costs = {_hour_us(row["time"]): _known(row["cost_usd"]) for row in by_hour.rows}
    whole = store.query(Query(from_us=shown[0], to_us=to_us, measures=("cost_usd", "calls"), filters=filters))
    rows = [_row(hour_us, costs, zone, complete=hour_us + HOUR_US <= to_us) for hour_us in shown]
    return {"rows": rows, "totals": whole.totals, "coverage": whole.coverage}


def _hour_us(text: str) -> int:
    return to_unix_us(datetime.fromisoformat(text))


def _known(cost: str | None) -> Decimal | None:
    return None if cost is None else Decimal(cost)


def _row(hour_us: int, costs: Costs, zone: ZoneInfo, *, complete: bool) -> dict[str, Any]:
    cost = costs.get(hour_us, ZERO)
    before = [costs.get(hour_us - hours * HOUR_US, ZERO) for hours in range(1, BASELINE_HOURS + 1)]
    mean, deviation = mean_and_deviation([known for known in before if known is not None])
    z_score = float(_PRECISE.divide(cost - mean, deviation)) if cost is not None and deviation else None
    return {
        "time": _told(hour_us, zone),
        "cost_usd": None if cost is None else format_usd(cost),
        "baseline_cost_usd": format_usd(exact(mean)),
        "deviation_usd": format_usd(exact(deviation)),
        "z_score": z_score,
        "complete": complete,
    }


def _told(hour_us: int, zone: ZoneInfo) -> str:
    text = to_datetime(hour_us).astimezone(zone).isoformat()
    return text.removesuffix("+00:00") + "Z" if zone.key == "UTC" else text


def mean_and_deviation(amounts: Sequence[Decimal]) -> tuple[Decimal, Decimal]:
    """The mean and the sample standard deviation to 60 digits; 0 of too few."""
    if len(amounts) < 2:
        return add(*amounts), ZERO
    mean = _PRECISE.divide(add(*amounts), Decimal(len(amounts)))
    squares = add(*(_PRECISE.power(_PRECISE.subtract(amount, mean), 2) for amount in amounts))
    return mean, _PRECISE.sqrt(_PRECISE.divide(squares, Decimal(len(amounts) - 1)))
