"""Events on the wire: what is taken, what is refused and with which code, and what is written down."""

from __future__ import annotations

import json
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_rig import NOW_US, as_line, event, event_id

from taximeter.core.attribution import LONGEST_VALUE, attribution
from taximeter.core.event import FIELD_NAMES, UsageEvent, as_record
from taximeter.core.usage import INPUT_PARTS, OUTPUT_PARTS, TOKEN_CLASSES, Usage, violations
from taximeter.errors import TooLargeError, UsageError
from taximeter.ingest import wire
from taximeter.ingest.splitting import split_items
from taximeter.ingest.wire import Batch, Stamp, WireEvent, validate_batch

JSON = "application/json"
NDJSON = "application/x-ndjson"


def validated(*items: object, form: str = "array", stamp: Stamp = wire.NO_STAMP) -> Batch:
    if form == "array":
        return validate_batch(json.dumps(items).encode(), JSON, NOW_US, stamp)
    return validate_batch(b"\n".join(as_line(typing.cast("Any", item)) for item in items), NDJSON, NOW_US, stamp)


def written(item: dict[str, Any], stamp: Stamp = wire.NO_STAMP) -> dict[str, Any]:
    """The line of the only event, read back."""
    batch = validated(item, stamp=stamp)
    assert batch.rejected == []
    ((_, line),) = batch.accepted_lines
    assert b"\n" not in line
    return typing.cast("dict[str, Any]", json.loads(line))


def code_and_message(item: object) -> tuple[str, str]:
    (rejection,) = validated(item).rejected
    assert rejection["code"] in wire.CODES
    return rejection["code"], rejection["message"]


def test_the_wire_knows_exactly_the_fields_of_an_event() -> None:
    assert set(WireEvent.__struct_fields__) == {*FIELD_NAMES, "cost_usd", "record", *wire.ALIASES}


def test_shares_of_models_count_what_events_count() -> None:
    assert set(wire.ModelShare.__struct_fields__) == {"model", *TOKEN_CLASSES, "units"}


def test_every_code_is_explained() -> None:
    assert set(wire.CODES) == set(typing.get_args(wire.Code))


# -- forms of a body -------------------------------------------------------------------------------------------

TWO = [as_line(event(1)), as_line(event(2))]
INDENTED = json.dumps(event(1), indent=2).encode()


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (TWO[0], JSON, 1),
        (INDENTED, JSON, 1),
        (b"[" + b",".join(TWO) + b"]", JSON, 2),
        (b"[]", JSON, 0),
        (b"\n".join(TWO), NDJSON, 2),
        (b"\r\n".join(TWO) + b"\r\n\r\n", "application/x-ndjson; charset=utf-8", 2),
        (b"\n\n".join(TWO), "application/jsonl", 2),
        (b"", NDJSON, 0),
        (b"\n".join(TWO), JSON, 2),
        (b"\n".join(TWO), "application/x-www-form-urlencoded", 2),
        (b"\xef\xbb\xbf  " + TWO[0], JSON, 1),
    ],
    ids=[
        "object",
        "indented object",
        "array",
        "empty array",
        "lines",
        "lines of Windows",
        "lines with gaps",
        "no lines",
        "lines said to be JSON",
        "lines by curl",
        "byte order mark",
    ],
)
def test_one_object_an_array_and_lines_are_taken(body: bytes, content_type: str, expected: int) -> None:
    batch = validate_batch(body, content_type, NOW_US)

    assert [one for one, _ in batch.accepted_lines] == [event_id(number + 1) for number in range(expected)]
    assert batch.rejected == []


@pytest.mark.parametrize("body", [b"", b"hello", b"5", b'"x"', b"[1,", b"[", b'{"event_id":', b"\xff\xfe{"])
def test_a_body_that_is_no_json_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(UsageError, match="body is not"):
        validate_batch(body, JSON, NOW_US)


def test_broken_lines_are_refused_one_by_one() -> None:
    body = b"\n".join([b"hello", TWO[0], b'{"event_id":', b"[1]", b"null", TWO[1]])
    batch = validate_batch(body, NDJSON, NOW_US)

    assert [one for one, _ in batch.accepted_lines] == [event_id(1), event_id(2)]
    assert [(bad["index"], bad["code"]) for bad in batch.rejected] == [
        (0, "not_json"),
        (2, "not_json"),
        (3, "not_an_object"),
        (4, "not_an_object"),
    ]


@pytest.mark.parametrize("form", ["array", "lines"])
def test_good_events_beside_bad_ones_are_kept(form: str) -> None:
    batch = validated(event(1), event(2, input_tokens=-1), event(3), event(4, status="great"), event(5), form=form)

    assert [one for one, _ in batch.accepted_lines] == [event_id(1), event_id(3), event_id(5)]
    assert [(bad["index"], bad["code"]) for bad in batch.rejected] == [(1, "usage_violation"), (3, "invalid_field")]


def test_too_many_events_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MOST_EVENTS", 2)
    assert len(validated(event(1), event(2)).accepted_lines) == 2
    for items in ([event(1)] * 3, [event(1), {}, {}]):
        with pytest.raises(TooLargeError):
            validated(*items)


# -- one event -------------------------------------------------------------------------------------------------


def test_the_least_an_event_must_say() -> None:
    assert written(event(1)) == {**event(1), "source": "api", "status": "ok", "attempt": 1}


def test_whatever_the_sdk_makes_is_taken_as_it_is() -> None:
    made = as_record(
        UsageEvent(
            event_id=event_id(7),
            started_at_us=NOW_US,
            source="sdk",
            status="interrupted",
            provider="anthropic",
            request_model="m",
            duration_ms=12.5,
            http_status=200,
            attempt=2,
            attribution=attribution(user="u", feature="f", tags={"k": "v"}),
            usage=Usage(input_tokens=10, cache_read_tokens=4, output_tokens=3, units={"web_searches": 2}),
            by_model=(("m", Usage(input_tokens=10)),),
            usage_estimated=True,
        )
    )
    assert written(made) == made


def test_what_is_not_a_field_is_never_stored() -> None:
    item = event(1, prompt="secret", messages=[{"content": "secret"}], record="begin", ingested_at="x", cost={})
    assert written(item) == written(event(1))


def test_null_is_not_said() -> None:
    assert written({**dict.fromkeys(FIELD_NAMES), **event(1)}) == written(event(1))


def test_an_empty_text_is_not_said() -> None:
    empty = dict.fromkeys(("user_id", "team", "feature", "endpoint", "request_model", "service_tier", "session"), "")
    assert written(event(1, **empty)) == written(event(1))
    assert written(event(1, user_id="", user="ann")) == written(event(1, user="ann"))
    assert written(event(1, team=" ", tags={"k": ""}))["team"] == " "


def test_a_key_that_does_not_win_fills_in_an_empty_text() -> None:
    stamp = Stamp(attribution(team="core"), "key_1", attributes_win=False)
    assert written(event(1, team=""), stamp)["team"] == "core"


@pytest.mark.parametrize(
    ("field", "value", "code", "mention"),
    [
        ("event_id", None, "missing_event_id", "event_id"),
        ("event_id", "", "missing_event_id", "event_id"),
        ("event_id", "x", "invalid_event_id", "'x'"),
        ("event_id", 7, "invalid_event_id", "event_id"),
        ("started_at", None, "missing_started_at", "started_at"),
        ("started_at", "", "missing_started_at", "started_at"),
        ("started_at", 1790000000, "invalid_started_at", "started_at"),
        ("started_at", "yesterday", "invalid_started_at", "yesterday"),
        ("started_at", "2026-09-21T14:13:20", "invalid_started_at", "zone"),
        ("started_at", "2026-13-21T14:13:20.000000Z", "invalid_started_at", "2026-13"),
        ("started_at", "2026-02-30T14:13:20.000000Z", "invalid_started_at", "2026-02-30"),
        ("started_at", "2026-09-23T14:13:20.000000Z", "invalid_started_at", "ahead"),
        ("started_at", "1999-12-31T23:59:59Z", "invalid_started_at", "2000"),
        ("started_at", "0001-01-01T00:00:00+14:00", "invalid_started_at", "2000"),
        ("started_at", "9999-12-31T23:59:59-14:00", "invalid_started_at", "ahead"),
        ("source", "fax", "invalid_field", "gateway, sdk"),
        ("status", "great", "invalid_field", "cancelled"),
        ("team", 7, "invalid_field", "team"),
        ("attempt", 0, "invalid_field", "attempt"),
        ("http_status", 99999, "invalid_field", "http_status"),
        ("duration_ms", -1, "invalid_field", "duration_ms"),
        ("tags", ["a"], "invalid_field", "tags"),
        ("tags", {"a": {"b": 1}}, "invalid_field", "tags"),
        ("input_tokens", "many", "invalid_field", "input_tokens"),
        ("input_tokens", 1.5, "invalid_field", "input_tokens"),
        ("input_tokens", -1, "usage_violation", "input_tokens"),
        ("input_tokens", 10**13, "usage_violation", "input_tokens"),
        ("units", {"pages": -1}, "usage_violation", "units.pages"),
        ("units", {"pages": "two"}, "invalid_field", "units.pages"),
        ("units", {"pages": "NaN"}, "invalid_field", "units.pages"),
        ("by_model", [{"input_tokens": 1}], "invalid_field", "by_model"),
        ("by_model", [{"model": "m", "input_tokens": 1, "cache_read_tokens": 2}], "usage_violation", "cache_read"),
        ("cost_usd", "NaN", "invalid_field", "reported_cost_usd"),
        ("cost_usd", "a lot", "invalid_field", "cost_usd"),
        ("cost_usd", -1, "invalid_field", "reported_cost_usd"),
        ("reported_cost_usd", "1e9", "invalid_field", "reported_cost_usd"),
    ],
)
def test_refusals_say_what_and_where(field: str, value: object, code: str, mention: str) -> None:
    found, message = code_and_message({**event(1), field: value})

    assert (found, mention in message) == (code, True), message


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-09-21T14:13:20.123456Z", "2026-09-21T14:13:20.123456Z"),
        ("2026-09-21T14:13:20Z", "2026-09-21T14:13:20.000000Z"),
        ("2026-09-21T14:13:20.5Z", "2026-09-21T14:13:20.500000Z"),
        ("2026-09-21T16:13:20.000001+02:00", "2026-09-21T14:13:20.000001Z"),
        ("2026-09-21T09:13:20-05:00", "2026-09-21T14:13:20.000000Z"),
        ("2026-09-21T14:13:20.123456789Z", "2026-09-21T14:13:20.123456Z"),
        ("2000-01-01T00:00:00Z", "2000-01-01T00:00:00.000000Z"),
        ("2026-09-22T14:13:20.000000Z", "2026-09-22T14:13:20.000000Z"),
    ],
)
def test_times_become_utc_with_microseconds(given: str, kept: str) -> None:
    assert written({**event(1), "started_at": given})["started_at"] == kept


@pytest.mark.parametrize(
    "given",
    [
        "01890A5D-AC96-774B-BCCE-B302099A8057",
        "{01890a5d-ac96-774b-bcce-b302099a8057}",
        "01890a5dac96774bbcceb302099a8057",
    ],
)
def test_ids_are_written_canonically(given: str) -> None:
    assert written({**event(1), "event_id": given})["event_id"] == "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"cost_usd": "0.0125"}, "0.0125"),
        ({"cost_usd": 0.0125}, "0.0125"),
        ({"cost_usd": 12}, "12"),
        ({"cost_usd": "1E-6"}, "0.000001"),
        ({"cost_usd": "0.500"}, "0.5"),
        ({"cost_usd": "9", "reported_cost_usd": "0.1"}, "0.1"),
        ({"reported_cost_usd": "0"}, "0"),
    ],
)
def test_a_senders_cost_is_reported_not_believed(given: dict[str, Any], kept: str) -> None:
    record = written(event(1, **given))

    assert record["reported_cost_usd"] == kept
    assert "cost_usd" not in record


def test_over_long_texts_are_cut_and_numbers_in_tags_become_text() -> None:
    long = "ä" * (LONGEST_VALUE + 1)
    tags = {"n": 3, "f": 1.5, "yes": True, "none": None, "long": long}
    record = written(event(1, user_id=long, tags=tags))

    assert record["user_id"] == "ä" * LONGEST_VALUE
    assert record["tags"] == {"n": "3", "f": "1.5", "yes": "true", "long": "ä" * LONGEST_VALUE}


def test_tags_beyond_the_bound_are_left_out() -> None:
    assert len(written(event(1, tags={str(n): "x" for n in range(100)}))["tags"]) == 32


@pytest.mark.parametrize(
    ("given", "kept"), [(2, 2), (2.0, 2), ("2", 2), (1.5, "1.5"), ("0.10", "0.1"), (0, 0), ("1e2", 100)]
)
def test_units_are_exact(given: object, kept: object) -> None:
    assert written(event(1, units={"audio_seconds": given}))["units"] == {"audio_seconds": kept}


@pytest.mark.parametrize("broken", [b"\xff", b"\xc3"])
def test_a_text_cut_in_the_middle_of_a_character_is_no_reason_to_lose_an_event(broken: bytes) -> None:
    body = as_line(event(1, feature="?", input_tokens=5)).replace(b'"?"', b'"chat ' + broken + b'"')
    batch = validate_batch(body, NDJSON, NOW_US)

    ((_, line),) = batch.accepted_lines
    assert json.loads(line)["feature"].startswith("chat ")
    assert json.loads(line)["input_tokens"] == 5


@pytest.mark.parametrize("form", ["array", "lines", "one"])
@pytest.mark.parametrize(
    "odd",
    [b"NaN", b"-Infinity", rb'"\ud83d"', rb'{"\udc00": 1}', b"[" * 9000 + b"]" * 9000, b'{"a":' * 5000 + b"}" * 5000],
)
def test_an_event_that_is_no_json_harms_no_other(odd: bytes, form: str) -> None:
    good, bad = as_line(event(1, feature='say "hi" ], }')), as_line(event(2, tags="?")).replace(b'"?"', odd)
    items = [bad] if form == "one" else [good, bad, as_line(event(3))]
    body = b"[" + b" , ".join(items) + b"]" if form == "array" else b"\n".join(items)
    batch = validate_batch(body, JSON, NOW_US)

    assert [one for one, _ in batch.accepted_lines] == ([] if form == "one" else [event_id(1), event_id(3)])
    assert [bad["index"] for bad in batch.rejected] == [items.index(bad)]


@pytest.mark.parametrize("body", [b"[NaN", b"[NaN,]", b"[NaN,,1]", b"[NaN]]", b"[NaN}", b'[NaN,"x]', b"[NaN] x"])
def test_an_array_that_cannot_be_taken_apart_is_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(UsageError, match="not a whole JSON array"):
        validate_batch(body, JSON, NOW_US)


@given(st.lists(st.lists(st.integers() | st.text() | st.dictionaries(st.text(), st.text())), min_size=1))
def test_an_array_is_taken_apart_as_it_was_put_together(items: list[Any]) -> None:
    assert [json.loads(item) for item in split_items(json.dumps(items).encode())] == items


def test_short_names_are_taken_where_the_full_ones_are_absent() -> None:
    record = written(event(1, request_model=None, model="gpt-4o", user="ann", session="s1"))
    assert (record["request_model"], record["user_id"], record["session_id"]) == ("gpt-4o", "ann", "s1")
    assert set(record).isdisjoint(wire.ALIASES)
    assert written(event(1, request_model="full", model="short"))["request_model"] == "full"


@given(st.fixed_dictionaries({}, optional={name: st.integers(-1, 30) | st.none() for name in TOKEN_CLASSES}))
def test_an_event_is_taken_exactly_when_its_counts_add_up(counts: dict[str, int | None]) -> None:
    batch = validated(event(1, **counts))
    found = violations(Usage(**counts))  # type: ignore[arg-type]

    assert [bad["code"] for bad in batch.rejected] == ["usage_violation"] * bool(found)
    if found:
        assert any(violation.field in batch.rejected[0]["message"] for violation in found)


@pytest.mark.parametrize("part", [*INPUT_PARTS, *OUTPUT_PARTS])
def test_a_part_never_exceeds_its_whole(part: str) -> None:
    whole = "output_tokens" if part in OUTPUT_PARTS else "input_tokens"
    assert written(event(1, **{whole: 5, part: 5}))[part] == 5
    code, message = code_and_message(event(1, **{whole: 5, part: 6}))
    assert (code, part in message) == ("usage_violation", True)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.lists(st.dictionaries(st.sampled_from(FIELD_NAMES) | st.text(max_size=5), JSON_VALUES, max_size=8), max_size=4)
)
def test_any_json_is_taken_or_refused_with_a_code(items: list[dict[str, Any]]) -> None:
    batch = validated(*items)

    assert len(batch.accepted_lines) + len(batch.rejected) == len(items)
    for _, line in batch.accepted_lines:
        assert None not in json.loads(line).values()
        assert set(json.loads(line)) <= set(FIELD_NAMES)


@given(st.binary(max_size=60))
def test_any_bytes_are_lines_to_be_refused(body: bytes) -> None:
    batch = validate_batch(body, NDJSON, NOW_US)

    assert batch.accepted_lines == []
    assert {bad["code"] for bad in batch.rejected} <= set(wire.CODES)


# -- what the receiving side adds ------------------------------------------------------------------------------


def test_attributes_of_a_key_win_over_the_events_own() -> None:
    stamp = Stamp(attribution(team="core", user="bound", cost_centre="42"), "key_1")
    record = written(event(1, team="other", feature="mine", tags={"k": "v", "cost_centre": "7"}), stamp)

    assert (record["team"], record["user_id"], record["feature"]) == ("core", "bound", "mine")
    assert record["tags"] == {"k": "v", "cost_centre": "42"}
    assert record["api_key_id"] == "key_1"


def test_attributes_of_a_key_that_does_not_win_fill_in_what_an_event_leaves_out() -> None:
    stamp = Stamp(attribution(team="core", user="bound", cost_centre="42", plan="pro"), "key_1", attributes_win=False)
    record = written(event(1, team="other", tags={"k": "v", "cost_centre": "7", "plan": None}), stamp)

    assert (record["team"], record["user_id"], record["api_key_id"]) == ("other", "bound", "key_1")
    assert record["tags"] == {"k": "v", "cost_centre": "7", "plan": "pro"}


def test_the_key_that_made_the_call_is_kept() -> None:
    assert written(event(1, api_key_id="gw_1"), Stamp(api_key_id="key_1"))["api_key_id"] == "gw_1"
