"""Sessions of GPT-Live: time that is told again and again, and the responses that a session delegates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from taximeter.core.cost import Cost
from taximeter.core.usage import Usage
from taximeter.extract import Reading, StreamReader, flavour_for
from taximeter.extract.openai_live import MOST_DELEGATIONS, MOST_SESSIONS, CountedSeconds
from taximeter.pricing import Priceable, load_price_book

START = {"type": "session.start", "session": {"model": "gpt-live-1", "instructions": "Be brief."}}
STARTED = {"type": "session.started", "session": {"id": "live_1", "model": "gpt-live-1"}}
SPOKEN = {"type": "session.output_audio.delta", "delta": "AAAA"}
REFUSED = {"type": "error", "error": {"type": "invalid_request_error", "code": "unknown_parameter", "message": "no"}}
NOVEMBER = 1_796_000_000_000_000


def so_far(seconds: object) -> dict[str, Any]:
    return {"type": "session.usage.updated", "usage": {"seconds": seconds}}


def closed(seconds: object) -> dict[str, Any]:
    return {"type": "session.closed", "reason": "close_requested", "usage": {"seconds": seconds}}


def delegated(event: Mapping[str, Any], delegation: str | None = "d1") -> dict[str, Any]:
    return {"type": "response.event", "delegation_id": delegation, "event": event}


def completed(read: int, written: int, delegation: str | None = "d1", **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    response = {"id": "resp_1", "model": "gpt-5.5", "status": "completed", "usage": usage, "output": [], **more}
    return delegated({"type": "response.completed", "response": response}, delegation)


def reader() -> StreamReader:
    flavour = flavour_for("openai", "GET", "/v1/live/sessions")
    assert flavour is not None
    return flavour.stream(flavour.read_request(START))


def read(*events: Mapping[str, Any]) -> Reading:
    told = reader()
    for event in events:
        told.feed(json.dumps(event).encode() + b"\n")
    return told.reading()


def spoken(seconds: str) -> Usage:
    return Usage(units={"audio_seconds": Decimal(seconds)})


def test_the_first_message_names_the_model() -> None:
    flavour = flavour_for("openai", "GET", "/v1/live/sessions")
    assert flavour is not None
    facts = flavour.read_request(START)
    assert (facts.operation, facts.model, facts.stream) == ("realtime", "gpt-live-1", True)


def test_a_session_costs_its_seconds_as_they_were_told_last() -> None:
    told = read(STARTED, so_far(4), SPOKEN, so_far(12.5), closed(90.25))
    assert (told.usage, told.by_model, told.finished) == (spoken("90.25"), (), True)
    assert (told.response_model, told.response_id, told.error_type) == ("gpt-live-1", "live_1", None)


def test_a_session_that_is_cut_off_has_the_seconds_so_far() -> None:
    told = read(STARTED, so_far(4), SPOKEN, so_far(12.5))
    assert (told.usage, told.finished, told.not_billed) == (spoken("12.5"), False, False)


@pytest.mark.parametrize("odd", [None, "many", -1, True, [], {}, 2])
def test_seconds_that_are_none_and_those_that_shrink_are_passed_over(odd: object) -> None:
    assert read(STARTED, so_far(3), so_far(odd)).usage == spoken("3")


def test_delegated_responses_are_counted_beside_and_priced_as_their_own_model() -> None:
    told = read(STARTED, so_far(10), completed(1_000, 100), so_far(30), completed(2_000, 50, None), closed(60))
    delegated_usage = Usage(input_tokens=3_000, output_tokens=150)
    assert dict(told.by_model) == {"gpt-live-1": spoken("60"), "gpt-5.5": delegated_usage}
    assert (told.usage.input_tokens, told.usage.output_tokens, told.usage.units) == (3_000, 150, spoken("60").units)
    assert (told.response_model, told.response_id) == ("gpt-live-1", "live_1")
    book = load_price_book()
    whole = book.price(Priceable("openai", "gpt-live-1", NOVEMBER, told.usage, by_model=told.by_model))
    alone = book.price(Priceable("openai", "gpt-5.5", NOVEMBER, delegated_usage))
    assert isinstance(whole, Cost)
    assert isinstance(alone, Cost)
    assert whole.total == alone.total + Decimal("0.05")


def test_a_delegated_response_that_comes_before_any_seconds_is_not_priced_as_the_voice() -> None:
    told = read(STARTED, completed(1_000, 100))
    assert told.by_model == (("gpt-5.5", Usage(input_tokens=1_000, output_tokens=100)),)
    assert told.response_model == "gpt-live-1"


def test_searches_of_a_delegated_response_are_counted_though_its_end_leaves_them_out() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    item = delegated({"type": "response.output_item.done", "item": search})
    told = read(STARTED, so_far(1), item, completed(5, 1, "d2"), completed(10, 2), closed(6))
    assert told.usage.units == {"audio_seconds": Decimal(6), "web_searches": 1}
    assert told.usage.input_tokens == 15


def test_a_delegated_response_under_way_counts_when_it_ends() -> None:
    created = delegated({"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5.5"}})
    assert read(STARTED, so_far(1), created).by_model == ()


def test_more_delegations_at_a_time_than_are_held_are_passed_over() -> None:
    created = {"type": "response.created", "response": {"id": "r", "model": "gpt-5.5"}}
    opened = [delegated(created, f"d{number}") for number in range(MOST_DELEGATIONS)]
    told = read(STARTED, *opened, completed(7, 1, "one more"), completed(10, 2, "d0"), completed(1, 1, "and one more"))
    assert told.usage.input_tokens == 11


def test_decisions_that_are_delegated_are_counted() -> None:
    usage = {"input_tokens": 40, "output_tokens": 0, "total_tokens": 40}
    decision = {"id": "dec_1", "model": "gpt-5.6-luna", "answers": [], "usage": usage}
    event = {"type": "decision.event", "event": {"type": "decision.completed", "decision": decision}}
    told = read(STARTED, event, closed(3))
    assert dict(told.by_model)["gpt-5.6-luna"].input_tokens == 40


def test_a_session_that_is_refused_is_not_billed_and_a_later_error_is_nothing() -> None:
    refused = read(REFUSED)
    assert (refused.error_type, refused.not_billed, refused.finished) == ("invalid_request_error", True, True)
    recovered = read(STARTED, so_far(2), REFUSED, closed(5))
    assert (recovered.error_type, recovered.not_billed, recovered.usage) == (None, False, spoken("5"))


def rest(counted: CountedSeconds, path: str, *events: Mapping[str, Any]) -> Reading:
    flavour = flavour_for("openai", "GET", f"/v1/live/sessions{path}")
    assert flavour is not None
    return counted.rest("openai", flavour, read(*events))


def test_further_connections_to_a_session_add_what_those_before_were_not_counted_with() -> None:
    counted = CountedSeconds()
    assert rest(counted, "/live_1/attach", so_far(40)).usage == spoken("40")
    again = rest(counted, "/live_1/attach", so_far(40), completed(1_000, 100), so_far(70))
    assert dict(again.by_model) == {"gpt-live-1": spoken("30"), "gpt-5.5": Usage(input_tokens=1_000, output_tokens=100)}
    assert again.usage.units == {"audio_seconds": Decimal(30)}
    assert rest(counted, "", STARTED, closed(90.5)).usage == spoken("20.5")
    assert rest(counted, "/live_2/attach", so_far(5)).usage == spoken("5")


def test_a_connection_that_adds_nothing_is_not_billed() -> None:
    counted = CountedSeconds()
    rest(counted, "", STARTED, closed(60))
    late = rest(counted, "/live_1/attach", so_far(60))
    assert (late.usage.known, late.not_billed) == (False, True)
    told = rest(counted, "/live_1/attach", so_far(60), completed(10, 2))
    assert (told.by_model, told.not_billed) == ((("gpt-5.5", Usage(input_tokens=10, output_tokens=2)),), False)


def test_a_session_that_goes_on_from_a_stored_one_has_seconds_of_its_own() -> None:
    counted = CountedSeconds()
    rest(counted, "", STARTED, closed(60))
    forked = {"type": "session.started", "session": {"id": "live_2", "model": "gpt-live-1"}}
    assert rest(counted, "/live_1/fork", forked, closed(10)).usage == spoken("10")


def test_so_many_sessions_are_remembered() -> None:
    counted = CountedSeconds()
    for number in range(MOST_SESSIONS + 1):
        rest(counted, f"/{number}/attach", so_far(1))
    assert [rest(counted, f"/{number}/attach", so_far(1)).not_billed for number in (1, 0)] == [True, False]


@pytest.mark.parametrize("odd", [None, 1, "x", [], {}, [{}]])
@pytest.mark.parametrize("field", ["session", "usage", "event", "delegation_id", "error"])
@pytest.mark.parametrize("kind", ["session.started", "session.closed", "response.event", "decision.event", "error"])
def test_malformed_events_raise_nothing(kind: str, field: str, odd: object) -> None:
    assert read({"type": kind, field: odd}).usage.known is False


def test_a_reading_in_between_leaves_the_session_as_it_was() -> None:
    told = reader()
    created = delegated({"type": "response.created", "response": {"id": "r", "model": "gpt-5.5"}})
    told.feed(b"".join(json.dumps(event).encode() + b"\n" for event in (STARTED, created)))
    told.feed(json.dumps(completed(10, 2)).encode())  # its line has not ended
    assert [told.reading().usage.input_tokens for _ in range(2)] == [10, 10]
    told.feed(b"\n")
    assert told.reading().usage.input_tokens == 10


def test_the_newer_voice_has_the_price_of_a_minute() -> None:
    cost = load_price_book().price(Priceable("openai", "gpt-live-1.1", NOVEMBER, spoken("90")))
    assert isinstance(cost, Cost)
    assert cost.total == Decimal("0.075")
