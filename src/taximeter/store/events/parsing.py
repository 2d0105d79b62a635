"""Questions in their JSON form → queries. A mistake is a UsageError with the `field` and what is `allowed`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from taximeter.core.attribution import SHORT_NAMES
from taximeter.errors import UsageError
from taximeter.store.events.comparison import Period, parse_comparison
from taximeter.store.events.filters import parse_filters
from taximeter.store.events.instants import parse_instant, time_zone
from taximeter.store.events.intervals import INTERVALS, Interval
from taximeter.store.events.query import (
    DEFAULT_EVENTS,
    DEFAULT_MEASURES,
    DEFAULT_RANGE,
    MOST_COMPARED,
    MOST_DIMENSIONS,
    MOST_EVENTS,
    MOST_ROWS,
    TIME,
    EventQuery,
    Order,
    Query,
)
from taximeter.store.events.vocabulary import MEASURE_ALIASES, MEASURES, dimension, measure

_QUERY_KEYS: Final = (
    "measures",
    "group_by",
    "filters",
    "from",
    "to",
    "interval",
    "timezone",
    "fiscal_start_month",
    "order_by",
    "limit",
    "offset",
    "compare",
    "totals",
)


def parse_query(request: Mapping[str, Any], now_us: int) -> Query:
    """A query from its JSON form. `from` defaults to 30 days ago, `to` to now.

    Raises UsageError with the `field` that is wrong and, where there is a choice, what is `allowed`.
    """
    _only(request, _QUERY_KEYS)
    zone = time_zone(request.get("timezone") or "UTC")
    group_by = _group_by(request)
    measures = tuple(measure(name).name for name in _names(request, "measures")) or DEFAULT_MEASURES
    fiscal_start_month = _whole(request, "fiscal_start_month", 1, 12, default=1)
    from_us, to_us = _range(request, now_us, zone.key, DEFAULT_RANGE, fiscal_start_month)
    period = Period(_required(from_us), _required(to_us))
    interval = _interval(request.get("interval"))
    limit = _limit(request.get("limit"), MOST_ROWS)
    return Query(
        from_us=period.from_us,
        to_us=period.to_us,
        measures=_unique(measures),
        group_by=group_by,
        filters=parse_filters(request.get("filters") or {}),
        interval=interval,
        timezone=zone.key,
        fiscal_start_month=fiscal_start_month,
        order_by=_order(request.get("order_by"), group_by, interval),
        limit=limit,
        offset=_offset(request, limit),
        compare=_comparison(request, period, zone, now_us, limit),
        whole_totals=_whole_totals(request.get("totals")),
    )


def _group_by(request: Mapping[str, Any]) -> tuple[str, ...]:
    group_by = tuple(dimension(name, field="group_by") for name in _names(request, "group_by"))
    if len(group_by) > MOST_DIMENSIONS:
        raise UsageError(f"at most {MOST_DIMENSIONS} dimensions in group_by", field="group_by")
    return _unique(group_by)


def _offset(request: Mapping[str, Any], limit: int | None) -> int:
    offset = _whole(request, "offset", 0, 10**9, default=0)
    if offset and limit is None:
        raise UsageError("offset without a limit", hint="limit is how many groups follow it", field="offset")
    return offset


def _comparison(
    request: Mapping[str, Any], period: Period, zone: ZoneInfo, now_us: int, limit: int | None
) -> Period | None:
    compared = parse_comparison(request.get("compare"), period, zone, now_us)
    if compared is not None and limit is not None and limit > MOST_COMPARED:
        raise UsageError(f"with compare, limit is at most {MOST_COMPARED}", hint="or none at all", field="limit")
    return compared


def _whole_totals(wanted: Any) -> bool:
    if wanted is None or isinstance(wanted, bool):
        return wanted is not False
    raise UsageError("totals must be true or false", field="totals")


_EVENT_QUERY_KEYS: Final = ("filters", "from", "to", "timezone", "limit", "cursor")


def parse_event_query(request: Mapping[str, Any], now_us: int) -> EventQuery:
    """An event query from its JSON form. Raises UsageError as `parse_query` does."""
    _only(request, _EVENT_QUERY_KEYS)
    zone = time_zone(request.get("timezone") or "UTC")
    from_us, to_us = _range(request, now_us, zone.key, None)
    cursor = request.get("cursor")
    if cursor is not None and not isinstance(cursor, str):
        raise UsageError("cursor must be the text of a page before", field="cursor")
    return EventQuery(
        filters=parse_filters(request.get("filters") or {}),
        from_us=from_us,
        to_us=to_us,
        limit=_limit(request.get("limit"), MOST_EVENTS) or DEFAULT_EVENTS,
        cursor=cursor,
    )


def _only(request: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    for name in request:
        if name not in allowed:
            raise UsageError(
                f"unknown field {name!r}", hint="allowed: " + ", ".join(allowed), field=name, allowed=list(allowed)
            )


def _names(request: Mapping[str, Any], field: str) -> list[str]:
    names = request.get(field) or []
    if isinstance(names, str):
        names = [name.strip() for name in names.split(",")]
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"{field} must be a list of names", field=field)
    return list(names)


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _range(
    request: Mapping[str, Any], now_us: int, timezone: str, default_from: str | None, fiscal_start_month: int = 1
) -> tuple[int | None, int | None]:
    def bound(field: str, default: str | None = None) -> int | None:
        text = request.get(field) or default
        if text is None:
            return None
        return parse_instant(text, now_us, timezone, field=field, fiscal_start_month=fiscal_start_month)

    from_us, to_us = bound("from", default_from), bound("to")
    if default_from is not None and to_us is None:
        to_us = now_us + 1
    if from_us is not None and to_us is not None and from_us >= to_us:
        raise UsageError("the range is empty: from is not before to", field="from")
    return from_us, to_us


def _required(bound_us: int | None) -> int:
    assert bound_us is not None
    return bound_us


def _interval(name: Any) -> Interval | None:
    if name is None:
        return None
    for interval in INTERVALS:
        if name == interval:
            return interval
    raise UsageError(
        f"unknown interval {name!r}", hint="allowed: " + ", ".join(INTERVALS), field="interval", allowed=list(INTERVALS)
    )


def _order(text: Any, group_by: tuple[str, ...], interval: Interval | None) -> Order | None:
    """`cost_usd`, `-cost_usd`, `cost_usd asc`: measures come largest first unless told, the rest smallest first."""
    if text is None:
        return None
    name, descending = _direction(text)
    if name == TIME and interval is not None:
        return Order(TIME, bool(descending))
    if MEASURE_ALIASES.get(name, name) in MEASURES:
        return Order(measure(name).name, descending is not False)
    allowed = (*((TIME,) if interval is not None else ()), *group_by, *MEASURES)
    full = SHORT_NAMES.get(name, name)
    if full not in group_by:
        hint = "allowed: " + ", ".join(allowed)
        raise UsageError(f"cannot order by {name!r}", hint=hint, field="order_by", allowed=list(allowed))
    return Order(full, bool(descending))


def _direction(text: Any) -> tuple[str, bool | None]:
    """The bare name, and whether it was told to come in descending order; None when nothing was told."""
    words = text.split() if isinstance(text, str) else []
    if len(words) == 2 and words[1].lower() in ("asc", "desc"):
        return words[0], words[1].lower() == "desc"
    if len(words) != 1:
        raise UsageError("order_by must be one name", hint="like cost_usd, -cost_usd or cost_usd asc", field="order_by")
    name = words[0]
    return (name[1:], name[0] == "-") if name[0] in "+-" else (name, None)


def _limit(value: Any, most: int) -> int | None:
    return None if value is None else _whole({"limit": value}, "limit", 1, most)


def _whole(request: Mapping[str, Any], field: str, least: int, most: int, default: int = 0) -> int:
    value = request.get(field, default)
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"{field} must be a whole number from {least} to {most}", field=field)
    return value
