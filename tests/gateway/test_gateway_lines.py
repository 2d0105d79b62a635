"""The lines that the gateway writes say what records say."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest

from taximeter.core.attribution import DIMENSIONS, Attribution
from taximeter.core.event import UsageEvent, as_record
from taximeter.core.usage import TOKEN_CLASSES, Usage
from taximeter.gateway.call import Call
from taximeter.gateway.lines import begin_line, event_line, known_part, progress_line

BARE = UsageEvent(event_id="e", started_at_us=1, source="gateway", status="ok", provider="openai")
SHARE = Usage(input_tokens=1, units={"web_searches": 2, "audio_seconds": Decimal("0.5")})

SAID: tuple[dict[str, Any], ...] = (
    {},
    {"request_model": "a", "response_model": "b", "operation": "chat", "service_tier": "flex", "region": "eu"},
    {"http_status": 429, "error_type": "rate_limit", "status": "error", "attempt": 3},
    {"request_id": "r", "response_id": "a", "trace_id": "t", "span_id": "s", "api_key_id": "k"},
    {"duration_ms": 1.23456, "time_to_first_token_ms": 0.0},
    {"attribution": Attribution(**{name: name for name in DIMENSIONS}, tags={"a": "1", "b": "2"})},
    {"usage": Usage(**dict[str, Any](zip(TOKEN_CLASSES, range(12), strict=True)))},
    {"usage": SHARE},
    {"by_model": (("a", SHARE), ("b", Usage(output_tokens=0)))},
    {"not_billed": True},
    {"usage_estimated": True},
    {"usage_conflict": True},
    {"reported_cost_usd": Decimal("0.000000000001")},
    {"reported_cost_usd": Decimal(0)},
)
EVERYTHING = {name: value for said in SAID for name, value in said.items()}
EVENTS = [replace(BARE, **said) for said in (*SAID, EVERYTHING)]


def test_the_table_says_everything_that_an_event_can_say() -> None:
    always = {"event_id", "started_at_us", "source", "provider"}
    assert EVERYTHING.keys() | always == {field.name for field in fields(UsageEvent)}


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_written_as_its_record(event: UsageEvent) -> None:
    assert json.loads(event_line(event)) == as_record(event)


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_whose_begin_record_was_written_is_written_the_same(event: UsageEvent) -> None:
    assert json.loads(event_line(event, known_part(known(event)))) == as_record(event)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("held", [None, {"team-month": 5}])
@pytest.mark.parametrize("region", [None, "us-east5"])
def test_a_begin_record_is_what_is_known_of_the_event(
    event: UsageEvent, held: dict[str, int] | None, region: str | None
) -> None:
    call = Call(event.event_id, event.started_at_us, 0.0, event.provider, region)
    call.known |= known(event)
    record = {**as_record(call.begun()), "record": "begin", "expected_output_tokens": 7}
    del record["status"]
    if held is not None:
        record["held"] = held
    assert record.get("region") == region
    assert json.loads(begin_line(known_part(call.known), event.request_id, region, None, 7, held)) == record
    with_input = json.loads(begin_line(known_part(call.known), event.request_id, region, 9, 7, held))
    assert with_input == {**record, "input_tokens": 9}


def known(event: UsageEvent) -> dict[str, Any]:
    """What a gateway knows of it when it leaves."""
    names = ("event_id", "started_at_us", "source", "provider", "request_model", "operation", "attempt", "request_id")
    more = ("trace_id", "span_id", "api_key_id", "attribution")
    return {name: getattr(event, name) for name in (*names, *more)}


@pytest.mark.parametrize("held", [{}, {"held": {"team-month": 5}}])
def test_how_far_a_stream_has_come(held: dict[str, dict[str, int]]) -> None:
    line = json.loads(progress_line("e", 9, held.get("held")))
    assert line == {"record": "progress", "event_id": "e", "output_tokens": 9, **held}
