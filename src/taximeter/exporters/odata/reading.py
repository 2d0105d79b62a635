"""The rows of a table, in stretches that follow each other, and the page of an answer that is put together from them.

A page ends with a stretch, so that what follows can be asked for by where the next stretch begins: a day, or the cursor
of a page of events. It is as long as it has to be and no longer, and may have few rows where a filter lets few through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from taximeter.clock import rfc3339, to_unix_us
from taximeter.errors import UsageError
from taximeter.exporters.days import DAY_US, Days
from taximeter.exporters.odata.filters import All, Expression, NotSupportedError, bounds
from taximeter.exporters.odata.tables import DATE, EVENTS, MEASURES, MONEY, Table
from taximeter.store.events import EventQuery, EventStore, Query
from taximeter.store.events.filters import Condition
from taximeter.store.events.instants import EARLIEST_US, LATEST_US
from taximeter.store.events.query import MOST_EVENTS
from taximeter.store.events.rollups import kept_from_us

PAGE_ROWS: Final = 5_000
"""Rows after which a page ends."""
MOST_SCANNED: Final = 50_000
"""Rows that are looked at for one page; where it ends then, the next one goes on."""
MOST_SORTED: Final = 50_000
"""Rows of an answer in another order than the table's own."""

Row = dict[str, Any]
Stretch = tuple[list[Row], str | None]
"""Rows, and the token with which the next stretch is asked for; None at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of a table. `order` are columns, those with the largest first marked. `token` is where to begin."""

    table: Table
    filter: Expression | None = None
    order: tuple[tuple[str, bool], ...] = ()
    skip: int = 0
    top: int | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, and what to ask for the next ones; None at the end."""

    rows: list[Row]
    rest: Asked | None


def page(asked: Asked, store: EventStore) -> Page:
    """Raises UsageError and StoreError."""
    if asked.order and asked.order != _own_order(asked.table):
        return Page(_sorted(asked, store), None)
    rows: list[Row] = []
    skip, scanned = asked.skip, 0
    for stretch, token in _stretches(asked, store):
        found = _matching(asked, stretch)
        rows += found[skip:]
        skip = max(0, skip - len(found))
        scanned += len(stretch)
        if asked.top is not None and len(rows) >= asked.top:
            return Page(rows[: asked.top], None)
        if token is not None and (len(rows) >= PAGE_ROWS or scanned >= MOST_SCANNED):
            top = None if asked.top is None else asked.top - len(rows)
            return Page(rows, replace(asked, token=token, skip=skip, top=top))
    return Page(rows, None)


def count(asked: Asked, store: EventStore) -> int:
    """How many rows meet the filter. Raises UsageError and StoreError."""
    if asked.table.name != EVENTS:
        return sum(len(_matching(asked, rows)) for rows, _ in _stretches(replace(asked, token=None), store))
    from_us, to_us = _time(asked)
    if asked.filter is not None and not _only_time(asked.filter, asked.table.time):
        raise NotSupportedError(f"counting {EVENTS} by a filter of anything but {asked.table.time}")
    return _kept_events(store, from_us, to_us)


_OF_EVENTS: Final = Condition("event_id", "exists", (True,))
"""Holds for every event, and for no sums: those know of calls too whose events are no longer kept."""


def _kept_events(store: EventStore, from_us: int, to_us: int) -> int:
    if from_us >= to_us:
        return 0
    asked = Query(from_us=from_us, to_us=to_us, measures=("calls",), filters=(_OF_EVENTS,))
    try:
        return int(store.query(asked).totals["calls"])
    except UsageError as error:
        return _kept_events(store, kept_from_us(error, 1), to_us)


def _own_order(table: Table) -> tuple[tuple[str, bool], ...]:
    return tuple((name.removeprefix("-"), name.startswith("-")) for name in table.order)


def _matching(asked: Asked, rows: list[Row]) -> list[Row]:
    wanted = asked.filter
    return rows if wanted is None else [row for row in rows if wanted.of(row) is True]


def _sorted(asked: Asked, store: EventStore) -> list[Row]:
    """Nothing is less than everything else, as the protocol has it."""
    rows: list[Row] = []
    scanned = 0
    for stretch, _ in _stretches(asked, store):
        rows += _matching(asked, stretch)
        scanned += len(stretch)
        if scanned > MOST_SORTED:
            hint = f"narrow it by {asked.table.time}, or leave $orderby out"
            raise UsageError(f"more than {MOST_SORTED} rows to sort", hint=hint, field="$orderby")
    for name, descending in reversed(asked.order):
        rows.sort(key=partial(_rank, name), reverse=descending)
    return rows[asked.skip :][: asked.top]


def _rank(name: str, row: Row) -> tuple[Any, ...]:
    value = row[name]
    return (0,) if value is None else (1, value)


def _stretches(asked: Asked, store: EventStore) -> Iterator[Stretch]:
    from_us, to_us = _time(asked)
    if from_us >= to_us:
        return iter(())
    return _events(asked, store, from_us, to_us) if asked.table.name == EVENTS else _days(asked, store, from_us, to_us)


def _days(asked: Asked, store: EventStore, from_us: int, to_us: int) -> Iterator[Stretch]:
    """Day by day, those on which there were calls."""
    if asked.token is not None:
        from_us = max(from_us, _day_of_token(asked.token))
    days = sorted(day for day in Days(store, ("calls",), None).found(from_us)[1] if day < to_us)
    for number, day_us in enumerate(days):
        follows = _date(days[number + 1]) if number + 1 < len(days) else None
        yield _kept_of_day(asked.table, store, day_us), follows


def _kept_of_day(table: Table, store: EventStore, day_us: int) -> list[Row]:
    """None where other sums of the day are kept for longer than those of the table."""
    try:
        return _rows_of_day(table, store, day_us)
    except UsageError as error:
        kept_from_us(error, DAY_US)  # raises what is wrong otherwise
        return []


def _day_of_token(token: str) -> int:
    try:
        return _day_us(token)
    except ValueError:
        raise UsageError("the $skiptoken is none that was given", field="$skiptoken") from None


def _rows_of_day(table: Table, store: EventStore, day_us: int) -> list[Row]:
    assert table.dimension is not None
    by, measures = table.dimension, tuple(MEASURES)
    asked = Query(from_us=day_us, to_us=day_us + DAY_US, measures=measures, group_by=(by,))
    answered = {(row[by] or ""): row for row in store.query(asked).rows}
    return [
        {"date": _date(day_us), by: name, **{measure: _typed(MEASURES[measure], row[measure]) for measure in measures}}
        for name, row in sorted(answered.items())
    ]


def _events(asked: Asked, store: EventStore, from_us: int, to_us: int) -> Iterator[Stretch]:
    cursor = asked.token
    columns, limit = asked.table.columns, MOST_EVENTS
    while True:
        wanted = EventQuery(from_us=from_us, to_us=to_us, limit=limit, cursor=cursor, columns=tuple(columns))
        found = store.events(wanted)
        rows = [{name: _typed(kind, event.get(name)) for name, kind in columns.items()} for event in found.events]
        yield rows, found.next
        if found.next is None:
            return
        cursor = found.next


def _typed(kind: str, value: Any) -> Any:
    return Decimal(value) if kind == MONEY and value is not None else value


def _time(asked: Asked) -> tuple[int, int]:
    """The time [from_us, to_us) outside of which no row meets the filter."""
    from_us, to_us = EARLIEST_US, LATEST_US
    if asked.filter is None:
        return from_us, to_us
    column = asked.table.time
    step = DAY_US if asked.table.columns[column] == DATE else 1
    for sign, value in bounds(asked.filter, column):
        if value is None:
            continue
        at_us = _day_us(value) if step == DAY_US else value
        if sign in ("gt", "ge", "eq"):
            from_us = max(from_us, at_us + (step if sign == "gt" else 0))
        if sign in ("lt", "le", "eq"):
            to_us = min(to_us, at_us + (0 if sign == "lt" else step))
    return from_us, to_us


def _only_time(expression: Expression, column: str) -> bool:
    """Whether a filter says nothing but from when to when."""
    comparisons = list(bounds(expression, column))
    bounded = all(sign != "ne" and value is not None for sign, value in comparisons)
    return bounded and len(comparisons) == _parts(expression)


def _parts(expression: Expression) -> int:
    """The conditions that all have to hold."""
    return sum(_parts(part) for part in expression.parts) if isinstance(expression, All) else 1


def _date(day_us: int) -> str:
    return rfc3339(day_us)[:10]


def _day_us(date: str) -> int:
    return to_unix_us(datetime.fromisoformat(date).replace(tzinfo=UTC))


def selected(rows: Sequence[Row], columns: Sequence[str]) -> list[Mapping[str, Any]]:
    return [{name: row[name] for name in columns} for row in rows]
