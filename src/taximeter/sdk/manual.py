"""A call reported by hand, for what no instrument sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from taximeter.clock import SystemClock
from taximeter.core.event import STATUSES, Status, UsageEvent, as_record
from taximeter.core.members import encode
from taximeter.core.usage import TOKEN_CLASSES, Usage, violations
from taximeter.errors import UsageError
from taximeter.sdk import meter as meters
from taximeter.sdk.context import current, said
from taximeter.sdk.given import given_id, given_moment_us, given_usd, refuse_misspelt
from taximeter.sdk.guard import GUARD

_CLOCK: Final = SystemClock()


def record(
    *,
    provider: str,
    model: str | None = None,
    operation: str | None = "chat",
    status: Status = "ok",
    started_at: datetime | None = None,
    duration_ms: float | None = None,
    time_to_first_token_ms: float | None = None,
    response_model: str | None = None,
    service_tier: str | None = None,
    http_status: int | None = None,
    error_type: str | None = None,
    request_id: str | None = None,
    response_id: str | None = None,
    attempt: int = 1,
    event_id: str | None = None,
    units: Mapping[str, int | Decimal] | None = None,
    usage_estimated: bool = False,
    reported_cost_usd: str | int | Decimal | None = None,
    tags: Mapping[str, object] | None = None,
    **counts_and_attributes: Any,
) -> str:
    """Report one call: `record(provider="openai", model="gpt-4o-mini", input_tokens=1500, output_tokens=450,
    feature="smart-reply", user="user_12345")`. Returns its event id.

    `input_tokens` counts all input, cache included; `output_tokens` all output, reasoning included; further counts
    are parts of the two: `cache_read_tokens`, `cache_write_5m_tokens`, `cache_write_1h_tokens`, `reasoning_tokens`,
    `input_audio_tokens`, `output_audio_tokens` and the other token classes. Other names are attributes, as in
    `attribute`, on top of the surrounding ones. `started_at` defaults to now and needs a time zone. The same
    `event_id` (a UUID) reported twice counts once.

    Raises UsageError for what cannot be true: counts that are negative or not whole, a part larger than its whole, a
    float as money, a time without a zone, an unknown status or count. Nothing that happens after that raises.
    """
    named = dict(counts_and_attributes)
    usage = _usage({name: named.pop(name) for name in TOKEN_CLASSES if name in named}, units)
    refuse_misspelt(named, TOKEN_CLASSES)
    _check(provider, status, attempt)
    now_us = _CLOCK.now_us()
    event = UsageEvent(
        event_id=given_id(event_id, now_us, "event_id"),
        started_at_us=given_moment_us(started_at, now_us, "started_at"),
        source="sdk",
        status=status,
        provider=provider,
        request_model=model,
        response_model=response_model,
        operation=operation,
        service_tier=service_tier,
        duration_ms=duration_ms,
        time_to_first_token_ms=time_to_first_token_ms,
        http_status=http_status,
        error_type=error_type,
        request_id=request_id,
        response_id=response_id,
        attempt=attempt,
        attribution=said(tags, named).over(current()),
        usage=usage,
        usage_estimated=usage_estimated,
        reported_cost_usd=given_usd(reported_cost_usd, "reported_cost_usd"),
    )
    GUARD.run("record", _append, event)
    return event.event_id


def _append(event: UsageEvent) -> None:
    meter = meters.meter()
    known = replace(event, attribution=event.attribution.over(meter.settings.base))
    meter.append(encode(as_record(known)))


def _usage(counts: Mapping[str, Any], units: Mapping[str, int | Decimal] | None) -> Usage:
    for name, count in counts.items():
        if count is not None and type(count) is not int:
            raise UsageError(f"{name} must be a whole number, not {count!r}", field=name)
    usage = Usage(units=_units(units or {}), **counts)
    for violation in violations(usage):
        raise UsageError(violation.message, field=violation.field)
    return usage


def _units(units: Mapping[str, int | Decimal]) -> dict[str, int | Decimal]:
    for name, amount in units.items():
        if type(amount) is not int and not (isinstance(amount, Decimal) and amount.is_finite()):
            raise UsageError(f"units.{name} must be an int or a Decimal, not {amount!r}", field=f"units.{name}")
    return dict(units)


def _check(provider: str, status: str, attempt: int) -> None:
    if not provider:
        raise UsageError("provider must be a name", hint="for instance openai", field="provider")
    if status not in STATUSES:
        raise UsageError(f"unknown status {status!r}", hint="one of " + ", ".join(STATUSES), field="status")
    if type(attempt) is not int or attempt < 1:
        raise UsageError(f"attempt must be 1 or more, not {attempt!r}", field="attempt")
