"""What Datadog is told of a parcel. Pure.

Datadog writes tags its own way, and of two points of one metric, tags and second it keeps the last. So tags are written
that way before they leave, and what is one series then is added up.

Its numbers are doubles. An amount with more digits than a double surely holds is told in parts, each of which is held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from taximeter.core.usage import TOKEN_CLASSES
from taximeter.exporters.port import Parcel
from taximeter.exporters.series import series_values

NAMES: Final = {
    "cost_usd": "llm.cost_usd",
    "calls": "llm.calls",
    "failed_calls": "llm.failed_calls",
    "refused": "llm.refused_calls",
    "retries": "llm.retries",
    "retry_cost_usd": "llm.retry_cost_usd",
    "unpriced_calls": "llm.unpriced_calls",
    **dict.fromkeys(TOKEN_CLASSES, "llm.tokens"),
}
"""Measure → metric. Tokens have the tag `token_class`."""

TAGS: Final = {"environment": "env", "user_id": "llm_user"}
"""Labels that are called otherwise there."""

DIGITS_OF_A_DOUBLE: Final = 15
"""So many digits of any decimal number come back from a double as they were."""

TAG_CHARACTERS: Final = 200
"""What is longer is cut off."""

_NOT_IN_TAGS: Final = re.compile(r"(?:[^\w:./-]|_)+")


class Point(NamedTuple):
    metric: str
    tags: tuple[str, ...]
    amount: float


def tag(name: str, value: str) -> str:
    """A tag as Datadog writes it: what differs from another one here does so there."""
    return _NOT_IN_TAGS.sub("_", f"{name}:{value}".lower())[:TAG_CHARACTERS].rstrip("_:")


def doubles(amount: Decimal) -> list[float]:
    """Numbers that, written as decimals, add up to the amount: one, but for amounts of very many digits."""
    sign, digits, exponent = amount.as_tuple()
    assert isinstance(exponent, int)
    parts = []
    for start in range(0, len(digits), DIGITS_OF_A_DOUBLE):
        some = digits[start : start + DIGITS_OF_A_DOUBLE]
        behind = len(digits) - start - len(some)
        parts.append(float(Decimal((sign, some, exponent + behind))))
    return [part for part in parts if part]


def points(parcel: Parcel, further: Mapping[str, str]) -> Iterator[Point]:
    """The points of a parcel, which all have its second; `further` tags are on each of them."""
    for (metric, tags), amount in _amounts(parcel, further).items():
        for number, part in enumerate(doubles(amount)):
            yield Point(metric, (*tags, f"remainder:{number}") if number else tags, part)


def _amounts(parcel: Parcel, further: Mapping[str, str]) -> dict[tuple[str, tuple[str, ...]], Decimal]:
    """The amounts by metric and tags."""
    found: dict[tuple[str, tuple[str, ...]], Decimal] = {}
    names = [TAGS.get(label, label) for label in parcel.labels]
    for key, amounts in parcel.amounts.items():
        said = [*further.items(), *zip(names, series_values(key), strict=True)]
        for measure, metric in NAMES.items():
            if measure in amounts:
                tags = tuple(tag(name, value) for name, value in (*said, *_class_of(measure)) if value)
                found[metric, tags] = found.get((metric, tags), Decimal(0)) + amounts[measure]
    return found


def _class_of(measure: str) -> list[tuple[str, str]]:
    return [("token_class", measure.removesuffix("_tokens"))] if measure in TOKEN_CLASSES else []
