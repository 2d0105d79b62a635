"""What may make the difference between a bill and what was metered, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

from taximeter.core.money import add, exact, format_usd
from taximeter.reports.bill_differences import Amounts, Books, Place, summed, total

SAME_RATE: Final = Decimal("0.005")
"""Two models are billed at the same share of their list price when the shares are no farther apart than this."""

NAMED: Final = 5
"""Names in a reason."""

_DIVISION: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)


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
