"""OTLP's protobuf messages, as far as they are read, and reading the attributes in them.

The messages are declared here, with the numbers of the OTLP specification, because a message class makes an object of
everything that is looked at: declared as bytes, an attribute is one slice of the body, whose value is decoded when its
key is one that we read. So prompts and answers are never decoded at all, and text that is no UTF-8 harms only itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from google.protobuf.descriptor_pb2 import (  # type: ignore[import-untyped]
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]

from taximeter.ingest.otlp.arrivals import Signal

_PACKAGE: Final = "taximeter.otlp"

_PLAIN: Final = {
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "fixed64": FieldDescriptorProto.TYPE_FIXED64,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
}

_MESSAGES: Final[Mapping[str, Mapping[str, tuple[int, str]]]] = {
    "AnyValue": {
        "text": (1, "bytes"),
        "flag": (2, "bool"),
        "whole": (3, "int64"),
        "double": (4, "double"),
    },
    "KeyValue": {"key": (1, "bytes"), "value": (2, "bytes")},
    "Resource": {"attributes": (1, "bytes*")},
    "Scope": {"name": (1, "bytes"), "version": (2, "bytes"), "attributes": (3, "bytes*")},
    "Status": {"code": (3, "int32")},
    "Event": {"attributes": (3, "bytes*")},
    "Span": {
        "trace_id": (1, "bytes"),
        "span_id": (2, "bytes"),
        "trace_state": (3, "bytes"),
        "parent_span_id": (4, "bytes"),
        "name": (5, "bytes"),
        "start_time_unix_nano": (7, "fixed64"),
        "end_time_unix_nano": (8, "fixed64"),
        "attributes": (9, "bytes*"),
        "events": (11, "bytes*"),
        "status": (15, "bytes"),
    },
    "ScopeSpans": {"scope": (1, "Scope"), "spans": (2, "Span*")},
    "ResourceSpans": {"resource": (1, "Resource"), "scope_spans": (2, "ScopeSpans*")},
    "traces": {"resource_spans": (1, "ResourceSpans*")},
    "LogRecord": {
        "time_unix_nano": (1, "fixed64"),
        "observed_time_unix_nano": (11, "fixed64"),
        "body": (5, "bytes"),
        "attributes": (6, "bytes*"),
        "trace_id": (9, "bytes"),
        "span_id": (10, "bytes"),
        "event_name": (12, "bytes"),
    },
    "ScopeLogs": {"scope": (1, "Scope"), "log_records": (2, "LogRecord*")},
    "ResourceLogs": {"resource": (1, "Resource"), "scope_logs": (2, "ScopeLogs*")},
    "logs": {"resource_logs": (1, "ResourceLogs*")},
    "ScopeMetrics": {"metrics": (2, "bytes*")},
    "ResourceMetrics": {"scope_metrics": (2, "ScopeMetrics*")},
    "metrics": {"resource_metrics": (1, "ResourceMetrics*")},
}
"""Message → field → its number and type; `*`: any number of them."""

_ONE_OF_ITS_FIELDS: Final = "AnyValue"


def _message_classes() -> dict[str, Any]:
    file = FileDescriptorProto(name="taximeter/otlp.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            many, of = kind.endswith("*"), kind.removesuffix("*")
            label = FieldDescriptorProto.LABEL_REPEATED if many else FieldDescriptorProto.LABEL_OPTIONAL
            declared = message.field.add(name=field, number=number, label=label)
            declared.type = _PLAIN.get(of, FieldDescriptorProto.TYPE_MESSAGE)
            if of not in _PLAIN:
                declared.type_name = f".{_PACKAGE}.{of}"
            if name == _ONE_OF_ITS_FIELDS:
                declared.oneof_index = 0
        if name == _ONE_OF_ITS_FIELDS:
            message.oneof_decl.add(name="value")
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES}


_CLASSES: Final = _message_classes()


def parse_request(signal: Signal, body: bytes) -> Any:
    """The export request in a body. Raises DecodeError when it is none."""
    return _CLASSES[signal].FromString(body)


def event_attributes(encoded: bytes) -> Iterable[bytes]:
    """The attributes of an encoded `Event` of a span."""
    attributes: Iterable[bytes] = _parsed("Event", encoded).attributes
    return attributes


def status_code(encoded: bytes) -> int:
    """The code of an encoded `Status`, 0 when it says none."""
    code: int = _parsed("Status", encoded).code
    return code


# ── attributes ──────────────────────────────────────────────────────────────────────────────────────────────────

_FIRST: Final = 0x0A
"""What stands before the key of an attribute, and before a text."""

_SECOND: Final = 0x12
"""What stands before the value of an attribute."""

_WHOLE: Final = 0x18
"""What stands before a whole number."""

_ONE_BYTE: Final = 0x80
"""Lengths and numbers below it take one byte, and the last byte of longer ones is below it."""


def key_of(attribute: bytes) -> bytes:
    """The key of an encoded `KeyValue`. One of 128 bytes or more is cut short: it is none that we read."""
    if len(attribute) > 1 and attribute[0] == _FIRST:
        return attribute[2 : attribute[1] + 2]
    key: bytes = _parsed("KeyValue", attribute).key
    return key


def value_of(attribute: bytes, key: bytes) -> object:
    """The value of an encoded `KeyValue` that has `key`, as a rule in front: text, a number or a flag, else None."""
    start = len(key) + 2
    if (
        len(attribute) > start + 1
        and attribute[start] == _SECOND
        and attribute[start + 1] == len(attribute) - start - 2
    ):
        return any_value(attribute[start + 2 :])
    return any_value(_parsed("KeyValue", attribute).value)


def any_value(encoded: bytes) -> object:
    """What an encoded `AnyValue` holds: text, a number or a flag, else None."""
    size = len(encoded)
    if size > 1:
        kind, number = encoded[0], encoded[1]
        if kind == _FIRST and number == size - 2 and number < _ONE_BYTE:
            return encoded[2:].decode("utf-8", "replace")
        if kind == _WHOLE and size == 2:
            return number
        if kind == _WHOLE and size == 3 and encoded[2] < _ONE_BYTE:
            return number & 0x7F | encoded[2] << 7
    return _any_value(encoded) if encoded else None


def _any_value(encoded: bytes) -> object:
    """The same for the rarer ones."""
    sent = _parsed("AnyValue", encoded)
    kind = sent.WhichOneof("value")
    content = getattr(sent, kind) if kind else None
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else content


def _parsed(name: str, encoded: bytes) -> Any:
    """A message; an empty one when the bytes are none."""
    try:
        return _CLASSES[name].FromString(encoded)
    except DecodeError:
        return _CLASSES[name]()
