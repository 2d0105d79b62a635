"""A model as a report shows it: whose it is, what class it is of, how much it can read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal

import yaml

from taximeter.errors import UnknownModelError
from taximeter.pricing import PriceBook, catalogue
from taximeter.pricing.catalogue import KnownModel

TierClass = Literal["general", "balanced", "throughput"]
TIER_CLASSES: Final[tuple[TierClass, ...]] = ("throughput", "balanced", "general")
"""From the smallest to the largest; the first one with a word of the name decides."""

WORDS: Final = Path(__file__).with_name("tier_classes.yaml")
NO_CLASS: Final = "none"


def tier_class(name: str) -> TierClass | None:
    """`throughput` (small, quick, cheap), `balanced`, `general` (a maker's large ones), by the name; else None."""
    words = frozenset(re.split(r"[^a-z0-9]+", name.lower()))
    marks = _marks()
    if words & marks[NO_CLASS]:
        return None
    return next((found for found in TIER_CLASSES if words & marks[found]), None)


@cache
def _marks() -> Mapping[str, frozenset[str]]:
    said: dict[str, list[str]] = yaml.safe_load(WORDS.read_text("utf-8"))
    return {name: frozenset(words) for name, words in said.items()}


def choose(book: PriceBook, name: str, *, field: str) -> KnownModel:
    """The model that is meant by `model` or `provider/model`.

    Raises UnknownModelError, with names that look like it, or with the providers between which one has to choose.
    """
    found = catalogue.find(book, name)
    if len(found) == 1:
        return found[0]
    if not found:
        similar = catalogue.similar(book, name)
        hint = f"similar names: {', '.join(similar)}" if similar else "write it as provider/model, or give it a price"
        raise UnknownModelError(f"no price is known for the model {name!r}", hint=hint, field=field, similar=similar)
    full_names = [model.full_name for model in found]
    raise UnknownModelError(
        f"several providers serve the model {name!r}",
        hint=f"say which: {', '.join(full_names)}",
        field=field,
        similar=full_names,
    )
