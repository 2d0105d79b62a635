"""Protobuf and JSON say the same; what is broken in either harms nothing but itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from otlp_spans import (
    NOW_US,
    S,
    after_grace,
    as_json,
    as_protobuf,
    attributes,
    chat,
    fresh_memory,
    log,
    log_request,
    logs_as_protobuf,
)
from test_otlp_agents import CLAUDE

from taximeter.errors import UsageError
from taximeter.ingest.otlp import json_form, protobuf
from taximeter.ingest.otlp.attributes import INDEX
from taximeter.ingest.otlp.span import Arrived

MANY = (
    S(1, {"user.id": "u1", "x": [1, 2]}, name="POST /chat", resource={"service.name": "shop"}),
    S(2, chat(300, 40, **{"gen_ai.usage.cost": 0.5, "gen_ai.request.stream": True}), parent=1, trace_state="ot=th:8"),
    S(3, chat(5, 0), parent=1, failed=True, events=[{"exception.type": "TimeoutError"}]),
    S(4, chat(7, 1), trace=2, scope="openlit", version="1.36"),
)


def test_both_forms_arrive_as_the_same_spans() -> None:
    assert protobuf.decode("traces", as_protobuf(*MANY)) == json_form.decode("traces", as_json(*MANY))


def test_spans_that_tell_of_stored_events_make_none() -> None:
    ours, other = S(1, chat(300, 40), scope="taximeter.events"), S(2, chat(5, 1))
    for arrived in (
        protobuf.decode("traces", as_protobuf(ours, other)),
        json_form.decode("traces", as_json(ours, other)),
    ):
        assert ([span.span_id[-1] for span in arrived.spans], arrived.ignored) == ([2], 1)


plain_values = (
    st.text(st.characters(codec="utf-8"), max_size=300)
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(0, 40_000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
)
said = st.dictionaries(st.sampled_from(sorted(INDEX)) | st.text(max_size=200), plain_values, max_size=12)


@given(said, said, st.lists(said, max_size=2))
@settings(deadline=None)
def test_both_forms_say_the_same_of_any_attributes(
    own: dict[str, Any], resource: dict[str, Any], of_events: list[dict[str, Any]]
) -> None:
    span = S(1, own, resource=resource, events=of_events)
    assert protobuf.decode("traces", as_protobuf(span)) == json_form.decode("traces", as_json(span))


def encoded(field: int, content: bytes) -> bytes:
    """A length-delimited protobuf field of less than 128 bytes."""
    return bytes([field << 3 | 2, len(content)]) + content


@pytest.mark.parametrize(
    ("attribute", "input_tokens"),
    [
        (encoded(1, b"gen_ai.usage.input_tokens") + encoded(2, b"\x18\x07"), 7),
        (encoded(2, b"\x18\x07") + encoded(1, b"gen_ai.usage.input_tokens"), 7),
        (encoded(1, b"gen_ai.usage.input_tokens") + encoded(2, b"\x18\x05\x18\x07"), 7),
        (encoded(1, b"gen_ai.usage.input_tokens") + encoded(9, b"new") + encoded(2, b"\x18\x07"), 7),
        (encoded(1, b"gen_ai.usage.input_tokens") + encoded(2, b"\x18\x87\x80"), None),
        (encoded(1, b"gen_ai.usage.input_tokens") + b"\x12\x09\x18", None),
        (encoded(1, b"gen_ai.usage.input_tokens"), None),
        (b"\x0a\x7f", None),
        (b"\x0a", None),
        (b"", None),
    ],
)  # fmt: skip
def test_attributes_however_they_are_encoded(attribute: bytes, input_tokens: int | None) -> None:
    output = encoded(1, b"gen_ai.usage.output_tokens") + encoded(2, b"\x18\x03")
    ids_and_start = encoded(1, b"t" * 16) + encoded(2, b"s" * 8) + b"\x39" + (NOW_US * 1000).to_bytes(8, "little")
    span = ids_and_start + encoded(9, attribute) + encoded(9, output)
    body = span
    for field in (2, 2, 1):
        body = bytes([field << 3 | 2]) + _length(len(body)) + body
    (arrived,) = protobuf.decode("traces", body).spans
    assert (arrived.found.get("input"), arrived.found["output"]) == (input_tokens, 3)


def _length(size: int) -> bytes:
    return bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])


def test_a_prompt_that_is_no_utf_8_harms_nobody() -> None:
    body = as_protobuf(S(1, chat(3, 1, **{"gen_ai.input.messages": "QQQQ", "user.id": "ZZZZ"})))
    (span,) = protobuf.decode("traces", body.replace(b"QQQQ", b"\xff\xfe\xff\xfe").replace(b"ZZZZ", b"ZZ\xffZ")).spans
    assert (span.found["input"], span.found["user_id"]) == (3, "ZZ\ufffdZ")


@pytest.mark.parametrize("cut", [b"\\ud83d", b"\\ude00 \\\\", b"a\ttab"])
def test_half_of_an_emoji_in_a_prompt_harms_nobody(cut: bytes) -> None:
    """JavaScript's exporters cut long texts at a number of UTF-16 units, and write the half that is left."""
    body = as_json(S(1, chat(3, 1, **{"gen_ai.input.messages": "QQQQ"})), S(2, chat(5, 1)))
    read = json_form.decode("traces", body.replace(b"QQQQ", cut))
    assert ([span.found["input"] for span in read.spans], read.malformed) == ([3, 5], 0)


EVENT_FIELD, STATUS_FIELD = b"\x5a", b"\x7a"


@pytest.mark.parametrize("field", [EVENT_FIELD, STATUS_FIELD])
def test_an_event_or_status_that_is_none_leaves_its_span_whole(field: bytes) -> None:
    request = ExportTraceServiceRequest.FromString(as_protobuf(S(1, chat(5, 1))))
    span = request.resource_spans[0].scope_spans[0].spans[0].SerializeToString()
    body = within(b"\x0a", within(b"\x12", within(b"\x12", span + within(field, b"\xff"))))
    (read,) = protobuf.decode("traces", body).spans
    assert (read.found["input"], read.found["output"], read.failed) == (5, 1, False)


def within(field: bytes, content: bytes) -> bytes:
    """A field of a message: its tag, the length in two bytes, the content."""
    return field + bytes([len(content) & 0x7F | 0x80, len(content) >> 7]) + content


def test_both_forms_arrive_as_the_same_records() -> None:
    sent = log(CLAUDE, body="claude_code.api_request", service="claude-code", span=MANY[0])
    in_json = json_form.decode("logs", log_request(sent))
    assert protobuf.decode("logs", logs_as_protobuf({"resourceLogs": [sent]})) == in_json
    assert len(in_json.records) == 1


@pytest.mark.parametrize(
    ("form", "body"),
    [(protobuf, b""), (json_form, b""), (json_form, b"{}"), (json_form, b'{"resourceSpans":null}'),
     (json_form, b'{"resourceSpans":[{"resource":null,"scopeSpans":[{"scope":null,"spans":null}]}],"new":1}')],
)  # fmt: skip
def test_empty_batches_are_normal(form: Any, body: bytes) -> None:
    assert form.decode("traces", body) == Arrived()


@pytest.mark.parametrize(("form", "body"), [(protobuf, b"\x0a\xff\xff"), (json_form, b"{"), (json_form, b"[]")])
@pytest.mark.parametrize("signal", ["traces", "logs", "metrics"])
def test_what_is_no_request_at_all(form: Any, signal: Any, body: bytes) -> None:
    with pytest.raises(UsageError):
        form.decode(signal, body)


def change(span: S, **fields: Any) -> bytes:
    sent = json.loads(as_json(span))
    sent["resourceSpans"][0]["scopeSpans"][0]["spans"][0] |= fields
    sent["resourceSpans"] += json.loads(as_json(MANY[3]))["resourceSpans"]
    return json.dumps(sent).encode()


@pytest.mark.parametrize(
    "fields",
    [
        {"traceId": "nonsense"},
        {"traceId": "00" * 16},
        {"traceId": "ab"},
        {"spanId": ""},
        {"spanId": None},
        {"startTimeUnixNano": "soon"},
        {"startTimeUnixNano": 0},
        {"startTimeUnixNano": -5},
        {"startTimeUnixNano": str(1 << 70)},
        {"attributes": "none"},
        {"attributes": [*attributes(chat(1, 1)), {"key": 5}]},
        {"status": {"code": {}}},
    ],
)
def test_one_broken_span_is_rejected_and_its_neighbour_is_not(fields: dict[str, Any]) -> None:
    arrived = json_form.decode("traces", change(MANY[1], **fields))
    assert (len(arrived.spans), arrived.malformed) == (1, 1)
    assert arrived.problem


@pytest.mark.parametrize(
    "fields",
    [
        {"startTimeUnixNano": NOW_US * 1000},
        {"kind": "SPAN_KIND_CLIENT", "links": [{"traceId": "x"}], "flags": 1, "somethingNew": {"a": [1]}},
        {"traceId": f"{10:032X}"},
        {"parentSpanId": None, "endTimeUnixNano": None, "status": None, "events": None},
        {"attributes": [*attributes(chat(300, 40)), {"key": "empty", "value": {}}, {"key": "user.id"}]},
        {"attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": 300}}]},
    ],
)
def test_liberties_of_the_json_form(fields: dict[str, Any]) -> None:
    arrived = json_form.decode("traces", change(MANY[1], **fields))
    assert (len(arrived.spans), arrived.malformed) == (2, 0)


def test_broken_spans_that_tell_of_no_call_are_nobodys_loss() -> None:
    arrived = json_form.decode("traces", change(S(1, {"a": 1}), traceId=""))
    assert (len(arrived.spans), arrived.malformed) == (1, 0)


@pytest.mark.parametrize("form", [protobuf, json_form])
def test_metrics_are_counted_and_passed_over(form: Any) -> None:
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "gen_ai.client.token.usage"}, {}]}]}]}
    in_protobuf = bytes.fromhex(
        "0a25" + "1223" + "121d" + "0a1b" + b"gen_ai.client.token.usage.x".hex() + "1200" + "1a00"
    )
    arrived = form.decode("metrics", json.dumps(body).encode() if form is json_form else in_protobuf)
    assert arrived.ignored == 2


# ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_answers_in_both_forms() -> None:
    assert protobuf.success("traces", 0, "") == b""
    assert json_form.success("logs", 0, "") == b"{}"
    told = MessageToDict(ExportTraceServiceResponse.FromString(protobuf.success("traces", 2, "why")))
    assert told == {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "why"}}
    assert json.loads(json_form.success("traces", 2, "why")) == told
    told = MessageToDict(ExportLogsServiceResponse.FromString(protobuf.success("logs", 2, "why")))
    assert json.loads(json_form.success("logs", 2, "why")) == told


@given(st.integers(1, 16), st.text(max_size=300))
def test_a_refusal_is_a_status(code: int, message: str) -> None:
    message = message.encode("utf-8", "replace").decode()
    assert json.loads(json_form.failure(code, message)) == {"code": code, "message": message}
    raw = protobuf.failure(code, message)
    assert raw[:3] == bytes([8, code, 0x12])
    assert raw.endswith(message.encode())


# ── at random ───────────────────────────────────────────────────────────────────────────────────────────────────

plain = st.text(max_size=20) | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.booleans()
names = st.sampled_from(sorted(INDEX)) | st.text(max_size=10)
ids = st.integers(0, 6)
some_spans = st.builds(
    S,
    id=st.integers(1, 6),
    attributes=st.dictionaries(names, plain, max_size=12),
    parent=ids,
    name=st.text(max_size=10),
    at=st.integers(0, 5),
    until=st.integers(0, 5),
    scope=st.sampled_from(["ai", "openlit", "openinference.instrumentation.bedrock", "", "langfuse-sdk"]),
    trace=st.integers(1, 2),
    failed=st.booleans(),
    resource=st.dictionaries(names, plain, max_size=3),
    events=st.lists(st.dictionaries(names, plain, max_size=3), max_size=2),
    trace_state=st.text(max_size=8),
)


@given(st.lists(some_spans, max_size=8))
@settings(deadline=None)
def test_spans_at_random_never_break_anything(sent: list[S]) -> None:
    arrived = json_form.decode("traces", as_json(*sent))
    memory = fresh_memory()
    memory.take(arrived.spans, None, NOW_US)
    after_grace(memory)


@given(st.binary(max_size=300))
def test_bytes_at_random_are_refused_or_read(body: bytes) -> None:
    for form in (protobuf, json_form):
        for signal in ("traces", "logs", "metrics"):
            try:
                form.decode(signal, body)
            except UsageError:
                continue


PROTOBUF_MANY = as_protobuf(*MANY)


@given(st.lists(st.tuples(st.integers(0, len(PROTOBUF_MANY) - 1), st.integers(0, 255)), max_size=6))
@settings(deadline=None)
def test_damaged_protobuf_is_refused_or_read(damage: list[tuple[int, int]]) -> None:
    body = bytearray(PROTOBUF_MANY)
    for place, value in damage:
        body[place] = value
    try:
        arrived = protobuf.decode("traces", bytes(body))
    except UsageError:
        return
    fresh_memory().take(arrived.spans, None, NOW_US)


json_values = st.recursive(
    st.none() | plain | st.sampled_from(["resourceSpans", "ab" * 16]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["resourceSpans", "scopeSpans", "spans", "attributes", "key", "value", "traceId", "intValue"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_json_at_random_is_refused_or_read(value: Any) -> None:
    try:
        arrived = json_form.decode("traces", json.dumps({"resourceSpans": value}).encode())
    except UsageError:
        return
    fresh_memory().take(arrived.spans, None, NOW_US)
