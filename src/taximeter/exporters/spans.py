"""Stored events as spans of OpenTelemetry: what a call was, how long it took and what it cost. Pure.

A span has the same ids whenever its event is told, so that a receiver that goes by them has it once. A call that was
made within a span of the application is a span below that; one that arrived as a span is that span again. Prompts and
answers are not stored, so they are not here either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, Final, TypeAlias

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from taximeter.clock import to_unix_us
from taximeter.core.cost import COMPONENTS
from taximeter.core.event import SPAN_SCOPE
from taximeter.exporters.genai import attribute_value
from taximeter.store.events.vocabulary import FAILED

Record: TypeAlias = Mapping[str, Any]
Value: TypeAlias = str | int | float | bool

TRACE_ID_BYTES: Final = 16
SPAN_ID_BYTES: Final = 8
DEFAULT_SERVICE: Final = "taximeter"
"""The service of a call that names none."""

RESOURCE: Final = {
    "service": "service.name",
    "service_version": "service.version",
    "environment": "deployment.environment.name",
}
SAID: Final = {
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "request_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "response_id": "gen_ai.response.id",
    "session_id": "gen_ai.conversation.id",
    "prompt_version": "gen_ai.prompt.version",
    "input_tokens": "gen_ai.usage.input_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "http_status": "http.response.status_code",
    "user_id": "user.id",
    "team": "taximeter.team",
    "tenant": "taximeter.tenant",
    "feature": "taximeter.feature",
    "endpoint": "taximeter.endpoint",
    "service_tier": "taximeter.service_tier",
    "source": "taximeter.source",
    "status": "taximeter.status",
    "attempt": "taximeter.attempt",
    "request_id": "taximeter.request_id",
    "event_id": "taximeter.event_id",
    "unpriced_reason": "taximeter.cost.unpriced_reason",
    "price_version": "taximeter.cost.price_version",
}
"""Field of a record → attribute, where the value is the same."""

CACHE_WRITTEN: Final = ("cache_write_5m_tokens", "cache_write_1h_tokens")


def request(records: Iterable[Record]) -> ExportTraceServiceRequest:
    """The spans of events, those of one service together."""
    made = ExportTraceServiceRequest()
    for resource, of_resource in groupby(sorted(records, key=_resource), key=_resource):
        resource_spans = made.resource_spans.add()
        resource_spans.resource.attributes.extend(_attributes(resource))
        scope_spans = resource_spans.scope_spans.add()
        scope_spans.scope.name = SPAN_SCOPE
        scope_spans.spans.extend(span(record) for record in of_resource)
    return made


def _resource(record: Record) -> tuple[tuple[str, str], ...]:
    said = {**record, "service": record.get("service") or DEFAULT_SERVICE}
    return tuple((name, said[field]) for field, name in RESOURCE.items() if said.get(field))


def span(record: Record) -> Span:
    trace_id, parent_id, span_id = _ids(record)
    start_ns = to_unix_us(datetime.fromisoformat(record["started_at"])) * 1000
    made = Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_id,
        name=_name(record),
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + round((record.get("duration_ms") or 0) * 1_000_000),
    )
    made.attributes.extend(_attributes((*_said(record), *_reckoned(record))))
    if record.get("status") in FAILED:
        made.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=_failure(record)))
    return made


def _ids(record: Record) -> tuple[bytes, bytes, bytes]:
    """Of the trace, of the span above and of the span. Attempts of one request that knows of no trace are one."""
    trace_id = _hexadecimal(record.get("trace_id"), TRACE_ID_BYTES)
    told_id = _hexadecimal(record.get("span_id"), SPAN_ID_BYTES) if trace_id else b""
    own_id = _made_id(record["event_id"], SPAN_ID_BYTES)
    if not trace_id:
        return _made_id(record.get("request_id") or record["event_id"], TRACE_ID_BYTES), b"", own_id
    if record.get("source") == "otlp":
        return trace_id, b"", told_id or own_id
    return trace_id, told_id, own_id


def _hexadecimal(text: str | None, length: int) -> bytes:
    """The bytes of an id; empty when it is none."""
    try:
        read = bytes.fromhex(text or "")
    except ValueError:
        return b""
    return read if len(read) == length and any(read) else b""


def _made_id(seed: str, length: int) -> bytes:
    return hashlib.blake2b(seed.encode(), digest_size=length).digest()


def _name(record: Record) -> str:
    model = record.get("request_model") or record.get("response_model")
    return " ".join(part for part in (record.get("operation") or "call", model) if part)


def _failure(record: Record) -> str:
    return record.get("error_type") or str(record["status"])


def _said(record: Record) -> Iterator[tuple[str, Value]]:
    for field, name in SAID.items():
        if (value := record.get(field)) is not None:
            yield name, attribute_value(field, value)
    for tag, value in (record.get("tags") or {}).items():
        yield f"taximeter.tags.{tag}", value


def _reckoned(record: Record) -> Iterator[tuple[str, Value]]:
    written = [record[field] for field in CACHE_WRITTEN if record.get(field) is not None]
    if written:
        yield "gen_ai.usage.cache_creation.input_tokens", sum(written)
    if (first_ms := record.get("time_to_first_token_ms")) is not None:
        yield "gen_ai.request.stream", True
        yield "gen_ai.response.time_to_first_chunk", first_ms / 1000
    if record.get("usage_estimated"):
        yield "taximeter.usage_estimated", True
    if record.get("status") in FAILED:
        yield "error.type", _failure(record)
    yield from _cost(record)


def _cost(record: Record) -> Iterator[tuple[str, Value]]:
    """What is not known is not there. Numbers are floating-point in OTLP; the decimal text is exact."""
    if (cost := record.get("cost_usd")) is None:
        return
    yield "taximeter.cost.usd", float(cost)
    yield "taximeter.cost.decimal_usd", str(cost)
    for part in COMPONENTS:
        amount = (record.get("cost") or {}).get(part)
        if amount is not None and Decimal(amount):
            yield f"taximeter.cost.{part}_usd", float(amount)


def _attributes(pairs: Iterable[tuple[str, Value]]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_any_value(value)) for name, value in pairs]


def _any_value(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value) if isinstance(value, float) else AnyValue(string_value=value)
