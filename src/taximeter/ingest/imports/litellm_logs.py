"""LiteLLM's spend logs: the rows of its table `LiteLLM_SpendLogs`, as CSV or as JSON (`/spend/logs`).
One row is one call.

`prompt_tokens` holds the cached ones for most providers, but not for all releases: the rules of OTLP decide. A row that
cost something and has no tokens is not free: its counts are unknown, but for the units it tells of.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from taximeter.core.attribution import Attribution
from taximeter.core.event import Status, UsageEvent
from taximeter.ingest.imports.buckets import USAGE
from taximeter.ingest.imports.cells import (
    between_ms,
    first,
    instant_us,
    known,
    listed,
    maybe_instant_us,
    nested,
    text,
    usd,
    whole,
)
from taximeter.ingest.imports.row import Options, PlainReader, Skipped, Values, import_id
from taximeter.ingest.otlp.calls import usage_of
from taximeter.ingest.otlp.emitters import provider_of

_BATCH: Final = "batch"
"""A batch that has ended is one row, with the counts of all its calls."""

_OPERATIONS: Final = (
    ("embedding", "embeddings"),
    ("rerank", "rerank"),
    ("image", "image_generation"),
    ("transcription", "speech_to_text"),
    ("speech", "text_to_speech"),
    ("moderation", "moderations"),
    ("text_completion", "text_completion"),
)
"""What stands in a call type → the operation; the rest is chat."""

_NO_CALLS: Final = ("mcp", "list_", "vector_store", "_file", _BATCH)
"""What stands in the type of a row that mostly used no model: only one with counts is taken."""


class LiteLLMLogs:
    name = "litellm"
    title = "LiteLLM spend logs"

    def recognises(self, values: Values) -> bool:
        return {"request_id", "spend", "call_type", "startTime"} <= values.keys()

    def reader(self, options: Options) -> PlainReader:
        return PlainReader(event_of, options)


def event_of(values: Values, _options: Options) -> UsageEvent:
    kind = text(values, "call_type") or "completion"
    if any(part in kind for part in _NO_CALLS) and not whole(values, "total_tokens"):
        raise Skipped(f"{kind} is no call of a model")
    meta = nested(values, "metadata")
    start_us = instant_us(values, "startTime")
    request_id = text(values, "request_id")
    model = text(values, "model")
    provider = provider_of(text(values, "custom_llm_provider"), text(values, "api_base"), model)
    tags = known(litellm_key=text(meta, "user_api_key_alias") or _hash_of_key(values))
    more = {**nested(meta, "usage_object"), **_without_nothing(nested(meta, "additional_usage_values"))}
    usage, conflict = usage_of(_found(values, more), "litellm", provider, model, tags)
    tags |= dict.fromkeys(listed(values, "request_tags"), "true") | (USAGE if _BATCH in kind else {})
    failure = nested(meta, "error_information")
    status = _status(values, meta)
    return UsageEvent(
        event_id=import_id(start_us, "litellm", request_id or sorted(values.items())),
        started_at_us=start_us,
        source="import",
        status=status,
        provider=provider,
        request_model=text(values, "model_group"),
        response_model=model,
        service_tier="batch" if _BATCH in kind else None,
        operation=next((ours for part, ours in _OPERATIONS if part in kind), "chat"),
        duration_ms=between_ms(start_us, maybe_instant_us(values, "endTime")),
        time_to_first_token_ms=_first_token_ms(values, start_us),
        error_type=text(failure, "error_class") if status == "error" else None,
        http_status=_http_status(failure),
        response_id=request_id,
        attribution=Attribution(
            user_id=text(values, "end_user") or text(values, "user"),
            team=text(meta, "user_api_key_team_alias") or text(values, "team_id"),
            tenant=text(values, "organization_id"),
            session_id=text(values, "session_id"),
            tags=tags,
        ),
        usage=replace(usage, units=_units(more)),
        usage_conflict=conflict,
        not_billed=status != "ok",
        reported_cost_usd=usd(values, "spend") if status == "ok" else None,
    )


def _found(values: Values, more: Values) -> dict[str, Any]:
    """The counts under the names that the rules of OTLP know; parts come from the provider's own usage."""
    written = nested(
        {**more, **nested(more, "prompt_tokens_details")}, "cache_creation_token_details", "cache_creation"
    )
    counts = {
        "input": whole(values, "prompt_tokens"),
        "output": whole(values, "completion_tokens"),
        "total": whole(values, "total_tokens"),
        "cache_write_1h": whole(written, "ephemeral_1h_input_tokens"),
        "cache_write_5m": whole(written, "ephemeral_5m_input_tokens"),
        "raw_usage": _without_nothing(more),
    }
    if not any((counts["input"], counts["output"], counts["total"])) and usd(values, "spend"):
        return {}
    return {name: value for name, value in counts.items() if value is not None}


def _without_nothing(values: Values) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _units(more: Values) -> dict[str, int | Decimal]:
    """What is billed beside tokens, or instead of them."""
    tools = nested(more, "server_tool_use")
    found = {
        "pages": whole(more, "pages_processed"),
        "audio_seconds": usd(more, "seconds") if more.get("type") == "duration" else None,
        "web_searches": whole(tools, "web_search_requests"),
    }
    return {name: count for name, count in found.items() if count}


def _hash_of_key(values: Values) -> str | None:
    """LiteLLM keeps hashes; should a key itself stand there, it does not go further."""
    kept = text(values, "api_key")
    return None if kept is None or kept.startswith("sk-") else kept


def _status(values: Values, meta: Values) -> Status:
    said = text(values, "status") or text(meta, "status")
    if said is not None and said.lower() in ("failure", "error"):
        return "error"
    return "cached" if str(first(values, "cache_hit")).lower() == "true" else "ok"


def _http_status(failure: Values) -> int | None:
    code = text(failure, "error_code") or ""
    return int(code) if code.isdecimal() and len(code) == 3 else None


def _first_token_ms(values: Values, start_us: int) -> float | None:
    """Until the first token of a stream; LiteLLM repeats the end for what was not streamed."""
    first_us, end_us = maybe_instant_us(values, "completionStartTime"), maybe_instant_us(values, "endTime")
    return None if first_us is None or first_us == end_us else between_ms(start_us, first_us)
