"""What a day, week or month will have cost at its end, with the band it will end in four times out of five.

What is spent is exact. What is to come is learnt from the last four weeks: each hour to come is expected to cost what
the same hour of the week cost, times a level: what the last seven days cost against what the hours of their week had
led to expect. With less than two weeks the hour of the day takes the place of that of the week; with less than three
days there is no forecast, and it says so.

The band: what each past day cost beyond what the other weeks had led to expect for it gives the deviation s of a day
(each day against the others while there are no weeks). Of D days to come the chance deviates by s √D and the level,
learnt from n days, by s D / √n; spending that went on growing as it did from week to week (g) would deviate by g a
week. The squares of the three are added, and their root is taken times the quantile of Student's t for n - 1 degrees
of freedom (Abramowitz and Stegun 26.7.5). Nothing in it knows of a launch or of a price that will change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from taximeter.clock import rfc3339, to_datetime, to_unix_us
from taximeter.core.money import ZERO, add, exact, format_usd
from taximeter.errors import UsageError
from taximeter.reports.asking import only
from taximeter.reports.baseline import HOUR_US, mean_and_deviation
from taximeter.store.events import EventStore, Query
from taximeter.store.events.filters import Condition, parse_filters
from taximeter.store.events.instants import months_later, start_of_day, time_zone
from taximeter.store.events.rollups import kept_from_us

Span = Literal["day", "week", "month"]
SPANS: Final[tuple[Span, ...]] = ("day", "week", "month")

HISTORY_DAYS: Final = 28
LEVEL_DAYS: Final = 7
"""The last days, which say how much more or less than usual is spent."""

LEAST_DAYS: Final = 3
WEEKLY_DAYS: Final = 14
"""Days from which on the hour of the week is known twice."""

CONFIDENCE: Final = Decimal("0.8")
_Z: Final = Decimal("1.2815515655446")
"""The quantile of the normal distribution between which and its negative the confidence lies."""

_DAY_HOURS: Final = 24
_DAY_US: Final = _DAY_HOURS * HOUR_US
_PRECISE: Final = Context(prec=40, rounding=ROUND_HALF_EVEN)
_KEYS: Final = ("span", "filters", "timezone")

Costs = Mapping[int, Decimal]
"""Cost by the start of the hour, microseconds since the epoch; an hour without calls cost nothing."""


class Band(NamedTuple):
    """USD at the end of a period, and between what it will lie with the confidence."""

    middle: Decimal
    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """`band` None: too little is known yet, `learnt_days` says how much."""

    span: Span
    zone: str
    from_us: int
    to_us: int
    at_us: int
    spent_usd: Decimal | None
    learnt_days: int
    band: Band | None
    coverage: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        middle, low, high = self.band or (None, None, None)
        return {
            "span": self.span,
            "timezone": self.zone,
            "from": rfc3339(self.from_us),
            "to": rfc3339(self.to_us),
            "at": rfc3339(self.at_us),
            "spent_usd": _told(self.spent_usd),
            "forecast_usd": _told(middle),
            "low_usd": _told(low),
            "high_usd": _told(high),
            "confidence": format_usd(CONFIDENCE),
            "learnt_days": self.learnt_days,
            "reason": None if self.band else f"learnt from {LEAST_DAYS} whole days on; so far {self.learnt_days}",
            "coverage": dict(self.coverage),
        }


def _told(usd: Decimal | None) -> str | None:
    return None if usd is None else format_usd(usd)


def forecast(request: Mapping[str, Any], store: EventStore, now_us: int) -> Forecast:
    """The forecast for the day, week (from Monday) or month under way. Raises UsageError and StoreError."""
    only(request, _KEYS)
    span = request.get("span") or "month"
    if span not in SPANS:
        raise UsageError(f"span must be one of {', '.join(SPANS)}, not {span!r}", field="span", allowed=list(SPANS))
    zone = time_zone(request.get("timezone") or "UTC")
    filters = parse_filters(request.get("filters") or {})
    from_us, to_us = bounds(span, now_us, zone)
    so_far_us = max(now_us, from_us + 1)
    spent = store.query(Query(from_us=from_us, to_us=so_far_us, measures=("cost_usd", "calls"), filters=filters))
    cost = spent.totals["cost_usd"]
    known = Decimal(cost) if cost is not None else None if spent.totals["calls"] else ZERO
    history = _history(store, filters, now_us)
    return Forecast(
        span=span,
        zone=zone.key,
        from_us=from_us,
        to_us=to_us,
        at_us=now_us,
        spent_usd=known,
        learnt_days=len(_whole_days(history, now_us)),
        band=expect(history, known or ZERO, now_us, to_us, zone),
        coverage=spent.coverage,
    )


def bounds(span: Span, now_us: int, zone: ZoneInfo) -> tuple[int, int]:
    """When the period under way began, and when it ends: midnights in the zone."""
    today = to_datetime(now_us).astimezone(zone).date()
    first, end = _days_of(span, today)
    return to_unix_us(start_of_day(first, zone)), to_unix_us(start_of_day(end, zone))


def _days_of(span: Span, today: date) -> tuple[date, date]:
    if span == "month":
        first = today.replace(day=1)
        return first, months_later(first, 1)
    first = today - timedelta(days=today.weekday()) if span == "week" else today
    return first, first + timedelta(days=7 if span == "week" else 1)


def _history(store: EventStore, filters: tuple[Condition, ...], now_us: int) -> dict[int, Decimal]:
    """The cost of every whole hour since the first one with a call, of the last four weeks."""
    to_us = now_us // HOUR_US * HOUR_US
    try:
        found = _by_hour(store, filters, to_us - HISTORY_DAYS * _DAY_US, to_us)
    except UsageError as error:
        found = _by_hour(store, filters, min(kept_from_us(error, HOUR_US), to_us - HOUR_US), to_us)
    known = {hour_us: Decimal(cost) for hour_us, cost in found.items() if cost is not None}
    first_us = min(known, default=to_us)
    return {hour_us: known.get(hour_us, ZERO) for hour_us in range(first_us, to_us, HOUR_US)}


def _by_hour(store: EventStore, filters: tuple[Condition, ...], from_us: int, to_us: int) -> dict[int, str | None]:
    asked = Query(from_us=from_us, to_us=to_us, measures=("cost_usd",), filters=filters, interval="hour")
    return {to_unix_us(datetime.fromisoformat(row["time"])): row["cost_usd"] for row in store.query(asked).rows}


# ── pure ───────────────────────────────────────────────────────────────────────────────────────────────────────


def expect(history: Costs, spent: Decimal, now_us: int, to_us: int, zone: ZoneInfo) -> Band | None:
    """What will be spent until `to_us`, with what is spent already; None while too little is known."""
    days = _whole_days(history, now_us)
    if len(days) < LEAST_DAYS:
        return None
    hours = [hour_us for day in days for hour_us in day]
    slot = _slots(zone, weekly=len(days) >= WEEKLY_DAYS)
    usual = _Usual.of({hour_us: history[hour_us] for hour_us in hours}, slot)
    level = _level(days[-LEVEL_DAYS:], history, usual) if len(days) >= WEEKLY_DAYS else Decimal(1)
    to_come = _PRECISE.multiply(level, _to_come(usual, now_us, to_us))
    expected = Expected(to_come, level, _PRECISE.divide(Decimal(to_us - now_us), Decimal(_DAY_US)))
    margin = _margin(days, history, usual, expected)
    middle = add(spent, exact(to_come))
    return Band(middle, max(spent, add(middle, -margin)), add(middle, margin))


class Expected(NamedTuple):
    """What is to come: USD, the level it was expected with, and over how many days."""

    usd: Decimal
    level: Decimal
    days: Decimal

    @property
    def weeks_ahead(self) -> Decimal:
        """From the middle of the week that the level is of to the middle of what is to come."""
        return _PRECISE.divide(add(self.days, Decimal(LEVEL_DAYS)), Decimal(14))


def _whole_days(history: Costs, now_us: int) -> list[range]:
    """The hours of whole days (24 hours each), the last one ending with the last whole hour; oldest first."""
    end_us = now_us // HOUR_US * HOUR_US
    first_us = min(history, default=end_us)
    count = (end_us - first_us) // _DAY_US
    return [range(end_us - back * _DAY_US, end_us - (back - 1) * _DAY_US, HOUR_US) for back in range(count, 0, -1)]


Slot = Callable[[int], int]
"""The hour of the day, or of the week, that an hour is in the zone."""


def _slots(zone: ZoneInfo, *, weekly: bool) -> Slot:
    def slot(hour_us: int) -> int:
        local = to_datetime(hour_us).astimezone(zone)
        return local.hour + _DAY_HOURS * (local.weekday() if weekly else 0)

    return slot


@dataclass(frozen=True, slots=True)
class _Usual:
    """What hours cost by their slot: the sum of those seen, and how many."""

    slot: Slot
    sums: Mapping[int, tuple[Decimal, int]]
    overall: Decimal

    @classmethod
    def of(cls, costs: Costs, slot: Slot) -> _Usual:
        seen: dict[int, list[Decimal]] = defaultdict(list)
        for hour_us, cost in costs.items():
            seen[slot(hour_us)].append(cost)
        overall = _PRECISE.divide(add(*costs.values()), Decimal(len(costs)))
        return cls(slot, {key: (add(*found), len(found)) for key, found in seen.items()}, overall)

    def hour(self, hour_us: int) -> Decimal:
        total, count = self.sums.get(self.slot(hour_us), (ZERO, 0))
        return _PRECISE.divide(total, Decimal(count)) if count else self.overall

    def without(self, hour_us: int, cost: Decimal) -> Decimal:
        """What the other hours of its slot lead to expect of an hour."""
        total, count = self.sums[self.slot(hour_us)]
        return _PRECISE.divide(add(total, -cost), Decimal(count - 1)) if count > 1 else self.overall


def _level(days: Sequence[range], history: Costs, usual: _Usual) -> Decimal:
    hours = [hour_us for day in days for hour_us in day]
    expected = add(*(usual.hour(hour_us) for hour_us in hours))
    return _PRECISE.divide(add(*(history[hour_us] for hour_us in hours)), expected) if expected else Decimal(1)


def _to_come(usual: _Usual, now_us: int, to_us: int) -> Decimal:
    """Of the hours from now on; of the one under way, and of one that ends beyond, their part."""
    parts = (
        (usual.hour(hour_us), min(hour_us + HOUR_US, to_us) - max(hour_us, now_us))
        for hour_us in range(now_us // HOUR_US * HOUR_US, to_us, HOUR_US)
    )
    return _sum(_PRECISE.divide(_PRECISE.multiply(cost, Decimal(part_us)), Decimal(HOUR_US)) for cost, part_us in parts)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = _PRECISE.add(total, amount)
    return total


def _margin(days: Sequence[range], history: Costs, usual: _Usual, expected: Expected) -> Decimal:
    """Half the width of the band."""
    beyond = [
        _sum(_PRECISE.subtract(history[hour_us], usual.without(hour_us, history[hour_us])) for hour_us in day)
        for day in days
    ]
    deviation = _PRECISE.multiply(mean_and_deviation(beyond)[1], max(expected.level, Decimal(1)))
    learnt = min(len(days), LEVEL_DAYS)
    to_come = expected.days
    chance = _PRECISE.multiply(_PRECISE.power(deviation, 2), add(to_come, _PRECISE.divide(to_come**2, Decimal(learnt))))
    grown = _PRECISE.multiply(_PRECISE.multiply(expected.usd, _growth(days, history)), expected.weeks_ahead)
    both = _PRECISE.sqrt(_PRECISE.add(chance, _PRECISE.power(grown, 2)))
    return exact(_PRECISE.multiply(_quantile(learnt - 1), both))


def _growth(days: Sequence[range], history: Costs) -> Decimal:
    """By which part a week cost more (less: negative) than the one before, over the whole weeks there are."""
    weeks = len(days) // 7
    first, last = (add(*(history[hour_us] for day in seven for hour_us in day)) for seven in _ends(days, weeks))
    if weeks < 2 or not first or not last:
        return ZERO
    root = _PRECISE.divide(Decimal(1), Decimal(weeks - 1))
    return _PRECISE.subtract(_PRECISE.power(_PRECISE.divide(last, first), root), Decimal(1))


def _ends(days: Sequence[range], weeks: int) -> tuple[Sequence[range], Sequence[range]]:
    """The days of the first whole week, and of the last one."""
    whole = days[len(days) - 7 * weeks :]
    return whole[:7], whole[-7:]


def _quantile(freedom: int) -> Decimal:
    """Student's t at the confidence."""
    return _PRECISE.add(_Z, _PRECISE.divide(_Z**3 + _Z, Decimal(4 * freedom)))
