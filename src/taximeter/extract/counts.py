"""From a provider's usage object to our token classes: tables of names, and what contradictions do."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from taximeter.core.usage import Usage, clamped
from taximeter.extract.payload import Payload, count, mapping

CountTable: TypeAlias = Mapping[str, Mapping[str, str]]
"""Where counts are: name of an enclosing object ("" for the usage itself) → provider's key → our token class.

The first place that has a number for a class wins.
"""

Units: TypeAlias = Mapping[str, int | Decimal]

UNITS: Final = {
    "web_searches": "searches of the web that the provider ran for the model",
    "web_fetches": "pages that the provider fetched for the model (Anthropic does not charge for them)",
    "x_searches": "searches of X posts (xAI)",
    "file_searches": "searches of the provider's own file stores",
    "code_interpreter_calls": "runs of the provider's code interpreter (OpenAI charges its containers apart)",
    "audio_seconds": "seconds of audio transcribed",
    "pages": "pages read by OCR",
    "search_units": "rerank searches (Cohere)",
}
"""Billable units besides tokens, as they are called in `Usage.units`. One that is not named was not used."""


def counts_in(usage: Payload, table: CountTable) -> dict[str, int | None]:
    """The counts of a provider's usage object under our names."""
    found: dict[str, int | None] = {}
    for place, names in table.items():
        holder = usage if not place else usage.get(place)
        if not holder or not isinstance(holder, Mapping):
            continue
        for theirs, ours in names.items():
            if theirs in holder and ours not in found and (number := count(holder[theirs])) is not None:
                found[ours] = number
    return found


def believable(counts: Mapping[str, int | None], units: Units) -> tuple[Usage, bool]:
    """The usage of these counts, parts inside their wholes, and whether something had to be cut for it."""
    return clamped(Usage(units=units, **counts))


def units_in(holder: object, names: Mapping[str, str]) -> dict[str, int | Decimal]:
    """The units of a provider's object under our names; none that are zero."""
    named = mapping(holder)
    return {ours: number for theirs, ours in names.items() if (number := count(named.get(theirs)) or 0) > 0}
