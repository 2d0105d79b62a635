"""Langfuse: observations, exported from its page (CSV, JSON), to blob storage (CSV, JSON, JSON lines), or answered by
its API. Generations and embeddings are calls; spans, events and traces are not.

`usageDetails` has free keys that exclude each other and add up, as over OTLP.
"""

from __future__ import annotations

from typing import Any, Final

from taximeter.core.attribution import Attribution
from taximeter.core.event import UsageEvent
from taximeter.ingest.imports.cells import (
    between_ms,
    instant_us,
    known,
    listed,
    maybe_instant_us,
    nested,
    text,
    usd,
    whole,
)
from taximeter.ingest.imports.row import Options, PlainReader, RowError, Skipped, Values, import_id
from taximeter.ingest.otlp.calls import usage_of
from taximeter.ingest.otlp.emitters import provider_of

_CALLS: Final = {"generation": "chat", "embedding": "embeddings"}


class Langfuse:
    name = "langfuse"
    title = "Langfuse observations"

    def recognises(self, values: Values) -> bool:
        starts = "startTime" in values or "start_time" in values
        traced = "traceId" in values or "trace_id" in values
        return starts and traced and "type" in values and "id" in values

    def reader(self, options: Options) -> PlainReader:
        return PlainReader(event_of, options)


def event_of(values: Values, _options: Options) -> UsageEvent:
    kind = (text(values, "type") or "").lower()
    if kind not in _CALLS:
        raise Skipped(f"an observation of the type {kind or 'unknown'} is no call of a model")
    observation = text(values, "id")
    if observation is None:
        raise RowError("id is missing")
    start_us = instant_us(values, "startTime", "start_time")
    end_us = maybe_instant_us(values, "endTime", "end_time")
    first_us = maybe_instant_us(values, "completionStartTime", "completion_start_time")
    model = text(values, "model", "providedModelName", "provided_model_name", "providedModel", "modelName")
    provider = provider_of(None, None, model)
    tags: dict[str, str] = {}
    usage, conflict = usage_of(_found(values), "langfuse.keys", provider, model, tags)
    failed = text(values, "level") == "ERROR"
    return UsageEvent(
        event_id=import_id(start_us, "langfuse", observation),
        started_at_us=start_us,
        source="import",
        status="error" if failed else "ok",
        provider=provider,
        request_model=model,
        operation=_CALLS[kind],
        duration_ms=between_ms(start_us, end_us),
        time_to_first_token_ms=None if first_us is None else between_ms(start_us, first_us),
        error_type="error" if failed else None,
        trace_id=_hex(text(values, "traceId", "trace_id"), 32),
        span_id=_hex(observation, 16),
        attribution=Attribution(
            user_id=text(values, "userId", "user_id"),
            session_id=text(values, "sessionId", "session_id"),
            feature=text(values, "traceName", "trace_name"),
            environment=text(values, "environment"),
            service_version=text(values, "release"),
            prompt_version=_prompt(values),
            tags=tags | dict.fromkeys(listed(values, "tags", "traceTags", "trace_tags"), "true") | _named(values),
        ),
        usage=usage,
        usage_conflict=conflict,
        not_billed=failed and not usage.known,
        reported_cost_usd=_cost(values),
    )


def _named(values: Values) -> dict[str, str]:
    return known(observation=text(values, "name"))


def _found(values: Values) -> dict[str, Any]:
    """The counts under the names that the rules of OTLP know."""
    details = nested(values, "usageDetails", "usage_details", "usage")
    if details:
        return {"langfuse_usage": dict(details)}
    counts = {
        "input": whole(values, "inputUsage", "promptTokens", "inputTokens", "input_tokens"),
        "output": whole(values, "outputUsage", "completionTokens", "outputTokens", "output_tokens"),
    }
    return {name: value for name, value in counts.items() if value is not None}


def _cost(values: Values) -> Any:
    total = usd(nested(values, "costDetails", "cost_details"), "total")
    return total if total is not None else usd(values, "calculatedTotalCost", "totalCost", "total_cost")


def _prompt(values: Values) -> str | None:
    name, version = text(values, "promptName", "prompt_name"), text(values, "promptVersion", "prompt_version")
    return f"{name}@{version}" if name and version else name


def _hex(written: str | None, digits: int) -> str | None:
    """An id when it is one of W3C's."""
    whole_id = written is not None and len(written) == digits and all(c in "0123456789abcdef" for c in written)
    return written if whole_id else None
