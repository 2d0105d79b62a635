"""Bodies at random, and real ones with something wrong in them: an answer or a refusal, never a crash."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from otlp_spans import NOW_US, S, as_json, as_protobuf, records, request
from test_otlp_recorded import RECORDED, as_spans, recording

from taximeter.errors import UsageError
from taximeter.ingest.otlp import json_form, protobuf
from taximeter.ingest.otlp.arrivals import Signal
from taximeter.ingest.otlp.deciding import Decider

EXAMPLES = settings(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "60")), deadline=None)
SIGNALS: tuple[Signal, ...] = ("traces", "logs", "metrics")
SPANS = [span for path in sorted(RECORDED.glob("*.json")) for span in as_spans(recording(path.stem))]
signals = st.sampled_from(SIGNALS)


def decided(form: Any, signal: Signal, body: bytes) -> None:
    """What a request leads to is bounded by what is in it."""
    try:
        arrived = form.decode(signal, body)
    except UsageError:
        return
    decider = Decider(NOW_US)
    taken = decider.decide(arrived, None, NOW_US)
    memory = decider.memory
    settled = memory.settle(memory.ripe(NOW_US * 2), ())
    assert len(taken.ready) + len(settled.ready) <= len(arrived.spans) + len(arrived.records)
    json.dumps(records((*taken.ready, *settled.ready)))


leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
)


@st.composite
def damaged(draw: st.DrawFn, value: Any) -> Any:
    """A request with one place in it replaced by anything, or gone."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value)))
        inner = draw(damaged(value[key]))
        return {**value, key: inner} if draw(st.integers(0, 4)) else {k: v for k, v in value.items() if k != key}
    if isinstance(value, list) and value and draw(st.integers(0, 9)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(damaged(value[place])), *value[place + 1 :]]
    return draw(anything)


@EXAMPLES
@given(signals, st.binary(max_size=300))
def test_bytes_at_random(signal: Signal, body: bytes) -> None:
    for form in (protobuf, json_form):
        decided(form, signal, body)


@EXAMPLES
@given(st.lists(st.sampled_from(SPANS), min_size=1, max_size=4), st.data())
def test_json_with_something_wrong_in_it(spans: list[S], data: st.DataObject) -> None:
    decided(json_form, "traces", json.dumps(data.draw(damaged(request(*spans)))).encode())


@EXAMPLES
@given(st.lists(st.sampled_from(SPANS), min_size=1, max_size=4), st.data())
def test_protobuf_with_bytes_changed_or_cut(spans: list[S], data: st.DataObject) -> None:
    body = bytearray(as_protobuf(*spans))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    decided(
        protobuf, "traces", bytes(body[: data.draw(st.integers(0, len(body)))] if data.draw(st.booleans()) else body)
    )


@EXAMPLES
@given(st.lists(st.sampled_from(SPANS), min_size=1, max_size=8), st.permutations(range(8)))
def test_spans_in_any_order_and_twice_are_no_more_calls(spans: list[S], order: list[int]) -> None:
    shuffled = [spans[place] for place in order if place < len(spans)]
    decided(json_form, "traces", as_json(*shuffled, *spans))


@EXAMPLES
@given(st.integers(0, 3_000))
def test_nesting_without_end(depth: int) -> None:
    for opened, closed in ((b"[", b"]"), (b'{"a":', b"}")):
        decided(json_form, "traces", b'{"resourceSpans":' + opened * depth + b"1" + closed * depth + b"}")
