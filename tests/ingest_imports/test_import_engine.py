"""Batches, what is told of them, and rows that are like nothing anyone has seen."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from import_rig import NOW_US, SAMPLES

from taximeter.core.cost import Cost, Unpriced
from taximeter.errors import StoreError
from taximeter.ingest.imports import engine, langfuse
from taximeter.ingest.imports.engine import Import, Tally, outcomes
from taximeter.ingest.imports.files import RowFile
from taximeter.ingest.imports.registry import FORMATS, format_named
from taximeter.ingest.imports.row import LeftOut, Options, Row

EXAMPLES = settings(max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "40")), deadline=None)
ZERO = Decimal(0)


class Kept:
    """A sink that keeps each id once."""

    def __init__(self) -> None:
        self.lines: dict[str, bytes] = {}
        self.batches: list[int] = []

    def take(self, lines: Sequence[tuple[str, bytes]]) -> int:
        before = len(self.lines)
        self.lines |= dict(lines)
        self.batches.append(len(lines))
        return len(self.lines) - before


def a_cent_a_token(record: Any) -> Cost | Unpriced:
    if record.get("request_model") == "unknown":
        return Unpriced("unknown_model", "v")
    return Cost(Decimal(record["input_tokens"]) / 100, ZERO, ZERO, ZERO, ZERO, "v", "r")


def table(*rows: dict[str, Any]) -> list[Row]:
    return [Row(place, row) for place, row in enumerate(rows, 2)]


def taken(*rows: dict[str, Any], sink: Any = None) -> Tally:
    run = Import(sink, a_cent_a_token, Options(NOW_US))
    run.take("calls.csv", table(*rows), format_named("generic"), lambda: None)
    run.finish()
    return run.tally


CALL = {"timestamp": "2026-01-05", "model": "gpt-4o", "input_tokens": 100, "output_tokens": 10, "cost": 0.1}


def test_what_came_is_told_by_model_with_its_period_and_money() -> None:
    tally = taken(CALL, {**CALL, "timestamp": "2026-01-07", "cost": "0.2"}, {**CALL, "model": "unknown", "cost": None})
    assert (tally.events, tally.first_at, tally.last_at) == (
        3,
        "2026-01-05T00:00:00.000000Z",
        "2026-01-07T00:00:00.000000Z",
    )
    known, unknown = tally.models[("openai", "gpt-4o")], tally.models[("unknown", "unknown")]
    assert (known.events, known.input_tokens, known.output_tokens, known.cost_usd) == (2, 200, 20, Decimal(2))
    assert (known.reported_cost_usd, known.unpriced) == (Decimal("0.3"), 0)
    assert (unknown.unpriced, unknown.reported_cost_usd) == (1, None)


def test_what_an_event_may_not_be_is_rejected_with_its_place() -> None:
    tally = taken(CALL, {**CALL, "timestamp": "2036-01-05"}, {**CALL, "cached_tokens": 101})
    assert tally.events == 1
    assert [(file, place, reason.partition(":")[0]) for file, place, reason in tally.wrong_at] == [
        ("calls.csv", 3, "invalid_started_at"),
        ("calls.csv", 4, "usage_violation"),
    ]
    assert sum(tally.wrong.values()) == 2


def test_batches_are_bounded_and_the_same_file_again_is_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BATCH_EVENTS", 3)
    sink = Kept()
    rows = [{**CALL, "input_tokens": number} for number in range(8)]
    assert taken(*rows, sink=sink).new == 8
    assert sink.batches == [3, 3, 2]
    assert taken(*rows, sink=sink).new == 0
    assert taken(*reversed(rows), CALL, sink=sink).new == 1


def test_what_comes_again_in_other_files_of_the_same_import_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BATCH_EVENTS", 2)
    rows = [{**CALL, "request_id": f"r{number}", "input_tokens": number} for number in range(5)]
    for sink in (None, Kept()):
        run = Import(sink, a_cent_a_token, Options(NOW_US))
        for name, part in (("a.csv", rows[:3]), ("b.csv", rows[1:]), ("c.csv", rows)):
            run.take(name, table(*part), format_named("generic"), lambda: None)
        (share,) = run.tally.models.values()
        assert (run.tally.events, run.tally.repeated) == (5, 7)
        assert (share.events, share.input_tokens, share.cost_usd) == (5, 10, Decimal("0.10"))
        assert run.tally.new == (0 if sink is None else 5)


def test_an_import_that_broke_off_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BATCH_EVENTS", 3)

    class Breaks(Kept):
        def take(self, lines: Sequence[tuple[str, bytes]]) -> int:
            if len(self.batches) == 1:
                raise StoreError("the disk is full")
            return super().take(lines)

    broken, rows = Breaks(), [{**CALL, "input_tokens": number} for number in range(8)]
    with pytest.raises(StoreError):
        taken(*rows, sink=broken)
    whole = Kept()
    whole.lines = broken.lines
    assert taken(*rows, sink=whole).new == 5


# ── rows at random ─────────────────────────────────────────────────────────────────────────────────────────────

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["", "1e999", "NaN", "2026-01-01", "9" * 40, "{", '{"a":1}', "[1]", "0x10", "-1"]),
)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2)
)


def _rows_of_samples() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for form, sample in (
        ("openai-usage", "openai-usage.json"),
        ("openai-usage", "openai-costs.json"),
        ("anthropic-usage", "anthropic-usage.json"),
        ("anthropic-usage", "anthropic-console.csv"),
        ("litellm", "litellm.json"),
        ("langfuse", "langfuse.jsonl"),
        ("helicone", "helicone.jsonl"),
        ("otlp", "otlp.jsonl"),
        ("claude-code", "claude-code.jsonl"),
        ("codex", "codex.jsonl"),
        ("generic", "openrouter.csv"),
        ("taximeter", "taximeter.json"),
    ):
        with RowFile(SAMPLES / sample) as opened:
            found += [(form, dict(row.values)) for row in opened.rows() if isinstance(row, Row)]
    return found


KNOWN_ROWS = _rows_of_samples()


@st.composite
def damaged(draw: st.DrawFn, value: Any) -> Any:
    """A value with one place in it replaced by anything, dropped, or left."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))
        inner = draw(damaged(value[key]))
        return {**value, key: inner} if draw(st.integers(0, 4)) else {k: v for k, v in value.items() if k != key}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(damaged(value[place])), *value[place + 1 :]]
    return draw(anything)


@EXAMPLES
@given(st.data())
def test_a_damaged_row_never_stops_the_rest(data: st.DataObject) -> None:
    form, row = data.draw(st.sampled_from(KNOWN_ROWS))
    rows = [Row(number, data.draw(damaged(row)) or {}) for number in (1, 2, 3)]
    rows = [Row(place, values if isinstance(values, dict) else {}) for place, values in rows]
    run = Import(Kept(), a_cent_or_nothing, Options(NOW_US))
    run.take("file", [*rows, Row(9, row)], format_named(form), lambda: None)
    whole = [one for _, place, _ in run.tally.wrong_at if (one := place) == 9]
    sound = Import(Kept(), a_cent_or_nothing, Options(NOW_US))
    sound.take("file", [Row(9, row)], format_named(form), lambda: None)
    assert len(whole) <= len(sound.tally.wrong_at)


def a_cent_or_nothing(_record: Any) -> Unpriced:
    return Unpriced("unknown_model", "v")


@EXAMPLES
@given(st.sampled_from(sorted(FORMATS)), st.dictionaries(st.text(max_size=8), anything, max_size=5))
def test_no_row_at_all_crashes_a_reader(form: str, values: dict[str, Any]) -> None:
    for one in FORMATS.values():
        one.recognises(values)
    list(outcomes([Row(1, values)], format_named(form), Options(NOW_US)))


@pytest.mark.parametrize("odd", [{"a": 1}, [], None, 7, 0.5], ids=repr)
def test_a_row_with_an_odd_value_in_any_of_its_places_is_recognised_or_not(odd: object) -> None:
    for _, row in KNOWN_ROWS:
        for name in row:
            for one in FORMATS.values():
                assert one.recognises({**row, name: odd}) in (True, False)


@pytest.mark.parametrize("written", [9e29, -9e29, "1" + "0" * 25, 253_402_300_800_000_000, -62_135_596_801])
@pytest.mark.parametrize(("form", "column"), [("generic", "timestamp"), ("openai-usage", "start_time")])
def test_an_instant_that_no_calendar_has_is_a_mistake_of_its_row(form: str, column: str, written: object) -> None:
    rows = [Row(1, {**CALL, "results": [{"num_model_requests": 1}], column: written})]
    (left_out,) = outcomes(rows, format_named(form), Options(NOW_US))
    assert isinstance(left_out, LeftOut)
    assert left_out.wrong
    assert left_out.reason.endswith(f"is no instant: '{written}'")


def test_json_of_an_outcome_has_no_float_in_its_money() -> None:
    from taximeter.cli.import_run import as_dict

    (share,) = json.loads(json.dumps(as_dict(taken(CALL), dry_run=True)))["models"]
    assert (share["cost_usd"], share["reported_cost_usd"]) == ("1", "0.1")


def in_files(form: str, *files: list[dict[str, Any]]) -> tuple[list[Any], Tally]:
    """What an import makes of some files."""
    kept = Kept()
    run = Import(kept, None, Options(NOW_US))
    for number, rows in enumerate(files):
        run.take(f"{number}.jsonl", table(*rows), format_named(form), lambda: None)
    run.finish()
    return [json.loads(line)["input_tokens"] for line in kept.lines.values()], run.tally


def observed(own: str, kind: str, parent: str | None, tokens: int) -> dict[str, Any]:
    at = {"startTime": "2026-05-29T13:46:19Z", "traceId": "t", "model": "gpt-4o-mini"}
    return {**at, "id": own, "type": kind, "parentObservationId": parent, "usageDetails": {"input": tokens}}


def span(own: str, parent: str, operation: str, tokens: int) -> dict[str, Any]:
    said = {
        "gen_ai.operation.name": {"stringValue": operation},
        "gen_ai.request.model": {"stringValue": "gpt-4o-mini"},
        "gen_ai.provider.name": {"stringValue": "openai"},
        "gen_ai.usage.input_tokens": {"intValue": str(tokens)},
        "gen_ai.usage.output_tokens": {"intValue": "1"},
    }
    times = {"startTimeUnixNano": "1780000000000000000", "endTimeUnixNano": "1780000001000000000"}
    attributes = [{"key": name, "value": value} for name, value in said.items()]
    ids = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": own, "parentSpanId": parent}
    one = {**ids, **times, "name": operation, "attributes": attributes}
    return {"resource": {}, "scopeSpans": [{"scope": {"name": "house"}, "spans": [one]}]}


AGENT, CALL_BELOW = observed("a", "AGENT", None, 9), observed("b", "GENERATION", "a", 9)
RUN = span("b7ad6b7169203331", "", "invoke_agent", 9)
CALL_IN_IT = span("c7ad6b7169203331", "b7ad6b7169203331", "chat", 9)


@pytest.mark.parametrize(
    ("form", "files"),
    [
        ("langfuse", [[AGENT, CALL_BELOW]]),
        ("langfuse", [[AGENT], [CALL_BELOW]]),
        ("langfuse", [[CALL_BELOW], [AGENT]]),
        ("langfuse", [[AGENT], [CALL_BELOW], [AGENT, CALL_BELOW]]),
        ("otlp", [[RUN, CALL_IN_IT]]),
        ("otlp", [[RUN], [CALL_IN_IT]]),
        ("otlp", [[CALL_IN_IT], [RUN]]),
    ],
)
def test_a_sum_counts_once_beside_its_calls_whichever_file_of_the_import_has_them(
    form: str, files: list[list[dict[str, Any]]]
) -> None:
    counted, tally = in_files(form, *files)
    assert counted == [9]
    assert not tally.wrong


@pytest.mark.parametrize(("form", "alone"), [("langfuse", AGENT), ("otlp", RUN)])
def test_a_sum_whose_calls_nobody_tells_of_counts_once_its_import_is_finished(form: str, alone: dict[str, Any]) -> None:
    assert in_files(form, [alone], [alone])[0] == [9]


@pytest.mark.parametrize("beginning", [[AGENT, CALL_BELOW], [CALL_BELOW, AGENT]])
def test_what_lay_below_an_agent_is_still_known_when_more_came_than_is_remembered(
    monkeypatch: pytest.MonkeyPatch, beginning: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(langfuse, "MOST_REMEMBERED", 4)
    others = [observed(f"other {number}", "GENERATION", f"above {number}", 1) for number in range(20)]
    counted, tally = in_files("langfuse", beginning, others[:10], others[10:])
    assert counted == [9, *[1] * 20]
    assert list(tally.skipped.values()) == [1]


def test_what_lies_below_what_is_remembered_however_many_calls_stand_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(langfuse, "MOST_REMEMBERED", 8)
    steps = [observed(name, "SPAN", above, 0) for name, above in (("1", "a"), ("2", "1"), ("3", "2"))]
    alone = [observed(f"alone {number}", "GENERATION", None, 1) for number in range(10)]
    counted, _ = in_files("langfuse", [AGENT, *steps], alone, [observed("b", "GENERATION", "3", 9)])
    assert counted == [*[1] * 10, 9]
