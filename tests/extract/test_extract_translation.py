"""Sessions in which OpenAI translates speech: nothing tells what they used but the place of each piece in the sound."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

import pytest

from taximeter.core.cost import Cost
from taximeter.core.usage import NOTHING_COUNTED, Usage
from taximeter.extract import Flavour, Reading, flavour_for
from taximeter.pricing import Priceable, load_price_book

MODEL = "gpt-realtime-translate"
CREATED = {"type": "session.created", "session": {"id": "sess_1", "type": "translation", "model": MODEL}}
CLOSED = {"type": "session.closed", "event_id": "e9"}
WORDS = {"type": "session.output_transcript.delta", "delta": "Hola", "elapsed_ms": 1200}
REFUSED = {"type": "error", "error": {"type": "invalid_request_error", "code": "model_not_found"}}
NOVEMBER = 1_796_000_000_000_000


def flavour() -> Flavour:
    found = flavour_for("openai", "GET", "/v1/realtime/translations?model=gpt-realtime-translate")
    assert found is not None
    return found


def read(*events: Mapping[str, object], model: str | None = MODEL) -> Reading:
    told = flavour().stream(flavour().read_request({"model": model}))
    for event in events:
        told.feed(json.dumps(event).encode() + b"\n")
    return told.reading()


def sound(elapsed_ms: object) -> dict[str, object]:
    return {"type": "session.output_audio.delta", "delta": "AAAA", "elapsed_ms": elapsed_ms}


def heard(seconds: str) -> Usage:
    return Usage(units={"audio_seconds": Decimal(seconds)})


def test_a_session_costs_the_minutes_of_its_sound() -> None:
    told = read(CREATED, sound(1000), WORDS, sound(90_000), CLOSED)
    assert (told.usage, told.usage_estimated, told.finished) == (heard("90"), True, True)
    assert (told.response_model, told.response_id) == (MODEL, "sess_1")
    cost = load_price_book().price(Priceable("openai", MODEL, NOVEMBER, told.usage))
    assert isinstance(cost, Cost)
    assert cost.total == Decimal("0.051")


@pytest.mark.parametrize(
    ("events", "usage"),
    [
        ((CREATED, sound(600), sound(400)), heard("0.6")),  # broken off; what comes late is no step back
        ((CREATED, WORDS), heard("1.2")),
        ((CREATED, {"type": "session.input_transcript.delta", "delta": "Hello", "elapsed_ms": 2000}), heard("2")),
        ((CREATED, sound(None)), NOTHING_COUNTED),
        ((CREATED, sound("x"), sound(-200)), NOTHING_COUNTED),
        ((CREATED, CLOSED), NOTHING_COUNTED),
    ],
)
def test_the_last_place_in_the_sound_is_what_was_listened_to(
    events: tuple[Mapping[str, object], ...], usage: Usage
) -> None:
    assert read(*events).usage == usage


def test_a_session_that_is_refused_costs_nothing_and_errors_within_one_do_not_end_it() -> None:
    refused = read(REFUSED, model="no-such-model")
    assert (refused.not_billed, refused.error_type) == (True, "invalid_request_error")
    went_on = read(CREATED, sound(200), REFUSED, sound(400))
    assert (went_on.not_billed, went_on.error_type, went_on.usage) == (False, None, heard("0.4"))


def test_the_keys_of_such_sessions_cost_nothing_themselves() -> None:
    keys = flavour_for("openai", "POST", "/v1/realtime/translations/client_secrets")
    assert keys is not None
    assert (keys.billed, keys.charged_later) == (False, True)
