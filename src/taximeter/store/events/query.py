"""A query: what is asked of the events, apart from any engine; and the answer's shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from taximeter.core.attribution import SHORT_NAMES
from taximeter.errors import UsageError
from taximeter.store.events.columns import COLUMN_NAMES
from taximeter.store.events.filters import Condition, parse_filters
from taximeter.store.events.instants import parse_instant, time_zone
from taximeter.store.events.vocabulary import MEASURE_ALIASES, MEASURES, dimension, measure

Interval = Literal["minute", "hour", "day", "week", "month"]
INTERVALS: Final[tuple[Interval, ...]] = ("minute", "hour", "day", "week", "month")

TIME: Final = "time"
"""The key of a bucket's start in a row."""

MOST_ROWS: Final = 50_000
"""Rows of one answer."""

MOST_DIMENSIONS: Final = 8
"""Dimensions of one grouping."""

DEFAULT_MEASURES: Final = ("cost_usd", "calls")
DEFAULT_RANGE: Final = "30d"
MOST_EVENTS: Final = 1_000
"""Events of one page."""

DEFAULT_EVENTS: Final = 100


@dataclass(frozen=True, slots=True)
class Order:
    """Rank groups by a measure or a dimension, or sort the buckets by `time`."""

    name: str
    descending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Measures of the calls with from_us <= started_at < to_us, by group and by calendar interval of a zone.

    All names are full ones, as `parse_query` makes them. `limit` is the number of groups (not of rows): the
    groups that rank behind it become one, in every bucket. Without `order_by` the first measure ranks.
    """

    from_us: int
    to_us: int
    measures: tuple[str, ...] = DEFAULT_MEASURES
    group_by: tuple[str, ...] = ()
    filters: tuple[Condition, ...] = ()
    interval: Interval | None = None
    timezone: str = "UTC"
    order_by: Order | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.from_us >= self.to_us:
            raise UsageError("the range is empty: from is not before to", field="from")


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows (dimensions, `time` when there is an interval, measures), their totals, and how complete they are.

    Money is canonical decimal text or None, counts are ints. The last row of a bucket may have `"other": True`:
    the groups behind the limit, together. Totals of counts and money are the sums of the rows; rates, percentiles
    and distinct users are computed over all calls again.
    """

    rows: list[dict[str, Any]]
    totals: dict[str, Any]
    coverage: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "totals": self.totals, "coverage": self.coverage}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Events that meet all filters, newest first. No bounds means all times. `cursor` comes from the page before.

    `columns` are the keys of a record that are wanted; `cost_usd`, `started_at` and `event_id` always come along.
    """

    filters: tuple[Condition, ...] = ()
    from_us: int | None = None
    to_us: int | None = None
    limit: int = DEFAULT_EVENTS
    cursor: str | None = None
    columns: tuple[str, ...] = COLUMN_NAMES


_QUERY_KEYS: Final = (
    "measures",
    "group_by",
    "filters",
    "from",
    "to",
    "interval",
    "timezone",
    "order_by",
    "limit",
)


def parse_query(request: Mapping[str, Any], now_us: int) -> Query:
    """A query from its JSON form. `from` defaults to 30 days ago, `to` to now.

    Raises UsageError with the `field` that is wrong and, where there is a choice, what is `allowed`.
    """
    _only(request, _QUERY_KEYS)
    zone = time_zone(request.get("timezone") or "UTC")
    group_by = tuple(dimension(name, field="group_by") for name in _names(request, "group_by"))
    if len(group_by) > MOST_DIMENSIONS:
        raise UsageError(f"at most {MOST_DIMENSIONS} dimensions in group_by", field="group_by")
    measures = tuple(measure(name).name for name in _names(request, "measures")) or DEFAULT_MEASURES
    from_us, to_us = _range(request, now_us, zone.key, DEFAULT_RANGE)
    interval = _interval(request.get("interval"))
    return Query(
        from_us=_required(from_us),
        to_us=_required(to_us),
        measures=_unique(measures),
        group_by=_unique(group_by),
        filters=parse_filters(request.get("filters") or {}),
        interval=interval,
        timezone=zone.key,
        order_by=_order(request.get("order_by"), group_by, interval),
        limit=_limit(request.get("limit"), MOST_ROWS),
    )


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
    request: Mapping[str, Any], now_us: int, timezone: str, default_from: str | None
) -> tuple[int | None, int | None]:
    from_text, to_text = request.get("from") or default_from, request.get("to")
    from_us = parse_instant(from_text, now_us, timezone, field="from") if from_text is not None else None
    to_us = parse_instant(to_text, now_us, timezone, field="to") if to_text is not None else None
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
    if value is None:
        return None
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise UsageError(f"limit must be a whole number from 1 to {most}", field="limit")
    return value
