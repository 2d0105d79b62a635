"""OTLP in protobuf: bytes → what arrived, and the answers. The one door to the message classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from taximeter.errors import UsageError
from taximeter.ingest.otlp import arrivals
from taximeter.ingest.otlp.arrivals import Signal
from taximeter.ingest.otlp.attributes import (
    INDEX,
    LONGEST_KNOWN_BYTES,
    Known,
    Said,
    best_said,
    fill,
    identity_of,
    said_by,
)
from taximeter.ingest.otlp.messages import (
    any_value,
    event_attributes,
    key_of,
    parse_request,
    status_code,
    value_of,
)
from taximeter.ingest.otlp.span import MOST_NAME_CHARACTERS, Arrived, Found, Origin, Span

STATUS_ERROR: Final = 2
"""`Status.STATUS_CODE_ERROR`."""


def decode(signal: Signal, body: bytes) -> Arrived:
    """What an export request holds. Raises UsageError when it is none."""
    try:
        request = parse_request(signal, body)
    except DecodeError as error:
        raise UsageError("the body is not an OTLP request in protobuf", hint=str(error)) from error
    arrived = Arrived()
    if signal == "traces":
        _read_spans(request, arrived)
    elif signal == "logs":
        _read_records(request, arrived)
    else:
        arrived.ignored = sum(len(s.metrics) for r in request.resource_metrics for s in r.scope_metrics)
    return arrived


def _read_spans(request: Any, arrived: Arrived) -> None:
    for of_resource in request.resource_spans:
        shared = _identity(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            origin = _origin(of_scope.scope, shared)
            for sent in of_scope.spans:
                arrivals.add_span(arrived, _span(sent, origin))


def _span(sent: Any, origin: Origin) -> Span:
    found = _read(sent.attributes)
    for event in sent.events:  # where the span itself is silent
        fill(found, _read(event_attributes(event)))
    status, trace_state = sent.status, sent.trace_state
    return Span(
        sent.trace_id,
        sent.span_id,
        sent.parent_span_id,
        _text(sent.name)[:MOST_NAME_CHARACTERS],
        sent.start_time_unix_nano,
        sent.end_time_unix_nano,
        bool(status) and status_code(status) == STATUS_ERROR,
        origin,
        found,
        _text(trace_state) if trace_state else "",
    )


def _read_records(request: Any, arrived: Arrived) -> None:
    for of_resource in request.resource_logs:
        shared = _identity(of_resource.resource.attributes)
        for of_scope in of_resource.scope_logs:
            origin = _origin(of_scope.scope, shared)
            for sent in of_scope.log_records:
                said = any_value(sent.body)
                names = (_text(sent.event_name), said if isinstance(said, str) else "")
                at_ns = sent.time_unix_nano or sent.observed_time_unix_nano
                arrivals.add_record(arrived, names, at_ns, sent.trace_id, sent.span_id, origin, _read(sent.attributes))


def _origin(scope: Any, shared: Found) -> Origin:
    if scope.attributes:
        shared = {**shared, **_identity(scope.attributes)}
    return Origin(_text(scope.name), _text(scope.version), shared)


def _text(encoded: bytes) -> str:
    return encoded.decode("utf-8", "replace")


_PLACES: Final = {name.encode(): places for name, places in INDEX.items()}


def _says(attribute: bytes) -> Said:
    """What an attribute says. Of one that is not in the table not even the value is looked at."""
    key = key_of(attribute)
    places = _PLACES.get(key)
    return () if places is None else said_by(places, value_of(attribute, key))


_known: Final = Known(_says)


def _read(attributes: Iterable[bytes]) -> Found:
    return best_said([_known[sent] if len(sent) <= LONGEST_KNOWN_BYTES else _says(sent) for sent in attributes])


def _identity(attributes: Iterable[bytes]) -> Found:
    return identity_of(_read(attributes))


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def success(signal: Signal, rejected: int, message: str) -> bytes:
    """The answer to an export that was taken, all of it or in part."""
    if not rejected and not message:
        return b""
    answer: Any = ExportMetricsServiceResponse()
    if signal == "traces":
        spans = ExportTracePartialSuccess(rejected_spans=rejected, error_message=message)
        answer = ExportTraceServiceResponse(partial_success=spans)
    elif signal == "logs":
        records = ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=message)
        answer = ExportLogsServiceResponse(partial_success=records)
    return bytes(answer.SerializeToString())


def failure(code: int, message: str) -> bytes:
    """A `google.rpc.Status` of a code (below 128) and a message."""
    text = message.encode()
    return b"\x08" + bytes([code]) + b"\x12" + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
