"""A bill and what was metered, side by side: what is compared, by provider, day and model, and the differences.

Where the provider's usage report of a day is known too, it tells the two causes apart. With the cost of that usage at
the prices of the book,

    billed - metered = (usage at our prices - metered) + (billed - usage at our prices)
                     = unmetered                       + price

On days without it, the whole difference is unexplained. So in every row, and in the totals,
`difference_usd` = `unmetered_usd` + `price_usd` + `unexplained_usd`, to the last digit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final, NamedTuple, TypeVar

from taximeter.core.money import ZERO, add, format_usd

K = TypeVar("K")
COUNTS: Final = ("calls", "unpriced_calls", "estimated_calls")
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
            **{name: getattr(self, name) for name in COUNTS},
        }


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
        return sum(values) if name in COUNTS else add(*values)

    return Amounts(**{field.name: over(field.name) for field in fields(Amounts)})


def is_within(amounts: Amounts, tolerance: Decimal) -> bool:
    """Whether the difference is at most `tolerance`, a share of the bill."""
    return abs(amounts.difference) <= tolerance * abs(amounts.billed)


def _ratio(part: Decimal, whole: Decimal) -> float | None:
    return float(_DIVISION.divide(part, whole)) if whole else None
