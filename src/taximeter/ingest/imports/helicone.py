"""Helicone: requests, exported with its command-line tool or its page (CSV, JSON, JSON lines), or answered by its API;
and rows of its table in ClickHouse (`request_response_rmt`), which has some names of its own and amounts in billionths.

One row is one call. Bodies are never looked at. https://docs.helicone.ai/tools/export
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from taximeter.core.attribution import Attribution
from taximeter.core.event import Status, UsageEvent
from taximeter.ingest.imports.cells import first, instant_us, milliseconds, nested, text, usd, whole
from taximeter.ingest.imports.row import Options, PlainReader, RowError, Skipped, Values, import_id
from taximeter.ingest.otlp.calls import usage_of
from taximeter.ingest.otlp.emitters import provider_of

_FIRST_ERROR: Final = 400
_BILLIONTH: Final = Decimal("1e-9")
_UNANSWERED: Final = ("0", "-2")
_OF_ITS_OWN: Final[dict[str, tuple[Status, str | None]]] = {
    "-1": ("error", "timeout"),
    "-3": ("cancelled", None),
    "-4": ("error", "threat"),
}
"""Helicone's own numbers, where a request has no HTTP status: how it ended, and the kind of error. Its page calls them
timeout, cancelled and threat, and -2 pending (`statusBadge.tsx`); -1 is also an answer that it could not read."""

_NO_REFERENCE: Final = "00000000-0000-0000-0000-000000000000"
_PROPERTIES: Final = {
    "environment": "environment",
    "feature": "feature",
    "team": "team",
    "tenant": "tenant",
    "customer": "tenant",
    "session": "session_id",
    "helicone-session-id": "session_id",
    "helicone-prompt-id": "prompt_version",
}
"""Custom properties, in lower case, that we have a field for. The others become tags."""


class Helicone:
    name = "helicone"
    title = "Helicone requests"

    def recognises(self, values: Values) -> bool:
        return "request_created_at" in values and bool({"response_status", "prompt_tokens"} & values.keys())

    def reader(self, options: Options) -> PlainReader:
        return PlainReader(event_of, options)


def event_of(values: Values, _options: Options) -> UsageEvent:
    start_us = instant_us(values, "request_created_at")
    identity = text(values, "request_id", "response_id")
    if identity is None:
        raise RowError("neither request_id nor response_id is there")
    model = text(values, "response_model", "model", "model_override", "request_model")
    provider = provider_of(text(values, "provider"), text(values, "target_url"), model)
    of_table = _is_of_table(values)
    status_in = "status" if of_table else "response_status"
    said = text(values, status_in) or ""
    if said in _UNANSWERED:
        raise Skipped("a request that is not answered yet: import it again later")
    http_status = None if said in _OF_ITS_OWN else whole(values, status_in)
    status, error = _OF_ITS_OWN.get(said) or (_status(values, http_status), None)
    named, tags = _properties(values)
    counts = {
        "input": whole(values, "prompt_tokens"),
        "output": whole(values, "completion_tokens"),
        "total": whole(values, "total_tokens"),
        "cache_read": whole(values, "prompt_cache_read_tokens"),
        "cache_write": whole(values, "prompt_cache_write_tokens"),
        "reasoning": whole(values, "reasoning_tokens"),
    }
    found = {name: count for name, count in counts.items() if count is not None}
    usage, conflict = usage_of(found, "helicone", provider, model, tags)
    return UsageEvent(
        event_id=import_id(start_us, "helicone", identity),
        started_at_us=start_us,
        source="import",
        status=status,
        provider=provider,
        request_model=text(values, "request_model"),
        response_model=model,
        operation="embeddings" if "embedding" in (text(values, "request_path") or model or "") else "chat",
        duration_ms=milliseconds(values, "delay_ms", "latency", "response_delay_ms"),
        time_to_first_token_ms=milliseconds(values, "time_to_first_token"),
        error_type=error,
        http_status=http_status if http_status and http_status <= 999 else None,
        request_id=identity,
        attribution=Attribution(user_id=text(values, "request_user_id", "user_id"), tags=tags, **named),
        usage=usage,
        usage_conflict=conflict,
        not_billed=status == "cached" or (status != "ok" and not usage.output_tokens),
        reported_cost_usd=_cost(values, of_table) if status in ("ok", "cancelled") else None,
    )


def _status(values: Values, http_status: int | None) -> Status:
    if http_status is not None and http_status >= _FIRST_ERROR:
        return "error"
    copied_from = text(values, "cache_reference_id") or _NO_REFERENCE
    said = str(first(values, "cache_hit", "is_cached")).lower() in ("true", "1")
    return "cached" if said or copied_from != _NO_REFERENCE else "ok"


def _is_of_table(values: Values) -> bool:
    return "response_status" not in values and "status" in values


def _cost(values: Values, of_table: bool) -> Decimal | None:
    if not of_table:
        return usd(values, "cost_usd", "costUSD", "cost")
    billionths = whole(values, "cost")
    return None if billionths is None else billionths * _BILLIONTH


def _properties(values: Values) -> tuple[dict[str, str], dict[str, str]]:
    """Helicone's custom properties as our attributes and tags."""
    named: dict[str, str] = {}
    tags: dict[str, str] = {}
    properties = nested(values, "request_properties", "properties")
    for name in properties:
        value = text(properties, name)
        field = _PROPERTIES.get(str(name).lower())
        if value is not None:
            (named if field else tags)[field or str(name)] = value
    return named, tags
