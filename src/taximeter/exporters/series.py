"""Amounts by series: what was measured, for which labels. Pure.

A series is the values of the labels, in their order; a label that a call does not have is the empty text. Amounts are
exact decimals by measure, and those that are zero are left out, so that equal sums are equal mappings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from taximeter.core.usage import TOKEN_CLASSES

MONEY: Final = (
    "cost_usd",
    "cost_input_usd",
    "cost_cache_read_usd",
    "cost_cache_write_usd",
    "cost_output_usd",
    "cost_other_usd",
    "retry_cost_usd",
    "failed_cost_usd",
    "cache_saving_usd",
)
COUNTS: Final = (
    "calls",
    *TOKEN_CLASSES,
    "failed_calls",
    "cancelled_calls",
    "refused",
    "cached_calls",
    "retries",
    "unpriced_calls",
    "unpriced_tokens",
    "estimated_calls",
)
MEASURED: Final = (*MONEY, *COUNTS)
"""What is counted for every series: measures of the query API that add up."""

OTHER: Final = "other"
"""The value of every label of the series that has what the named ones do not."""

Amounts = dict[str, Decimal]
Sums = dict[str, Amounts]
"""Amounts by series (`series_key`)."""

_ZERO: Final = Decimal(0)


def series_key(values: Sequence[str]) -> str:
    """A series as a text, for mappings and for keeping."""
    return msgspec.json.encode(list(values)).decode()


def series_values(key: str) -> tuple[str, ...]:
    return tuple(msgspec.json.decode(key, type=list[str]))


def sums_of(rows: Iterable[Mapping[str, Any]], labels: Sequence[str], measures: Sequence[str]) -> Sums:
    """The rows of an answer by series. An amount that is not known adds nothing: the unpriced calls are counted."""
    sums: Sums = {}
    for row in rows:
        values = [OTHER if row.get("other") else _text(row[label]) for label in labels]
        add(sums, series_key(values), {name: Decimal(row[name] or 0) for name in measures})
    return sums


def _text(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def add(sums: Sums, key: str, amounts: Mapping[str, Decimal]) -> None:
    """Add amounts to those of a series, in place."""
    found = sums.setdefault(key, {})
    for name, amount in amounts.items():
        total = found.get(name, _ZERO) + amount
        if total:
            found[name] = total
        else:
            found.pop(name, None)
    if not found:
        del sums[key]


def total(sums: Mapping[str, Mapping[str, Decimal]]) -> Amounts:
    """All series together."""
    whole: Sums = {}
    for amounts in sums.values():
        add(whole, "", amounts)
    return whole.get("", {})


def changes(before: Mapping[str, Amounts], now: Mapping[str, Amounts]) -> Sums:
    """What has to be added to `before` to have `now`; negative where something was corrected or deleted."""
    found: Sums = {}
    for key, amounts in now.items():
        add(found, key, amounts)
    for key, amounts in before.items():
        add(found, key, {name: -amount for name, amount in amounts.items()})
    return found


def top(sums: Mapping[str, Amounts], most: int, by: str) -> list[str]:
    """The series that have the most of a measure, then of calls."""
    return sorted(sums, key=lambda key: (-sums[key].get(by, _ZERO), -sums[key].get("calls", _ZERO), key))[:most]
