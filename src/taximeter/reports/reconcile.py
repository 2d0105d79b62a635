"""Reconciliation: a provider's own bill beside what was metered, and what the difference is made of.

The bill is rows of the provider's report that come with the question, what was imported of it before (`ingest.imports`:
records with the operation `bill` and a `reported_cost_usd`), or one amount for the whole period. Days are those of UTC,
in which providers bill. Only days that a bill has lines for are compared: what is not billed yet is no difference.
The provider's usage report comes with the question too, so that it is in no total besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any, Final, Literal, get_args

from taximeter.clock import rfc3339
from taximeter.core.cost import Cost, Unpriced
from taximeter.core.money import ZERO, add, format_usd, parse_usd
from taximeter.core.usage import TOKEN_CLASSES
from taximeter.errors import UsageError
from taximeter.pricing import PriceBook, priceable_from_record
from taximeter.reports import asking
from taximeter.reports.bill_differences import COUNTS, Amounts, Books, Place, compare, is_within, summed, total
from taximeter.reports.bill_reasons import reasons
from taximeter.store.events import EventQuery, EventStore, Query, parse_query
from taximeter.store.events.filters import Condition, parse_filters
from taximeter.store.events.instants import parse_instant

By = Literal["day", "model"]
Row = Mapping[str, Any]
"""A row of a provider's report, as a record of ingest."""

KEYS: Final = ("filters", "from", "to", "month", "provider", "by", "billed_usd", "report", "tolerance")
DEFAULT_TOLERANCE: Final = Decimal("0.01")
MOST_LINES: Final = 200_000
"""Rows of bills and usage that one reconciliation looks at."""

PAGE_LINES: Final = 5_000
BILL: Final = "bill"
"""The operation of a line of a bill."""

_OF_A_LINE: Final = ("provider", "request_model", "reported_cost_usd")
_METERED: Final[Mapping[str, Any]] = {"operation": {"not": [BILL]}, "tags.aggregated": {"missing": True}}
"""Calls that were seen one by one."""

_USED: Final[Mapping[str, Any]] = {"tags.aggregated": "usage"}
_BILLED: Final[Mapping[str, Any]] = {"operation": BILL, "reported_cost_usd": {"exists": True}}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileQuestion:
    """From (included) and to (not included) in microseconds, UTC. `filters` say which calls the bill is for.
    `billed` is a bill of one amount; `report` the rows that came with the question, of the time and the provider asked.
    """

    from_us: int
    to_us: int
    by: By
    tolerance: Decimal
    filters: Mapping[str, Any]
    provider: str | None
    billed: Decimal | None
    report: tuple[Row, ...]


def reconcile(request: Mapping[str, Any], store: EventStore, book: PriceBook, now_us: int) -> dict[str, Any]:
    """`{"from", "to", "by", "tolerance", "within", "rows", "totals", "reasons"}`: the providers with a bill, by day or
    by model. `within` says that no provider's difference is larger than `tolerance`, a share of its bill; it is None
    when there was nothing to compare.

    Raises UsageError, StoreError.
    """
    asked = parse_reconcile(request, now_us)
    stated = asked.billed is not None
    books = _whole_books(asked, store) if stated else _books(asked, store, book)
    by: By = "day" if stated else asked.by
    compared = compare(books)
    rows = summed(compared, lambda place: (place.provider, getattr(place, by)))
    providers = summed(compared, lambda place: (place.provider,))
    return {
        "from": rfc3339(asked.from_us),
        "to": rfc3339(asked.to_us),
        "by": by,
        "tolerance": format_usd(asked.tolerance),
        "within": all(is_within(one, asked.tolerance) for one in providers.values()) if providers else None,
        "rows": [{"provider": provider, by: value, **one.as_dict()} for (provider, value), one in _ordered(rows, by)],
        "totals": total(compared.values()).as_dict(),
        "reasons": [reason.as_dict() for reason in reasons(books, compared, stated=stated)],
    }


def _ordered(rows: Mapping[tuple[str, Any], Amounts], by: By) -> list[tuple[tuple[str, Any], Amounts]]:
    """Days in their order; models by the size of their difference."""
    if by == "day":
        return sorted(rows.items(), key=lambda item: item[0])
    return sorted(rows.items(), key=lambda item: (-abs(item[1].difference), str(item[0])))


# --- the question --------------------------------------------------------------------------------------------------


def parse_reconcile(request: Mapping[str, Any], now_us: int) -> ReconcileQuestion:
    """A question from its JSON form, whose fields are `KEYS`. Raises UsageError naming the field."""
    asking.only(request, KEYS)
    head = parse_query({**asking.period(request), "timezone": "UTC", "measures": ["calls"]}, now_us)
    tolerance = asking.share(request, "tolerance")
    filters = request.get("filters") or {}
    parse_filters(filters)
    return ReconcileQuestion(
        from_us=head.from_us,
        to_us=head.to_us,
        by=_by(request),
        tolerance=DEFAULT_TOLERANCE if tolerance is None else tolerance,
        filters=filters,
        provider=asking.text(request, "provider"),
        billed=_stated_bill(request),
        report=tuple(_report(request, head, now_us)),
    )


def _by(request: Mapping[str, Any]) -> By:
    wanted = request.get("by") or "day"
    for known in get_args(By):
        if wanted == known:
            return known  # type: ignore[no-any-return]
    allowed = list(get_args(By))
    raise UsageError(f"by cannot be {wanted!r}", hint="allowed: " + ", ".join(allowed), field="by", allowed=allowed)


def _stated_bill(request: Mapping[str, Any]) -> Decimal | None:
    given = request.get("billed_usd")
    if given is None:
        return None
    if not asking.text(request, "provider"):
        raise UsageError("one amount is one provider's bill: say which", hint="provider: openai", field="provider")
    return _usd(given, "billed_usd")


def _report(request: Mapping[str, Any], asked: Query, now_us: int) -> Iterator[Row]:
    """The rows that come with the question, of the time and the provider that it is about."""
    rows = request.get("report") or []
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        hint = "records of ingest with provider and started_at"
        raise UsageError("report must be a list of rows of a bill or a usage report", hint=hint, field="report")
    if len(rows) > MOST_LINES:
        raise UsageError(f"a report has at most {MOST_LINES} rows", hint="ask for a shorter time", field="report")
    provider = asking.text(request, "provider")
    for row in rows:
        at_us = parse_instant(row["started_at"], now_us, "UTC", field="report")
        if asked.from_us <= at_us < asked.to_us and provider in (None, row["provider"]):
            yield {**row, "started_at": rfc3339(at_us)}


def _is_row(row: Any) -> bool:
    if not isinstance(row, Mapping):
        return False
    needed = ("provider", "started_at", *(("reported_cost_usd",) if row.get("operation") == BILL else ()))
    counts = (row.get(name) or 0 for name in TOKEN_CLASSES)
    return all(isinstance(row.get(name), str) for name in needed) and all(type(count) is int for count in counts)


# --- the books -----------------------------------------------------------------------------------------------------


def _books(asked: ReconcileQuestion, store: EventStore, book: PriceBook) -> Books:
    """Rows that come with the question stand in the place of those that were imported."""
    bills = [row for row in asked.report if row.get("operation") == BILL]
    billed = _lines_by_place(bills or _stored_bill(asked, store))
    if not billed:
        return Books({}, {}, {})
    providers = {"provider": {"in": sorted({place.provider for place in billed})}}
    metered = _stored(asked, {**asked.filters, **providers, **_METERED}, store)
    usage = [row for row in asked.report if row.get("operation") != BILL]
    used = _used(usage, book) if usage else _stored(asked, {**providers, **_USED}, store)
    return Books(billed, metered, used)


def _whole_books(asked: ReconcileQuestion, store: EventStore) -> Books:
    """All that was metered stands on the first day of the period, where the one amount of the bill stands."""
    assert asked.provider is not None
    assert asked.billed is not None
    place = Place(asked.provider, rfc3339(asked.from_us)[:10], None)
    metered = _stored(asked, {**asked.filters, "provider": asked.provider, **_METERED}, store)
    return Books({place: asked.billed}, {place: total(metered.values())}, {})


def _stored(asked: ReconcileQuestion, filters: Mapping[str, Any], store: EventStore) -> dict[Place, Amounts]:
    """What the store has of them, by place."""
    query = Query(
        from_us=asked.from_us,
        to_us=asked.to_us,
        measures=("cost_usd", *COUNTS),
        group_by=("provider", "model"),
        interval="day",
        filters=parse_filters(filters),
    )
    return {
        Place(row["provider"], str(row["time"])[:10], row["model"]): Amounts(
            metered=ZERO if row["cost_usd"] is None else Decimal(row["cost_usd"]),
            **{name: row[name] for name in COUNTS},
        )
        for row in store.query(query).rows
    }


def _used(rows: Iterable[Row], book: PriceBook) -> dict[Place, Amounts]:
    """What the rows of a usage report come to at our prices."""
    sums: dict[Place, Amounts] = {}
    for row in rows:
        cost = _price(row, book)
        one = Amounts(unpriced_calls=1) if isinstance(cost, Unpriced) else Amounts(metered=cost.total)
        place = _place(row)
        sums[place] = total([sums.get(place, Amounts()), one])
    return sums


def _price(row: Row, book: PriceBook) -> Cost | Unpriced:
    try:
        return book.price(priceable_from_record(row))
    except (KeyError, ValueError, TypeError, ArithmeticError) as error:
        raise UsageError(f"a row of the report cannot be priced: {error}", field="report") from error


def _place(row: Row) -> Place:
    return Place(row["provider"], row["started_at"][:10], row.get("response_model") or row.get("request_model"))


def _lines_by_place(lines: Iterable[Row]) -> dict[Place, Decimal]:
    """The lines of bills; of several of the same place the sum."""
    sums: dict[Place, Decimal] = {}
    for line in lines:
        place = _place(line)
        sums[place] = add(sums.get(place, ZERO), _usd(line["reported_cost_usd"], "report"))
    return sums


def _usd(given: Any, field: str) -> Decimal:
    try:
        return parse_usd(str(given))
    except ValueError:
        raise UsageError(f"{given!r} is not an amount", field=field) from None


def _stored_bill(asked: ReconcileQuestion, store: EventStore) -> list[dict[str, Any]]:
    of_one = {} if asked.provider is None else {"provider": asked.provider}
    lines = list(islice(_lines(asked, parse_filters({**_BILLED, **of_one}), store), MOST_LINES + 1))
    if len(lines) > MOST_LINES:
        raise UsageError(f"a bill has at most {MOST_LINES} lines", hint="ask for a shorter time", field="from")
    return lines


def _lines(asked: ReconcileQuestion, filters: tuple[Condition, ...], store: EventStore) -> Iterator[dict[str, Any]]:
    bounds: dict[str, Any] = {"filters": filters, "from_us": asked.from_us, "to_us": asked.to_us}
    cursor, more = None, True
    while more:
        page = store.events(EventQuery(**bounds, limit=PAGE_LINES, cursor=cursor, columns=_OF_A_LINE))
        yield from page.events
        cursor = page.next
        more = cursor is not None
