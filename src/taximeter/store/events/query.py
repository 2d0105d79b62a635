"""A query: what is asked of the events and outcomes, apart from any engine; and the answer's shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from taximeter.clock import rfc3339
from taximeter.errors import UsageError
from taximeter.store.events.columns import COLUMN_NAMES
from taximeter.store.events.comparison import Period
from taximeter.store.events.filters import Condition
from taximeter.store.events.intervals import Calendar, Interval

TIME: Final = "time"
"""The key of a bucket's start in a row."""

MOST_ROWS: Final = 50_000
"""Rows of one answer."""

MOST_DIMENSIONS: Final = 12
"""Dimensions of one grouping."""

MOST_COMPARED: Final = 1_000
"""Groups that are looked up again in the time that is compared with, when there is a limit."""

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

    All names are full ones, as `parse_query` makes them. `limit` is the number of groups (not of rows) that follow
    the first `offset` ones: all other groups become one, in every bucket. Without `order_by` the first measure ranks.
    `compare` is another time for which the same groups are answered too. Without `whole_totals`, the totals of what
    does not add up are left unknown: they take another reading of the events.
    """

    from_us: int
    to_us: int
    measures: tuple[str, ...] = DEFAULT_MEASURES
    group_by: tuple[str, ...] = ()
    filters: tuple[Condition, ...] = ()
    interval: Interval | None = None
    timezone: str = "UTC"
    fiscal_start_month: int = 1
    order_by: Order | None = None
    limit: int | None = None
    offset: int = 0
    compare: Period | None = None
    whole_totals: bool = True

    def __post_init__(self) -> None:
        if self.from_us >= self.to_us:
            raise UsageError("the range is empty: from is not before to", field="from")

    @property
    def calendar(self) -> Calendar | None:
        if self.interval is None:
            return None
        return Calendar(self.interval, self.timezone, self.fiscal_start_month)


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows (dimensions, `time` when there is an interval, measures), their totals, and how complete they are.

    Money is canonical decimal text or None, counts are ints. The last row of a bucket may have `"other": True`:
    the groups outside of the limit, together. Totals of counts and money are the sums of the rows; rates, percentiles
    and distinct users are computed over all calls again. With a limit, `groups` is how many groups there are in all.
    """

    rows: list[dict[str, Any]]
    totals: dict[str, Any]
    coverage: dict[str, int]
    groups: int | None = None
    comparison: Compared | None = None

    def as_dict(self) -> dict[str, Any]:
        said: dict[str, Any] = {"rows": self.rows, "totals": self.totals, "coverage": self.coverage}
        if self.groups is not None:
            said["groups"] = self.groups
        if self.comparison is not None:
            said["comparison"] = self.comparison.as_dict()
        return said


@dataclass(frozen=True, slots=True)
class Compared:
    """The answer for another time. With a limit its groups are those of the answer it is compared with."""

    period: Period
    answer: Answer

    def as_dict(self) -> dict[str, Any]:
        then = self.answer
        bounds = {"from": rfc3339(self.period.from_us), "to": rfc3339(self.period.to_us)}
        return {**bounds, "rows": then.rows, "totals": then.totals, "coverage": then.coverage}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Events that meet all filters, newest first. No bounds means all times. `cursor` comes from the page before.

    `columns` are the keys of a record that are wanted; `cost_usd`, `started_at` and `event_id` always come along.
    With bounds of `ingested_at` only those that came to the store in that time: from_us <= ingested_at < to_us.
    """

    filters: tuple[Condition, ...] = ()
    from_us: int | None = None
    to_us: int | None = None
    limit: int = DEFAULT_EVENTS
    cursor: str | None = None
    columns: tuple[str, ...] = COLUMN_NAMES
    ingested_from_us: int | None = None
    ingested_to_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeQuery:
    """Outcomes with from_us <= occurred_at < to_us that meet all filters, by name and group. Names of dimensions are
    full ones, and those of an outcome; `outcomes` are the only names that are wanted, all when there are none."""

    from_us: int
    to_us: int
    group_by: tuple[str, ...] = ()
    filters: tuple[Condition, ...] = ()
    outcomes: tuple[str, ...] = ()
