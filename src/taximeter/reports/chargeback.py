"""Chargeback: what each team, customer or other payer is charged for a period, to the cent.

A line is a value of the dimension that is charged by. For its calls n and their cost c, with the mark-up that the
configuration has for it (p percent, and f USD a call): charge = c + c x p / 100 + n x f. What cannot be attributed is a
line of its own at cost, or is shared among the others in proportion to their costs, at cost as well.

The total is the exact sum of the charges, rounded half up to the cent. Each line is cut to the cent below it, and the
cents that are left go to the lines of which most was cut (the method of largest remainders): so the lines of a
statement sum to its total, and none is a cent or more away from its exact charge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from typing import Any, Final, Literal, get_args

from taximeter.clock import rfc3339
from taximeter.core.money import ZERO, add, exact, format_usd, multiply
from taximeter.errors import UsageError
from taximeter.reports import asking
from taximeter.store.events import Answer, EventStore, Query, parse_query

Unattributed = Literal["line", "shared"]
CENT: Final = Decimal("0.01")
KEYS: Final = (*asking.RANGE, "by", "month", "fiscal_start_month", "unattributed")
_DIVISION: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Markup:
    """`percent` of the cost, and an amount for each call, USD."""

    percent: Decimal = ZERO
    per_call_usd: Decimal = ZERO

    def of(self, cost: Decimal, calls: int) -> Decimal:
        share = multiply(cost, self.percent).scaleb(-2)
        return add(share, multiply(calls, self.per_call_usd))


@dataclass(frozen=True, slots=True)
class Terms:
    """Who is charged, and at which mark-ups: `markups` by value of `by`, `markup` for all others."""

    by: str = "team"
    markup: Markup = Markup()
    markups: Mapping[str, Markup] = field(default_factory=dict)
    unattributed: Unattributed = "line"

    def markup_of(self, value: str) -> Markup:
        return self.markups.get(value, self.markup)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a statement; `value` None is what cannot be attributed. `amount_usd` has whole cents; without prices of
    any of its calls `cost_usd` is None, and only what is known is charged."""

    value: str | None
    calls: int
    unpriced_calls: int
    cost_usd: Decimal | None
    markup_usd: Decimal = ZERO
    shared_usd: Decimal = ZERO
    amount_usd: Decimal = ZERO

    @property
    def charge_usd(self) -> Decimal:
        """Exact."""
        return add(self.cost_usd or ZERO, self.markup_usd, self.shared_usd)


def chargeback(request: Mapping[str, Any], terms: Terms, store: EventStore, now_us: int) -> dict[str, Any]:
    """`{"by", "from", "to", "timezone", "rows", "totals", "coverage"}`. The period is a `month` such as 2026-10, or
    `from` until `to`; last month when nothing is said.

    Raises UsageError, StoreError.
    """
    asking.only(request, KEYS)
    terms = _terms(request, terms)
    query = parse_query({**asking.period(request), **_narrowed(request, terms)}, now_us)
    (by,) = query.group_by
    answer = store.query(query)
    lines = statement([_line(row, by) for row in answer.rows if _made(row)], terms)
    return {**_head(query, by), "rows": [_row(line, by) for line in lines], **_sums(lines, answer)}


def statement(lines: Sequence[Line], terms: Terms) -> list[Line]:
    """The lines with what they are charged. The amounts sum to the sum of the charges, rounded."""
    marked = [replace(line, markup_usd=_markup(line, terms)) for line in lines]
    charged = shared(marked) if terms.unattributed == "shared" else marked
    amounts = in_cents([line.charge_usd for line in charged])
    return [replace(line, amount_usd=amount) for line, amount in zip(charged, amounts, strict=True)]


def _markup(line: Line, terms: Terms) -> Decimal:
    """Nobody is there to pay one for what cannot be attributed."""
    return ZERO if line.value is None else terms.markup_of(line.value).of(line.cost_usd or ZERO, line.calls)


def shared(lines: Sequence[Line]) -> list[Line]:
    """What cannot be attributed, moved to the others by their costs; it stays where nobody else cost anything."""
    costs = [ZERO if line.value is None else line.cost_usd or ZERO for line in lines]
    if not any(costs):
        return list(lines)
    unattributed = [line.cost_usd or ZERO if line.value is None else ZERO for line in lines]
    moved = zip(in_parts(add(*unattributed), costs), unattributed, strict=True)
    return [replace(line, shared_usd=add(come, -gone)) for line, (come, gone) in zip(lines, moved, strict=True)]


def in_parts(amount: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """An amount in parts by weights, of which one is above zero, to twelve digits; the heaviest takes what is left of
    rounding, so the parts sum to the amount."""
    whole = add(*weights)
    parts = [exact(_DIVISION.divide(multiply(amount, weight), whole)) for weight in weights]
    heaviest = max(range(len(weights)), key=weights.__getitem__)
    parts[heaviest] = add(parts[heaviest], amount, *(-part for part in parts))
    return parts


def in_cents(charges: Sequence[Decimal]) -> list[Decimal]:
    """Amounts in whole cents that sum to the rounded sum of exact ones, by largest remainders; of equal ones the first
    comes first."""
    total = _to_cents(add(*charges), ROUND_HALF_UP)
    amounts = [_to_cents(charge, ROUND_FLOOR) for charge in charges]
    left = int(add(total, *(-amount for amount in amounts)) / CENT)
    by_remainder = sorted(range(len(charges)), key=lambda place: amounts[place] - charges[place])
    for place in by_remainder[:left]:
        amounts[place] = add(amounts[place], CENT)
    return amounts


def _to_cents(amount: Decimal, rounding: str) -> Decimal:
    return amount.quantize(CENT, context=Context(prec=60, rounding=rounding))


# --- asking --------------------------------------------------------------------------------------------------------


def _terms(request: Mapping[str, Any], terms: Terms) -> Terms:
    wanted = request.get("unattributed") or terms.unattributed
    for known in get_args(Unattributed):
        if wanted == known:
            return replace(terms, by=asking.text(request, "by") or terms.by, unattributed=known)
    allowed = list(get_args(Unattributed))
    hint = "allowed: " + ", ".join(allowed)
    raise UsageError(f"unattributed cannot be {wanted!r}", hint=hint, field="unattributed", allowed=allowed)


def _narrowed(request: Mapping[str, Any], terms: Terms) -> dict[str, Any]:
    given = {name: request[name] for name in ("filters", "timezone", "fiscal_start_month") if request.get(name)}
    return {**given, "group_by": [terms.by], "measures": ["cost_usd", "calls", "refused", "unpriced_calls"]}


def _line(row: Mapping[str, Any], by: str) -> Line:
    cost = None if row["cost_usd"] is None else Decimal(row["cost_usd"])
    return Line(None if row[by] is None else str(row[by]), _made(row), row["unpriced_calls"], cost)


def _made(row: Mapping[str, Any]) -> int:
    """The calls that were made: nobody pays for what a limit refused."""
    return int(row["calls"] - row["refused"])


def _head(query: Query, by: str) -> dict[str, Any]:
    return {"by": by, "from": rfc3339(query.from_us), "to": rfc3339(query.to_us), "timezone": query.timezone}


def _row(line: Line, by: str) -> dict[str, Any]:
    return {
        by: line.value,
        "calls": line.calls,
        "unpriced_calls": line.unpriced_calls,
        "cost_usd": None if line.cost_usd is None else format_usd(line.cost_usd),
        "markup_usd": format_usd(line.markup_usd),
        "shared_usd": format_usd(line.shared_usd),
        "amount_usd": f"{line.amount_usd:.2f}",
    }


def _sums(lines: Sequence[Line], answer: Answer) -> dict[str, Any]:
    """What the store says of all calls, and the sums of the lines."""
    sums = {name: format_usd(add(*(getattr(line, name) for line in lines))) for name in ("markup_usd", "shared_usd")}
    amount = add(*(line.amount_usd for line in lines))
    counts = {"calls": _made(answer.totals), **{name: answer.totals[name] for name in ("unpriced_calls", "cost_usd")}}
    return {"totals": {**counts, **sums, "amount_usd": f"{amount:.2f}"}, "coverage": answer.coverage}
