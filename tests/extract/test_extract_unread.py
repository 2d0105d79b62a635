"""Answers that are spooled unread: one line, one event, whoever reads it."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.core.ids import EventIds, parse_event_id, unix_ms_of
from taximeter.extract import KINDS
from taximeter.extract.flavour import Route
from taximeter.extract.unread import FLAVOURS, PREFIX, event_id, finished

STARTED_US = 1_790_000_000_123_456
RANDOM_PART = "7abc-8def-0123456789ab"
USAGE = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}
GIST = {"id": "chatcmpl-1", "model": "gpt-4o-mini-2024-07-18", "service_tier": "default", "usage": USAGE}


def line(gist: object, *, flavour: str = "openai.chat", took_us: int = 1_234_567, members: str = "") -> bytes:
    said = json.dumps([flavour, STARTED_US, took_us, RANDOM_PART, gist], separators=(",", ":"))
    return f'{{"unread":{said}{members}}}'.encode()


def event(gist: object, **how: Any) -> dict[str, Any]:
    return dict(json.loads(finished(line(gist, **how))))


def test_the_event_of_an_answer() -> None:
    assert event(GIST, members=',"source":"sdk","provider":"openai","tags":{"unread":"[","a":"]}"}') == {
        "event_id": "01a0c450-6c7b-7abc-8def-0123456789ab",
        "started_at": "2026-09-21T14:13:20.123456Z",
        "source": "sdk",
        "provider": "openai",
        "tags": {"unread": "[", "a": "]}"},
        "status": "ok",
        "attempt": 1,
        "duration_ms": 1234.567,
        "http_status": 200,
        "response_model": "gpt-4o-mini-2024-07-18",
        "response_id": "chatcmpl-1",
        "service_tier": "default",
        "input_tokens": 19,
        "output_tokens": 10,
    }


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        ({**USAGE, "cost": 0.00012}, {"reported_cost_usd": "0.00012"}),
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 30}}, {"usage_conflict": True, "cache_read_tokens": 19}),
        ({**USAGE, "server_tool_use_details": {"web_search_requests": 2}}, {"units": {"web_searches": 2}}),
        ({**USAGE, "prompt_tokens": -1}, {"usage_conflict": True, "input_tokens": 0}),
    ],
)
def test_what_few_answers_say_is_read_as_well(usage: dict[str, Any], said: dict[str, Any]) -> None:
    assert event({**GIST, "usage": usage}).items() >= said.items()


@given(took_us=st.integers(0, 10**11), members=st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=3))
def test_the_id_is_found_without_reading_the_answer(took_us: int, members: dict[str, str]) -> None:
    tags = "," + json.dumps({"tags": members}, ensure_ascii=False)[1:-1]
    spooled = line(GIST, took_us=took_us, members=tags)
    found = json.loads(finished(spooled))
    assert found["event_id"] == event_id(spooled) == parse_event_id(found["event_id"])
    assert unix_ms_of(found["event_id"]) == STARTED_US // 1000
    assert found["duration_ms"] == took_us / 1000
    assert found["tags"] == members


def test_random_parts_make_ids_of_version_seven() -> None:
    ids = EventIds(lambda size: b"\xff" * size)
    assert event_id(line(GIST).replace(RANDOM_PART.encode(), ids.prepare().encode())).startswith(
        "01a0c450-6c7b-7fff-bfff"
    )


@pytest.mark.parametrize(
    "spooled",
    [
        line(GIST, flavour="a.later.one"),
        line(GIST)[:-40],
        line(GIST).replace(b"1790000000123456", b'"now"'),
        line(GIST).replace(f'"{RANDOM_PART}"'.encode(), b"7"),
        b'{"unread":[]}',
        b'{"unread":["openai.chat",1,2]}',
        b'{"unread":["openai.chat",1e400,1,"x",{}]}',
        b'{"unread":["openai.chat",99999999999999999999999,1,"x",{}]}',
        b'{"unread":["openai.chat",1,1,"\xff",{}]}',
        b'{"unread":' + b"[" * 100_000,
        PREFIX,
    ],
)
def test_a_line_that_nobody_can_read_stays_as_it_is(spooled: bytes) -> None:
    assert finished(spooled) == spooled
    assert isinstance(event_id(spooled), str)


def test_every_flavour_with_a_gist_is_found_again_by_its_name() -> None:
    routes: list[Route] = [
        route
        for module in {module for modules in KINDS.values() for module in modules}
        for route in import_module(f"taximeter.extract.{module}").ROUTES
    ]
    with_gist = {route.flavour.name: route.flavour for route in routes if route.flavour.gist is not None}
    assert with_gist.keys() == FLAVOURS.keys()
    for name, (module, attribute) in FLAVOURS.items():
        named = getattr(import_module(f"taximeter.extract.{module}"), attribute)
        assert (named.name, named.read_body) == (name, with_gist[name].read_body)
