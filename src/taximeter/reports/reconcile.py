"""Reconciliation: a provider's own bill beside what was metered, and what the difference is made of.

The bill is rows of the provider's report that come with the question, what was imported of it before (`ingest.imports`:
records with the operation `bill` and a `reported_cost_usd`), or one amount for the whole period. Days are those of UTC,
in which providers bill. Only days that a bill has lines for are compared: what is not billed yet is no difference.

Where the provider's usage report of a day is known too, it tells the two causes apart. It comes with the question, so
that it is in no total besides. With the cost of that usage at the prices of the book,

    billed - metered = (usage at our prices - metered) + (billed - usage at our prices)
                     = unmetered                       + price

On days without it, the whole difference is unexplained. So in every row, and in the totals,
`difference_usd` = `unmetered_usd` + `price_usd` + `unexplained_usd`, to the last digit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, TypeVar, get_args

from taximeter.clock import rfc3339
from taximeter.core.cost import Cost, Unpriced
from taximeter.core.money import ZERO, add, exact, format_usd, parse_usd
from taximeter.core.usage import TOKEN_CLASSES
from taximeter.errors import UsageError
from taximeter.pricing import PriceBook, priceable_from_record
from taximeter.reports import asking
from taximeter.store.events import EventQuery, EventStore, Query, parse_query
from taximeter.store.events.instants import parse_instant

K = TypeVar("K")
By = Literal["day", "model"]
KEYS: Final = ("filters", "from", "to", "month", "provider", "by", "billed_usd", "report", "tolerance")
DEFAULT_TOLERANCE: Final = Decimal("0.01")
MOST_LINES: Final = 200_000
"""Rows of bills and usage that one reconciliation looks at."""

PAGE_LINES: Final = 5_000
SAME_RATE: Final = Decimal("0.005")
"""Two models are billed at the same share of their list price when the shares are no farther apart than this."""

NAMED: Final = 5
"""Names in a reason."""

BILL: Final = "bill"
"""The operation of a line of a bill."""

_OF_A_LINE: Final = ("provider", "request_model", "reported_cost_usd")
_CALLS: Final = ("cost_usd", "calls", "unpriced_calls", "estimated_calls")
_DIVISION: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


class Place(NamedTuple):
    """What amounts are told of: a provider's model on a day (`2026-10-01`), or what else a line of a bill names."""

    provider: str
    day: str
    model: str | None


@dataclass(frozen=True, slots=True)
class Amounts:
    """Sums, USD and calls. `unmetered`, `price` and `unexplained` are the difference of billed and metered."""

    billed: Decimal = ZERO
    metered: Decimal = ZERO
    unmetered: Decimal = ZERO
    price: Decimal = ZERO
    unexplained: Decimal = ZERO
    calls: int = 0
    unpriced_calls: int = 0
    estimated_calls: int = 0

    @property
    def difference(self) -> Decimal:
        return add(self.billed, -self.metered)

    def as_dict(self) -> dict[str, Any]:
        return {
            "billed_usd": format_usd(self.billed),
            "metered_usd": format_usd(self.metered),
            "difference_usd": format_usd(self.difference),
            "difference_share": _ratio(self.difference, self.billed),
            "unmetered_usd": format_usd(self.unmetered),
            "price_usd": format_usd(self.price),
            "unexplained_usd": format_usd(self.unexplained),
            **{name: getattr(self, name) for name in _CALLS[1:]},
        }


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that makes a difference, in words. `usd` is how much of it is in question, None when it is not known;
    `calls` how many calls it is about, None when it is not about calls."""

    code: str
    text: str
    usd: Decimal | None = None
    calls: int | None = None

    def as_dict(self) -> dict[str, Any]:
        usd = None if self.usd is None else format_usd(self.usd)
        return {"code": self.code, "text": self.text, "usd": usd, "calls": self.calls}


@dataclass(frozen=True, slots=True)
class Books:
    """What is compared, by place: `billed` are the lines of bills, `metered` our calls, and `used` the provider's usage
    report, whose `metered` is what it comes to at our prices."""

    billed: Mapping[Place, Decimal]
    metered: Mapping[Place, Amounts]
    used: Mapping[Place, Amounts]

    @property
    def billed_days(self) -> set[tuple[str, str]]:
        return {(place.provider, place.day) for place in self.billed}

    @property
    def used_days(self) -> set[tuple[str, str]]:
        return {(place.provider, place.day) for place in self.used}


def reconcile(request: Mapping[str, Any], store: EventStore, book: PriceBook, now_us: int) -> dict[str, Any]:
    """`{"from", "to", "by", "tolerance", "within", "rows", "totals", "reasons"}`: the providers with a bill, by day or
    by model. `within` says that no provider's difference is larger than `tolerance`, a share of its bill; it is None
    when there was nothing to compare.

    Raises UsageError, StoreError.
    """
    asking.only(request, KEYS)
    by, tolerance = _by(request), asking.share(request, "tolerance")
    period = asking.period(request)
    whole = _stated_bill(request)
    if whole is None:
        books = _books(request, period, store, book, now_us)
    else:
        books, by = _whole_books(request, period, store, now_us, whole), "day"
    tolerance = DEFAULT_TOLERANCE if tolerance is None else tolerance
    compared = compare(books)
    rows = summed(compared, lambda place: (place.provider, getattr(place, by)))
    providers = summed(compared, lambda place: (place.provider,))
    head = parse_query({**period, "measures": ["calls"]}, now_us)
    return {
        "from": rfc3339(head.from_us),
        "to": rfc3339(head.to_us),
        "by": by,
        "tolerance": format_usd(tolerance),
        "within": all(_is_within(one, tolerance) for one in providers.values()) if providers else None,
        "rows": [{"provider": provider, by: value, **one.as_dict()} for (provider, value), one in _ordered(rows, by)],
        "totals": total(compared.values()).as_dict(),
        "reasons": [reason.as_dict() for reason in reasons(books, compared, stated=whole is not None)],
    }


# --- comparing -----------------------------------------------------------------------------------------------------


def compare(books: Books) -> dict[Place, Amounts]:
    """All three sides by place, of the days that were billed."""
    billed_days, used_days = books.billed_days, books.used_days
    places = {place for side in (books.billed, books.metered, books.used) for place in side}
    return {
        place: _compared(place, books, told=(place.provider, place.day) in used_days)
        for place in places
        if (place.provider, place.day) in billed_days
    }


def _compared(place: Place, books: Books, *, told: bool) -> Amounts:
    """`told`: the provider's usage of that day is known, so a place without any had none."""
    billed, ours = books.billed.get(place, ZERO), books.metered.get(place, Amounts())
    used = books.used.get(place, Amounts()).metered
    return Amounts(
        billed=billed,
        metered=ours.metered,
        unmetered=add(used, -ours.metered) if told else ZERO,
        price=add(billed, -used) if told else ZERO,
        unexplained=ZERO if told else add(billed, -ours.metered),
        calls=ours.calls,
        unpriced_calls=ours.unpriced_calls,
        estimated_calls=ours.estimated_calls,
    )


def summed(compared: Mapping[Place, Amounts], key: Callable[[Place], K]) -> dict[K, Amounts]:
    groups: defaultdict[K, list[Amounts]] = defaultdict(list)
    for place, amounts in compared.items():
        groups[key(place)].append(amounts)
    return {name: total(group) for name, group in groups.items()}


def total(several: Collection[Amounts]) -> Amounts:
    def over(name: str) -> Any:
        values = [getattr(one, name) for one in several]
        return sum(values) if name in _CALLS else add(*values)

    return Amounts(**{field.name: over(field.name) for field in fields(Amounts)})


def _is_within(amounts: Amounts, tolerance: Decimal) -> bool:
    return abs(amounts.difference) <= tolerance * abs(amounts.billed)


def _ordered(rows: Mapping[tuple[str, Any], Amounts], by: By) -> list[tuple[tuple[str, Any], Amounts]]:
    """Days in their order; models by the size of their difference."""
    if by == "day":
        return sorted(rows.items(), key=lambda item: item[0])
    return sorted(rows.items(), key=lambda item: (-abs(item[1].difference), str(item[0])))


def _ratio(part: Decimal, whole: Decimal) -> float | None:
    return float(_DIVISION.divide(part, whole)) if whole else None


# --- why -----------------------------------------------------------------------------------------------------------


def reasons(books: Books, compared: Mapping[Place, Amounts], *, stated: bool = False) -> Iterator[Reason]:
    """What may make the difference, the surest first. `stated`: the bill is one amount without lines."""
    if not books.billed:
        yield Reason("no_bill", "no bill of that time was imported: give its file, or say --billed-usd")
        return
    whole = total(compared.values())
    if whole.unpriced_calls:
        text = "calls without a price are in the bill, but not in what was metered: taximeter prices unpriced"
        yield Reason("unpriced_calls", text, calls=whole.unpriced_calls)
    if whole.estimated_calls:
        text = "calls whose tokens were counted here, because the provider did not tell them"
        yield Reason("estimated_calls", text, calls=whole.estimated_calls)
    unpriced = total(books.used.values()).unpriced_calls
    if unpriced:
        text = "rows of the provider's usage report have no price, so what they come to stands as a price difference"
        yield Reason("unpriced_usage", text, calls=unpriced)
    yield from _not_billed_days(books)
    if not stated:
        yield from _one_sided(compared)
        yield from _same_rate(books)
    if stated:
        yield Reason("one_amount", "one amount has no lines: the bill itself, imported, tells days and models apart")
    elif whole.unexplained:
        text = "the provider's usage report of the same days would tell calls that were not metered from other prices"
        yield Reason("no_usage_report", text, usd=whole.unexplained)


def _not_billed_days(books: Books) -> Iterator[Reason]:
    billed = books.billed_days
    ours = {place: one for place, one in books.metered.items() if (place.provider, place.day) not in billed}
    if ours:
        days = sorted({place.day for place in ours})
        text = f"days without a bill are left out: {_listed(days)}"
        yield Reason("days_without_bill", text, usd=total(ours.values()).metered, calls=total(ours.values()).calls)


def _one_sided(compared: Mapping[Place, Amounts]) -> Iterator[Reason]:
    """What only the bill has, and what only we have."""
    by_item = summed(compared, lambda place: (place.provider, place.model))
    only_billed = {name: one for (_, name), one in by_item.items() if name and one.billed and not one.calls}
    if only_billed and any(one.calls for one in by_item.values()):
        text = f"billed, but not metered under these names: {_largest({n: a.billed for n, a in only_billed.items()})}"
        yield Reason("only_billed", text, usd=add(*(one.billed for one in only_billed.values())))
    only_metered = {name: one for (_, name), one in by_item.items() if one.metered and not one.billed}
    if only_metered and any(name for (_, name), one in by_item.items() if one.billed):
        costs = {name: one.metered for name, one in only_metered.items()}
        text = f"metered, but not billed under these names: {_largest(costs)}"
        yield Reason("only_metered", text, usd=add(*costs.values()), calls=total(only_metered.values()).calls)


def _same_rate(books: Books) -> Iterator[Reason]:
    """A discount, or a tax: each model of a provider is billed at the same share of what its usage comes to here."""
    both = books.billed_days & books.used_days
    billed = _by_model(books.billed, both)
    used = _by_model({place: one.metered for place, one in books.used.items()}, both)
    shares = {item: _DIVISION.divide(billed[item], used[item]) for item in billed if used.get(item)}
    for provider in sorted({provider for provider, _ in shares}):
        ours = [share for (of, _), share in shares.items() if of == provider]
        if len(ours) > 1 and max(ours) - min(ours) <= SAME_RATE < abs(ours[0] - 1):
            share = _DIVISION.divide(add(*map(exact, ours)), Decimal(len(ours))).quantize(Decimal("0.001"))
            text = f"{provider} bills each model at {format_usd(share)} of its price here: taximeter prices set"
            yield Reason("same_rate", text)


def _by_model(
    amounts: Mapping[Place, Decimal], days: Collection[tuple[str, str]]
) -> dict[tuple[str, str | None], Decimal]:
    sums: defaultdict[tuple[str, str | None], Decimal] = defaultdict(Decimal)
    for place, amount in amounts.items():
        if (place.provider, place.day) in days:
            sums[place.provider, place.model] = add(sums[place.provider, place.model], amount)
    return sums


def _largest(amounts: Mapping[str | None, Decimal]) -> str:
    ordered = sorted(amounts, key=lambda name: (-abs(amounts[name]), str(name)))
    return _listed([name or "(no name)" for name in ordered])


def _listed(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


# --- asking --------------------------------------------------------------------------------------------------------


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


def _books(
    request: Mapping[str, Any], period: Mapping[str, Any], store: EventStore, book: PriceBook, now_us: int
) -> Books:
    """Rows that come with the question stand in the place of those that were imported."""
    told = _report(request, period, now_us)
    bills = [row for row in told if row.get("operation") == BILL]
    billed = _lines_by_place(bills or _stored_bill(request, period, store, now_us))
    providers = {"in": sorted({place.provider for place in billed})}
    if not billed:
        return Books({}, {}, {})
    metered = _asked(period, _narrowed(request, {"provider": providers, **_METERED}), store, now_us)
    usage = [row for row in told if row.get("operation") != BILL]
    if usage:
        return Books(billed, metered, _used(usage, book))
    return Books(billed, metered, _asked(period, {"provider": providers, "tags.aggregated": "usage"}, store, now_us))


def _whole_books(
    request: Mapping[str, Any], period: Mapping[str, Any], store: EventStore, now_us: int, billed: Decimal
) -> Books:
    """All that was metered stands on the first day of the period, where the one amount of the bill stands."""
    provider = asking.text(request, "provider") or ""
    calls = {"provider": provider, **_METERED}
    query = _query(period, _narrowed(request, calls), now_us)
    place = Place(provider, rfc3339(query.from_us)[:10], None)
    metered = _asked(period, _narrowed(request, calls), store, now_us)
    return Books({place: billed}, {place: total(metered.values())}, {})


_METERED: Final[Mapping[str, Any]] = {"operation": {"not": [BILL]}, "tags.aggregated": {"missing": True}}
"""Calls that were seen one by one."""


def _narrowed(request: Mapping[str, Any], filters: Mapping[str, Any]) -> dict[str, Any]:
    """The filters of the request say which calls the bill is for; a filter of the same name gives way to ours."""
    return {**(request.get("filters") or {}), **filters}


def _query(period: Mapping[str, Any], filters: Mapping[str, Any], now_us: int) -> Query:
    asked = {**period, "timezone": "UTC", "interval": "day", "group_by": ["provider", "model"], "filters": filters}
    return parse_query({**asked, "measures": list(_CALLS)}, now_us)


def _asked(
    period: Mapping[str, Any], filters: Mapping[str, Any], store: EventStore, now_us: int
) -> dict[Place, Amounts]:
    return {
        Place(row["provider"], str(row["time"])[:10], row["model"]): Amounts(
            metered=ZERO if row["cost_usd"] is None else Decimal(row["cost_usd"]),
            **{name: row[name] for name in _CALLS[1:]},
        )
        for row in store.query(_query(period, filters, now_us)).rows
    }


def _report(request: Mapping[str, Any], period: Mapping[str, Any], now_us: int) -> list[Mapping[str, Any]]:
    """The rows that come with the question, of the period and the provider that it is about."""
    rows = request.get("report") or []
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        hint = "records of ingest with provider and started_at"
        raise UsageError("report must be a list of rows of a bill or a usage report", hint=hint, field="report")
    if len(rows) > MOST_LINES:
        raise UsageError(f"a report has at most {MOST_LINES} rows", hint="ask for a shorter time", field="report")
    query, provider = _query(period, {}, now_us), asking.text(request, "provider")
    timed = [(parse_instant(row["started_at"], now_us, "UTC", field="report"), row) for row in rows]
    return [
        {**row, "started_at": rfc3339(at_us)}
        for at_us, row in timed
        if query.from_us <= at_us < query.to_us and provider in (None, row["provider"])
    ]


def _is_row(row: Any) -> bool:
    if not isinstance(row, Mapping):
        return False
    needed = ("provider", "started_at", *(("reported_cost_usd",) if row.get("operation") == BILL else ()))
    counts = (row.get(name) or 0 for name in TOKEN_CLASSES)
    return all(isinstance(row.get(name), str) for name in needed) and all(type(count) is int for count in counts)


def _used(rows: Iterable[Mapping[str, Any]], book: PriceBook) -> dict[Place, Amounts]:
    """What the rows of a usage report come to at our prices."""
    sums: dict[Place, Amounts] = {}
    for row in rows:
        cost = _price(row, book)
        one = Amounts(unpriced_calls=1) if isinstance(cost, Unpriced) else Amounts(metered=cost.total)
        place = _place(row)
        sums[place] = total([sums.get(place, Amounts()), one])
    return sums


def _price(row: Mapping[str, Any], book: PriceBook) -> Cost | Unpriced:
    try:
        return book.price(priceable_from_record(row))
    except (KeyError, ValueError, TypeError, ArithmeticError) as error:
        raise UsageError(f"a row of the report cannot be priced: {error}", field="report") from error


def _place(row: Mapping[str, Any]) -> Place:
    return Place(row["provider"], row["started_at"][:10], row.get("response_model") or row.get("request_model"))


def _lines_by_place(lines: Iterable[Mapping[str, Any]]) -> dict[Place, Decimal]:
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


def _stored_bill(
    request: Mapping[str, Any], period: Mapping[str, Any], store: EventStore, now_us: int
) -> list[dict[str, Any]]:
    provider = asking.text(request, "provider")
    filters: dict[str, Any] = {"operation": BILL, "reported_cost_usd": {"exists": True}}
    query = _query(period, {**filters, **({"provider": provider} if provider else {})}, now_us)
    lines = list(islice(_lines(query, store), MOST_LINES + 1))
    if len(lines) > MOST_LINES:
        raise UsageError(f"a bill has at most {MOST_LINES} lines", hint="ask for a shorter time", field="from")
    return lines


def _lines(query: Query, store: EventStore) -> Iterator[dict[str, Any]]:
    bounds: dict[str, Any] = {"filters": query.filters, "from_us": query.from_us, "to_us": query.to_us}
    cursor, more = None, True
    while more:
        page = store.events(EventQuery(**bounds, limit=PAGE_LINES, cursor=cursor, columns=_OF_A_LINE))
        yield from page.events
        cursor = page.next
        more = cursor is not None
