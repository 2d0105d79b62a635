"""The event: one attempt of one call, a fact. It is made once, at the edge, and never edited.

In Python it is a `UsageEvent`; on disk, on the wire and in the stores it is a flat JSON object (a *record*) whose
keys are listed in `FIELDS`. A record leaves out what is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from taximeter.clock import rfc3339
from taximeter.core.attribution import DIMENSIONS, NOBODY, Attribution
from taximeter.core.facts import fact
from taximeter.core.usage import NOTHING_COUNTED, TOKEN_CLASSES, Usage

Source = Literal["gateway", "sdk", "otlp", "api", "import"]
Status = Literal["ok", "error", "cancelled", "interrupted", "refused", "cached"]
SOURCES: Final = ("gateway", "sdk", "otlp", "api", "import")
STATUSES: Final = ("ok", "error", "cancelled", "interrupted", "refused", "cached")
OPERATIONS: Final = ("chat", "text_completion", "generate_content", "embeddings", "rerank")
"""Operation names of the OpenTelemetry GenAI conventions that we make; others are accepted as they come."""

SPAN_SCOPE: Final = "taximeter.events"
"""The instrumentation scope of the spans that events are told as. They tell of events, and never make any."""

Kind = Literal["text", "timestamp", "count", "milliseconds", "flag", "money", "texts", "units", "json"]


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a record. `kind` decides its JSON form and its column type in every store."""

    name: str
    kind: Kind
    about: str


FIELDS: Final = (
    Field("event_id", "text", "UUIDv7 made by the sender; the idempotency key"),
    Field("started_at", "timestamp", "when the call began; RFC 3339, UTC, microseconds"),
    Field("duration_ms", "milliseconds", "from the first byte sent to the last received"),
    Field("time_to_first_token_ms", "milliseconds", "until the first streamed content; null when not streamed"),
    Field("source", "text", "which road it came by: " + ", ".join(SOURCES)),
    Field("provider", "text", "who answered: openai, anthropic, or the configured name of a compatible host"),
    Field("request_model", "text", "the model asked for"),
    Field("response_model", "text", "the model that answered"),
    Field("operation", "text", "chat, embeddings, ... as OpenTelemetry names them"),
    Field("service_tier", "text", "the tier that was served: default, batch, flex, priority"),
    Field("region", "text", "where it was served, when that is known"),
    Field("status", "text", "one of " + ", ".join(STATUSES)),
    Field("http_status", "count", "HTTP status of the provider's answer"),
    Field("error_type", "text", "the provider's error type, or the kind of failure"),
    Field("request_id", "text", "groups the attempts of one request"),
    Field("response_id", "text", "the provider's own id of the answer"),
    Field("attempt", "count", "1 for the first try, 2 for the first retry, ..."),
    Field("session_id", "text", "session or conversation"),
    Field("trace_id", "text", "W3C trace id, 32 hex digits"),
    Field("span_id", "text", "W3C span id, 16 hex digits"),
    Field("user_id", "text", "end user"),
    Field("team", "text", "team that owns the spend"),
    Field("tenant", "text", "customer or tenant"),
    Field("feature", "text", "product feature"),
    Field("endpoint", "text", "endpoint or route of the calling application"),
    Field("environment", "text", "dev, staging, prod"),
    Field("service", "text", "calling service"),
    Field("service_version", "text", "its version"),
    Field("prompt_version", "text", "version of the prompt"),
    Field("api_key_id", "text", "id of the taximeter key used; never the key"),
    Field("tags", "texts", "free tags"),
    Field("input_tokens", "count", "all input, cache included"),
    Field("cache_read_tokens", "count", "part of the input read from a cache"),
    Field("cache_write_5m_tokens", "count", "part of the input written to a cache (default lifetime)"),
    Field("cache_write_1h_tokens", "count", "part of the input written to a cache for an hour or longer"),
    Field("input_audio_tokens", "count", "part of the input that is audio"),
    Field("cache_read_audio_tokens", "count", "part of the audio input read from a cache"),
    Field("input_image_tokens", "count", "part of the input that is images"),
    Field("input_video_tokens", "count", "part of the input that is video"),
    Field("output_tokens", "count", "all output, reasoning included"),
    Field("reasoning_tokens", "count", "part of the output that is reasoning"),
    Field("output_audio_tokens", "count", "part of the output that is audio"),
    Field("output_image_tokens", "count", "part of the output that is images"),
    Field("units", "units", "other billable units: web_searches, audio_seconds, pages, ..."),
    Field(
        "by_model",
        "json",
        "the counts apart, when one call used several models: [{model, input_tokens, ...}]",
    ),
    Field("not_billed", "flag", "the provider does not charge for this call: an error, a token count"),
    Field("usage_estimated", "flag", "counted by us, not reported by the provider"),
    Field("usage_conflict", "flag", "the provider's numbers contradicted themselves and parts were clamped"),
    Field("reported_cost_usd", "money", "the amount the provider or sender named; kept beside ours, never added"),
)
FIELD_NAMES: Final = tuple(f.name for f in FIELDS)


@fact(frozen=True, slots=True, kw_only=True)
class UsageEvent:
    """One attempt of one call. `started_at_us` is microseconds since the epoch, UTC."""

    event_id: str
    started_at_us: int
    source: Source
    status: Status
    provider: str
    request_model: str | None = None
    response_model: str | None = None
    operation: str | None = None
    service_tier: str | None = None
    region: str | None = None
    duration_ms: float | None = None
    time_to_first_token_ms: float | None = None
    http_status: int | None = None
    error_type: str | None = None
    request_id: str | None = None
    response_id: str | None = None
    attempt: int = 1
    trace_id: str | None = None
    span_id: str | None = None
    api_key_id: str | None = None
    attribution: Attribution = NOBODY
    usage: Usage = NOTHING_COUNTED
    by_model: tuple[tuple[str, Usage], ...] = ()
    not_billed: bool = False
    usage_estimated: bool = False
    usage_conflict: bool = False
    reported_cost_usd: Decimal | None = None

    @property
    def model(self) -> str | None:
        """The model to price: the one that answered, otherwise the one asked for."""
        return self.response_model or self.request_model


PLAIN: Final = (
    "provider",
    "request_model",
    "response_model",
    "operation",
    "service_tier",
    "region",
    "http_status",
    "error_type",
    "request_id",
    "response_id",
    "trace_id",
    "span_id",
    "api_key_id",
)
"""Fields of which a record says what the event says, where it is known."""


def as_record(event: UsageEvent) -> dict[str, Any]:
    """The flat JSON-ready record of an event, without what is not known."""
    record: dict[str, Any] = {
        "event_id": event.event_id,
        "started_at": rfc3339(event.started_at_us),
        "source": event.source,
        "status": event.status,
        "attempt": event.attempt,
    }
    if event.duration_ms is not None:
        record["duration_ms"] = round(event.duration_ms, 3)
    if event.time_to_first_token_ms is not None:
        record["time_to_first_token_ms"] = round(event.time_to_first_token_ms, 3)
    _copy_known(event, PLAIN, record)
    _copy_known(event.attribution, DIMENSIONS, record)
    if event.attribution.tags:
        record["tags"] = dict(event.attribution.tags)
    _copy_usage(event.usage, record)
    if event.by_model:
        record["by_model"] = [_model_share(model, usage) for model, usage in event.by_model]
    if event.not_billed:
        record["not_billed"] = True
    if event.usage_estimated:
        record["usage_estimated"] = True
    if event.usage_conflict:
        record["usage_conflict"] = True
    if event.reported_cost_usd is not None:
        record["reported_cost_usd"] = str(event.reported_cost_usd)
    return record


def usage_record(usage: Usage) -> dict[str, Any]:
    """The part of a record that a usage is."""
    record: dict[str, Any] = {}
    _copy_usage(usage, record)
    return record


def _copy_usage(usage: Usage, record: dict[str, Any]) -> None:
    _copy_known(usage, TOKEN_CLASSES, record)
    if usage.units:
        record["units"] = {name: _json_number(amount) for name, amount in usage.units.items()}


def _model_share(model: str, usage: Usage) -> dict[str, Any]:
    share: dict[str, Any] = {"model": model}
    _copy_usage(usage, share)
    return share


def _copy_known(source: object, names: tuple[str, ...], record: dict[str, Any]) -> None:
    for name in names:
        value = getattr(source, name)
        if value is not None:
            record[name] = value


def _json_number(amount: int | Decimal) -> int | str:
    """Whole amounts as numbers, others as decimal strings: a float would lose digits."""
    return int(amount) if amount == int(amount) else str(amount)


def usage_of(record: Mapping[str, Any]) -> Usage:
    """The usage in a record."""
    units = {name: Decimal(str(amount)) for name, amount in (record.get("units") or {}).items()}
    return Usage(units=units, **{name: record.get(name) for name in TOKEN_CLASSES})
