"""OTLP in JSON: protobuf's JSON form with its exceptions (ids in hex, 64-bit integers as text or numbers)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import msgspec

from taximeter.errors import UsageError
from taximeter.extract.lenient import read_leniently
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
from taximeter.ingest.otlp.span import MOST_NAME_CHARACTERS, Arrived, Found, Origin, Span

LARGEST_NS: Final = (1 << 64) - 1


class _Form(msgspec.Struct, rename="camel", gc=False):
    """Unknown keys are ignored; null stands for what is left out."""


class _Value(_Form):
    string_value: str | None = None
    int_value: int | str | None = None
    double_value: float | str | None = None
    bool_value: bool | None = None


class _Attribute(_Form):
    key: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")


_Attributes = list[msgspec.Raw] | None
"""Each is decoded by itself, and its value only when its key is one that we read."""


class _Resource(_Form):
    attributes: _Attributes = None


class _Scope(_Form):
    name: str | None = None
    version: str | None = None
    attributes: _Attributes = None


class _Event(_Form):
    attributes: _Attributes = None


class _Status(_Form):
    code: int | str | None = None


class _Span(_Form):
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    trace_state: str | None = None
    name: str | None = None
    start_time_unix_nano: int | str | None = None
    end_time_unix_nano: int | str | None = None
    attributes: _Attributes = None
    events: list[_Event] | None = None
    status: _Status | None = None


class _LogRecord(_Form):
    time_unix_nano: int | str | None = None
    observed_time_unix_nano: int | str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None
    body: _Value | None = None
    attributes: _Attributes = None


class _ScopeSpans(_Form):
    scope: _Scope | None = None
    spans: list[msgspec.Raw] | None = None


class _ResourceSpans(_Form):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None


class _ScopeLogs(_Form):
    scope: _Scope | None = None
    log_records: list[msgspec.Raw] | None = None


class _ResourceLogs(_Form):
    resource: _Resource | None = None
    scope_logs: list[_ScopeLogs] | None = None


class _ScopeMetrics(_Form):
    metrics: list[msgspec.Raw] | None = None


class _ResourceMetrics(_Form):
    scope_metrics: list[_ScopeMetrics] | None = None


class _Traces(_Form):
    resource_spans: list[_ResourceSpans] | None = None


class _Logs(_Form):
    resource_logs: list[_ResourceLogs] | None = None


class _Metrics(_Form):
    resource_metrics: list[_ResourceMetrics] | None = None


_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_DECODERS: Final[dict[Signal, msgspec.json.Decoder[Any]]] = {
    "traces": msgspec.json.Decoder(_Traces),
    "logs": msgspec.json.Decoder(_Logs),
    "metrics": msgspec.json.Decoder(_Metrics),
}
_decode_span: Final = msgspec.json.Decoder(_Span).decode
_decode_record: Final = msgspec.json.Decoder(_LogRecord).decode
_decode_attribute: Final = msgspec.json.Decoder(_Attribute).decode
_decode_value: Final = msgspec.json.Decoder(_Value | None).decode


def decode(signal: Signal, body: bytes) -> Arrived:
    """What an export request holds; a span or record that cannot be read does not harm its neighbours.

    Raises UsageError when the whole is no export request.
    """
    arrived = Arrived()
    try:
        _READ[signal](_request(signal, body or b"{}"), arrived)
    except (*_UNREADABLE, ValueError) as error:
        raise UsageError("the body is not an OTLP request in JSON", hint=str(error)) from error
    return arrived


def _request(signal: Signal, body: bytes) -> Any:
    """The request, also where a text in it was cut in the middle of an emoji: JavaScript's exporters write halves, and
    one of them would refuse all the spans that were sent with it. Raises what msgspec or json raises."""
    decode = _DECODERS[signal].decode
    try:
        return decode(body)
    except msgspec.ValidationError:  # it is JSON, but something else
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):
        return decode(json.dumps(read_leniently(body)))


def _read_spans(request: _Traces, arrived: Arrived) -> None:
    for of_resource in request.resource_spans or ():
        shared = _shared(of_resource.resource)
        for of_scope in of_resource.scope_spans or ():
            origin = _origin(of_scope.scope, shared)
            for raw in of_scope.spans or ():
                try:
                    arrivals.add_span(arrived, _span(_decode_span(raw), origin))
                except (*_UNREADABLE, ValueError) as error:
                    arrived.reject(f"a span cannot be read: {error}")


def _span(sent: _Span, origin: Origin) -> Span:
    found = _read(sent.attributes)
    for event in sent.events or ():
        fill(found, _read(event.attributes))
    return Span(
        _bytes(sent.trace_id),
        _bytes(sent.span_id),
        _bytes(sent.parent_span_id),
        (sent.name or "")[:MOST_NAME_CHARACTERS],
        _nanoseconds(sent.start_time_unix_nano),
        _nanoseconds(sent.end_time_unix_nano),
        sent.status is not None and sent.status.code in (2, "2", "STATUS_CODE_ERROR"),
        origin,
        found,
        sent.trace_state or "",
    )


def _read_records(request: _Logs, arrived: Arrived) -> None:
    for of_resource in request.resource_logs or ():
        shared = _shared(of_resource.resource)
        for of_scope in of_resource.scope_logs or ():
            origin = _origin(of_scope.scope, shared)
            for raw in of_scope.log_records or ():
                try:
                    _add_record(arrived, _decode_record(raw), origin)
                except (*_UNREADABLE, ValueError) as error:
                    arrived.reject(f"a log record cannot be read: {error}")


def _read_metrics(request: _Metrics, arrived: Arrived) -> None:
    groups = [s for r in request.resource_metrics or () for s in r.scope_metrics or ()]
    arrived.ignored = sum(len(group.metrics or ()) for group in groups)


_READ: Final[dict[Signal, Callable[[Any, Arrived], None]]] = {
    "traces": _read_spans,
    "logs": _read_records,
    "metrics": _read_metrics,
}


def _add_record(arrived: Arrived, sent: _LogRecord, origin: Origin) -> None:
    at_ns = _nanoseconds(sent.time_unix_nano) or _nanoseconds(sent.observed_time_unix_nano)
    names = (sent.event_name or "", (sent.body and sent.body.string_value) or "")
    ids = _bytes(sent.trace_id), _bytes(sent.span_id)
    arrivals.add_record(arrived, names, at_ns, *ids, origin, _read(sent.attributes))


def _shared(resource: _Resource | None) -> Found:
    return identity_of(_read(resource.attributes)) if resource else {}


def _origin(scope: _Scope | None, shared: Found) -> Origin:
    if scope is None:
        return Origin(shared=shared)
    if scope.attributes:
        shared = {**shared, **identity_of(_read(scope.attributes))}
    return Origin(scope.name or "", scope.version or "", shared)


def _read(attributes: _Attributes) -> Found:
    sent = map(bytes, attributes or ())
    return best_said([_known[one] if len(one) <= LONGEST_KNOWN_BYTES else _says(one) for one in sent])


def _says(attribute: bytes) -> Said:
    """What an attribute says. Raises what msgspec raises for one that is none."""
    sent = _decode_attribute(attribute)
    places = INDEX.get(sent.key)
    value = _decode_value(sent.value) if places else None
    return () if not places or value is None else said_by(places, _content(value))


_known: Final = Known(_says)


def _content(value: _Value) -> object:
    """The one value that is set. Lists, maps and bytes are nothing to us."""
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return value.int_value
    return value.double_value if value.double_value is not None else value.bool_value


def _bytes(text: str | None) -> bytes:
    """An id in hex; one that is all zeros is none."""
    found = bytes.fromhex(text) if text else b""
    return found if found.strip(b"\0") else b""


def _nanoseconds(value: int | str | None) -> int:
    number = int(value) if value else 0
    if not 0 <= number <= LARGEST_NS:
        raise ValueError(f"not a time: {value}")
    return number


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────

_REJECTED: Final[dict[Signal, str]] = {
    "traces": "rejectedSpans",
    "logs": "rejectedLogRecords",
    "metrics": "rejectedDataPoints",
}


def success(signal: Signal, rejected: int, message: str) -> bytes:
    """The answer to an export that was taken, all of it or in part."""
    if not rejected and not message:
        return b"{}"
    part = {_REJECTED[signal]: str(rejected), "errorMessage": message}
    return msgspec.json.encode({"partialSuccess": part})


def failure(code: int, message: str) -> bytes:
    """A `google.rpc.Status` of a code and a message."""
    return msgspec.json.encode({"code": code, "message": message})
