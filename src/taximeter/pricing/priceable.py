"""What is priced: the part of an event that its cost depends on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from taximeter.clock import EPOCH
from taximeter.core.event import UsageEvent, usage_of
from taximeter.core.facts import fact
from taximeter.core.money import parse_usd
from taximeter.core.usage import NOTHING_COUNTED, Usage


@fact(frozen=True, slots=True)
class Priceable:
    """One call as the price book sees it.

    `model` is the one that answered, else the one asked for. `at_us` is when the call began, microseconds since the
    epoch, UTC. `by_model` holds the parts of a call that used several models; `usage` is their sum and carries the
    units.
    """

    provider: str | None
    model: str | None
    at_us: int
    usage: Usage = NOTHING_COUNTED
    request_model: str | None = None
    service_tier: str | None = None
    region: str | None = None
    operation: str | None = None
    status: str = "ok"
    not_billed: bool = False
    by_model: tuple[tuple[str, Usage], ...] = ()
    team: str | None = None
    tenant: str | None = None
    reported_usd: Decimal | None = None
    """The amount that the provider or the sender named."""


def priceable_from_event(event: UsageEvent) -> Priceable:
    """The priceable part of an event."""
    return Priceable(
        event.provider,
        event.model,
        event.started_at_us,
        event.usage,
        event.request_model,
        event.service_tier,
        event.region,
        event.operation,
        event.status,
        event.not_billed,
        event.by_model,
        event.attribution.team,
        event.attribution.tenant,
        event.reported_cost_usd,
    )


def priceable_from_record(record: Mapping[str, Any]) -> Priceable:
    """The priceable part of a flat event record (the keys of `core.event.FIELDS`).

    Raises KeyError or ValueError when `started_at` is missing or not RFC 3339.
    """
    get = record.get
    asked = get("request_model")
    shares = get("by_model")
    return Priceable(
        get("provider"),
        get("response_model") or asked,
        parse_instant(record["started_at"]),
        _usage(get, record),
        asked,
        get("service_tier"),
        get("region"),
        get("operation"),
        get("status") or "ok",
        bool(get("not_billed")),
        tuple((share["model"], usage_of(share)) for share in shares) if shares else (),
        get("team"),
        get("tenant"),
        _amount(get("reported_cost_usd")),
    )


def _amount(told: object) -> Decimal | None:
    """An amount of a record; what is none says nothing."""
    if told is None:
        return None
    try:
        return parse_usd(str(told))
    except ValueError:
        return None


def parse_instant(rfc3339_text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 instant, exactly. Raises ValueError."""
    since = datetime.fromisoformat(rfc3339_text) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


_UNCOMMON: Final = (
    "input_audio_tokens",
    "cache_read_audio_tokens",
    "input_image_tokens",
    "input_video_tokens",
    "output_audio_tokens",
    "output_image_tokens",
    "units",
)


def _usage(get: Any, record: Mapping[str, Any]) -> Usage:
    """The usage; most records have none of the uncommon classes, and need not be asked for each."""
    if not record.keys().isdisjoint(_UNCOMMON):
        return usage_of(record)
    return Usage(
        input_tokens=get("input_tokens"),
        output_tokens=get("output_tokens"),
        cache_read_tokens=get("cache_read_tokens"),
        cache_write_5m_tokens=get("cache_write_5m_tokens"),
        cache_write_1h_tokens=get("cache_write_1h_tokens"),
        reasoning_tokens=get("reasoning_tokens"),
    )
