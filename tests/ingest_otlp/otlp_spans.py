"""Spans in short: what a test says of one, as OTLP in either form, and the events that come of it."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from google.protobuf.json_format import ParseDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from taximeter.ingest.otlp import json_form
from taximeter.ingest.otlp.agents import event_of_record
from taximeter.ingest.otlp.span import Span
from taximeter.ingest.otlp.trace_memory import GRACE_SECONDS, TraceMemory
from taximeter.ingest.wire import WireEvent

NOW_US = 1_790_000_000_000_000
SECOND_NS = 1_000_000_000
OPENAI_SCOPE = "opentelemetry.instrumentation.openai_v2"


@dataclass
class S:
    """A span: `id` and `parent` are numbers, `at` and `until` seconds before and after its trace began."""

    id: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    parent: int = 0
    name: str = "chat"
    at: float = 0.0
    until: float = 10.0
    scope: str = OPENAI_SCOPE
    version: str = ""
    trace: int = 1
    failed: bool = False
    resource: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Mapping[str, Any]] = ()
    trace_state: str = ""

    def as_json(self) -> dict[str, Any]:
        sent: dict[str, Any] = {
            "traceId": f"{self.trace:032x}",
            "spanId": f"{self.id:016x}",
            "name": self.name,
            "kind": 3,
            "startTimeUnixNano": str(NOW_US * 1000 + int(self.at * SECOND_NS)),
            "endTimeUnixNano": str(NOW_US * 1000 + int(self.until * SECOND_NS)),
            "attributes": attributes(self.attributes),
            "events": [{"name": "event", "attributes": attributes(event)} for event in self.events],
        }
        if self.parent:
            sent["parentSpanId"] = f"{self.parent:016x}"
        if self.failed:
            sent["status"] = {"code": 2}
        if self.trace_state:
            sent["traceState"] = self.trace_state
        return {
            "resource": {"attributes": attributes(self.resource)},
            "scopeSpans": [{"scope": {"name": self.scope, "version": self.version}, "spans": [sent]}],
        }


def attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value_of(value)} for key, value in values.items()]


def value_of(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else str(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [value_of(one) for one in value]}}
    return {"stringValue": str(value)}


def request(*spans: S) -> dict[str, Any]:
    return {"resourceSpans": [span.as_json() for span in spans]}


def as_json(*spans: S) -> bytes:
    return json.dumps(request(*spans)).encode()


def as_protobuf(*spans: S) -> bytes:
    """The same request in protobuf: there the ids of the JSON form would be base64."""
    return bytes(ParseDict(_with_base64_ids(request(*spans)), ExportTraceServiceRequest()).SerializeToString())


def logs_as_protobuf(logs: Mapping[str, Any]) -> bytes:
    return bytes(ParseDict(_with_base64_ids(logs), ExportLogsServiceRequest()).SerializeToString())


def _with_base64_ids(sent: Any) -> Any:
    if isinstance(sent, list):
        return [_with_base64_ids(one) for one in sent]
    if not isinstance(sent, Mapping):
        return sent
    return {
        name: b64encode(bytes.fromhex(value)).decode() if name.lower().endswith("id") else _with_base64_ids(value)
        for name, value in sent.items()
    }


def spans(*sent: S) -> list[Span]:
    return json_form.decode("traces", as_json(*sent)).spans


def immediate(memory: TraceMemory, *sent: S) -> list[dict[str, Any]]:
    """The events that spans lead to at once, inner ones as they are kept."""
    return records(memory.take(spans(*sent), None, NOW_US).ready)


def records(ready: Iterable[tuple[WireEvent, Any]]) -> list[dict[str, Any]]:
    """What is stored of events."""
    return [msgspec.to_builtins(event) for event, _ in ready]


def after_grace(memory: TraceMemory, traces_with_calls: set[str] | None = None) -> list[dict[str, Any]]:
    """The events of what waited, when the grace is over."""
    ripe = memory.ripe(NOW_US + GRACE_SECONDS * 1_000_000)
    return records(memory.settle(ripe, traces_with_calls or set()).ready)


def fresh_memory(**limits: int) -> TraceMemory:
    return TraceMemory(NOW_US - 1_000_000, **limits)


def events(*sent: S) -> list[dict[str, Any]]:
    """All events that spans of one batch lead to."""
    memory = fresh_memory()
    return [*immediate(memory, *sent), *after_grace(memory)]


def event(*sent: S) -> dict[str, Any]:
    (only,) = events(*sent)
    return only


def counts(record: Mapping[str, Any]) -> dict[str, int]:
    return {name: value for name, value in record.items() if name.endswith("_tokens")}


CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
}


def chat(input_tokens: int, output_tokens: int, **more: Any) -> dict[str, Any]:
    return {
        **CHAT,
        "gen_ai.usage.input_tokens": input_tokens,
        "gen_ai.usage.output_tokens": output_tokens,
        **more,
    }


# ── log records ─────────────────────────────────────────────────────────────────────────────────────────────────


def log(
    said: Mapping[str, Any],
    *,
    body: str = "",
    service: str = "",
    at_us: int = NOW_US,
    span: S | None = None,
    event_name: str = "",
) -> dict[str, Any]:
    """A log record, with the resource it comes from."""
    record: dict[str, Any] = {"timeUnixNano": str(at_us * 1000), "attributes": attributes(said)}
    if body:
        record["body"] = {"stringValue": body}
    if event_name:
        record["eventName"] = event_name
    if span is not None:
        record |= {"traceId": f"{span.trace:032x}", "spanId": f"{span.id:016x}"}
    resource = attributes({"service.name": service} if service else {})
    return {"resource": {"attributes": resource}, "scopeLogs": [{"scope": {}, "logRecords": [record]}]}


def log_request(*logs: Mapping[str, Any]) -> bytes:
    return json.dumps({"resourceLogs": list(logs)}).encode()


def events_of_logs(*logs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The events of agents' log records."""
    arrived = json_form.decode("logs", log_request(*logs)).records
    return records([(event, None) for one in arrived if (event := event_of_record(one)) is not None])
