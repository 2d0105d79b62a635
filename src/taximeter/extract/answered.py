"""What an answer adds to the line of its event."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from taximeter.core.event import usage_record
from taximeter.core.members import members, named, quoted
from taximeter.core.usage import TOKEN_CLASSES, Usage
from taximeter.extract.plain import Plain
from taximeter.extract.reading import Reading

MOST_REMEMBERED: Final = 1_024
"""Kinds of plain answers whose JSON is kept ready."""


def of_plain(plain: Plain) -> str:
    """The members that a plain answer adds."""
    return _of_kind(plain.response_model, plain.service_tier, plain.classes) % (
        quoted(plain.response_id),
        *plain.counts,
    )


@lru_cache(maxsize=MOST_REMEMBERED)
def _of_kind(model: str, service_tier: str | None, classes: tuple[str, ...]) -> str:
    """These members, with the places where the id and the counts come."""
    served = named(response_model=model, service_tier=service_tier).replace("%", "%%")
    return f'{served},"response_id":%s' + "".join(f',"{name}":%d' for name in classes)


def of_reading(reading: Reading, usage: Usage, *, error_type: str | None, rarities: Mapping[str, Any]) -> str:
    """The members that any reading adds. `usage` is what was used, be it told or estimated; `error_type` that of an
    error which the answer does not name; `rarities` are members that few calls have."""
    texts = named(
        response_model=reading.response_model,
        response_id=reading.response_id,
        service_tier=reading.service_tier,
        error_type=reading.error_type or error_type,
    )
    return f"{texts}{_counted(usage)}{members({**rarities, **_rarities(reading)})}"


def _counted(usage: Usage) -> str:
    counts = [f',"{name}":{count}' for name in TOKEN_CLASSES if (count := getattr(usage, name)) is not None]
    if usage.units:
        counts.append(members({"units": usage_record(usage)["units"]}))
    return "".join(counts)


def _rarities(reading: Reading) -> dict[str, Any]:
    """What is worth saying of some answers only."""
    said: dict[str, Any] = {}
    if reading.region is not None:
        said["region"] = reading.region
    if reading.by_model:
        said["by_model"] = [{"model": model, **usage_record(usage)} for model, usage in reading.by_model]
    if reading.reported_cost_usd is not None:
        said["reported_cost_usd"] = str(reading.reported_cost_usd)
    if reading.not_billed:
        said["not_billed"] = True
    if reading.usage_estimated:
        said["usage_estimated"] = True
    if reading.usage_conflict:
        said["usage_conflict"] = True
    return said
