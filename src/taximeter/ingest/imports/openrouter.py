"""OpenRouter: its activity, a row a call as its page exports it (CSV), or sums of days (`GET /api/v1/activity`, CSV).

Whoever served a call, OpenRouter charges for it: `provider_name` is kept as a tag. The variant of a model (`free`) is
told apart from its name. With a key of one's own (`byok_usage_inference`) OpenRouter's amount is its fee alone.
https://openrouter.ai/docs/api/api-reference/analytics/get-user-activity
"""

from __future__ import annotations

from typing import Any, Final

from taximeter.core.attribution import Attribution
from taximeter.core.event import UsageEvent
from taximeter.core.usage import Usage, clamped
from taximeter.ingest.imports.buckets import DAY_US, USAGE, check_is_over
from taximeter.ingest.imports.cells import instant_us, known, milliseconds, text, usd, whole
from taximeter.ingest.imports.row import Options, PlainReader, RowError, Values, import_id

STANDARD: Final = "standard"
_OF_DAYS: Final = {
    "Date": "date",
    "Slug": "model_permaslug",
    "Usage": "usage",
    "BYOK Usage": "byok_usage_inference",
    "Requests": "requests",
    "Prompt Tokens": "prompt_tokens",
    "Completion Tokens": "completion_tokens",
    "Reasoning Tokens": "reasoning_tokens",
}
"""Columns of the CSV of days → what its API calls them."""


class OpenRouter:
    name = "openrouter"
    title = "OpenRouter activity"

    def recognises(self, values: Values) -> bool:
        if _OF_DAYS.keys() <= values.keys():
            return True
        return "model_permaslug" in values and ("generation_id" in values or "requests" in values)

    def reader(self, options: Options) -> PlainReader:
        return PlainReader(event_of, options)


def event_of(values: Values, options: Options) -> UsageEvent:
    if "model_permaslug" not in values:
        values = {_OF_DAYS.get(name, name): value for name, value in values.items()}
    model = text(values, "model_permaslug")
    if model is None:
        raise RowError("model_permaslug is missing")
    start_us = instant_us(values, "created_at", "date")
    generation = text(values, "generation_id")
    requests = whole(values, "requests") if generation is None else None
    if generation is None:
        check_is_over(start_us + DAY_US, options)
    variant = text(values, "variant")
    usage, conflict = clamped(_usage(values, requests))
    return UsageEvent(
        event_id=import_id(start_us, *_identity(values, generation)),
        started_at_us=start_us,
        source="import",
        status="cancelled" if text(values, "cancelled") == "true" else "ok",
        provider="openrouter",
        request_model=model,
        response_model=f"{model}:{variant}" if variant not in (None, STANDARD) else None,
        response_id=generation,
        duration_ms=milliseconds(values, "generation_time_ms"),
        time_to_first_token_ms=milliseconds(values, "time_to_first_token_ms"),
        attribution=Attribution(
            user_id=text(values, "user"),
            feature=text(values, "app_name"),
            tags=({} if generation else USAGE)
            | known(
                host=text(values, "provider_name"),
                openrouter_key=text(values, "api_key_name"),
                byok="true" if usd(values, "byok_usage_inference") else None,
            ),
        ),
        usage=usage,
        usage_conflict=conflict,
        reported_cost_usd=usd(values, "cost_total", "usage"),
    )


def _identity(values: Values, generation: str | None) -> tuple[Any, ...]:
    """Calls are known as when they were taken for rows of any table."""
    if generation is not None:
        return "generic", generation
    named = ("model_permaslug", "variant", "endpoint_id", "provider_name")
    return "openrouter-day", *(text(values, name) for name in named)


def _usage(values: Values, requests: int | None) -> Usage:
    return Usage(
        input_tokens=whole(values, "tokens_prompt", "prompt_tokens"),
        cache_read_tokens=whole(values, "tokens_cached"),
        output_tokens=whole(values, "tokens_completion", "completion_tokens"),
        reasoning_tokens=whole(values, "tokens_reasoning", "reasoning_tokens"),
        units={"requests": requests} if requests else {},
    )
