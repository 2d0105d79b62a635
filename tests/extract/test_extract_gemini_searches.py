"""Searches of Google, and of its maps, that a Gemini model made: told beside the tokens, and paid apart from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from wires import on_the_wire

from taximeter.core.usage import Usage
from taximeter.extract import Flavour, Reading, flavour_for
from taximeter.extract.gemini import MOST_DETAILS

COUNTS = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}


def flavour(path: str, method: str = "POST") -> Flavour:
    found = flavour_for("gemini", method, path, polled=True)
    assert found is not None
    return found


GENERATE = flavour("/v1beta/models/gemini-3-flash:generateContent")
STREAM = flavour("/v1beta/models/gemini-3-flash:streamGenerateContent")
INTERACTION = flavour("/v1beta/interactions")
LIVE = flavour("/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent", "GET")


def counted(searches: int, maps: int = 0) -> Usage:
    units = {"web_searches": searches, "maps_searches": maps}
    return Usage(input_tokens=3, output_tokens=2, units={unit: times for unit, times in units.items() if times})


def candidate(*queries: object) -> dict[str, Any]:
    return {"finishReason": "STOP", "groundingMetadata": {"webSearchQueries": list(queries)}}


def streamed(speaks: Flavour, *events: Mapping[str, Any]) -> Reading:
    reader = speaks.stream()
    for event in events:
        reader.feed(on_the_wire(speaks, event))
    return reader.reading()


QUERIES = [
    ([], 0),
    (["weather in Oslo"], 1),
    (["weather in Oslo", "news of today"], 2),
    (["weather in Oslo", "weather in Oslo"], 1),
    (["", " ", "weather in Oslo"], 1),
    ([None, 7, "weather in Oslo"], 1),
]


@pytest.mark.parametrize(("queries", "searches"), QUERIES)
def test_each_different_query_is_a_search(queries: list[object], searches: int) -> None:
    whole = {"candidates": [candidate(*queries)], "usageMetadata": COUNTS}
    assert GENERATE.read_answer(200, whole).usage == counted(searches)
    assert STREAM.read_answer(200, [whole]).usage == counted(searches)
    assert streamed(STREAM, whole).usage == counted(searches)


def test_queries_of_all_candidates_and_chunks_count_once() -> None:
    first, second = candidate("one", "two"), {"index": 1, **candidate("two", "three")}
    assert GENERATE.read_answer(200, {"candidates": [first, second], "usageMetadata": COUNTS}).usage == counted(3)
    chunks: list[dict[str, Any]] = [{"candidates": [first]}, {"candidates": [second]}, {"usageMetadata": COUNTS}]
    assert streamed(STREAM, *chunks).usage == counted(3)


PLACE = {"maps": {"uri": "https://maps.google.com/?cid=1", "title": "Joe's Pizza", "placeId": "places/ChIJqd"}}
PAGE = {"web": {"uri": "https://example.com", "title": "Pizza"}, "maps": None}
MAPS: list[tuple[dict[str, Any], tuple[int, int]]] = [
    ({"groundingChunks": [PLACE, PLACE]}, (0, 1)),  # the Gemini API need not tell what was asked
    ({"groundingChunks": [PLACE], "googleMapsWidgetContextToken": "w"}, (0, 1)),
    ({"groundingChunks": [PLACE], "retrievalQueries": ["pizza near me"]}, (0, 1)),  # Vertex AI, and the next
    ({"groundingChunks": [PLACE], "retrievalQueries": ["pizza near me", "bars near me", "pizza near me"]}, (0, 2)),
    ({"groundingChunks": [PLACE], "webSearchQueries": ["pizza near me"]}, (0, 1)),  # it does
    ({"groundingChunks": [PLACE], "webSearchQueries": ["pizza", "bars"], "retrievalQueries": ["bars"]}, (0, 2)),
    ({"groundingChunks": [PAGE, PLACE], "webSearchQueries": ["pizza", "bars", "cafes"]}, (3, 1)),
    ({"groundingChunks": [PAGE], "webSearchQueries": ["pizza"]}, (1, 0)),
    ({"groundingChunks": [{"retrievedContext": {}}], "retrievalQueries": ["pizza"]}, (0, 0)),  # a store of one's own
    ({"groundingChunks": [None, "text", {"maps": {}}]}, (0, 0)),
]


@pytest.mark.parametrize(("grounding", "searches"), MAPS)
def test_places_in_an_answer_tell_of_searches_of_maps(grounding: dict[str, Any], searches: tuple[int, int]) -> None:
    whole = {"candidates": [{"finishReason": "STOP", "groundingMetadata": grounding}], "usageMetadata": COUNTS}
    assert GENERATE.read_answer(200, whole).usage == counted(*searches)
    assert STREAM.read_answer(200, [whole]).usage == counted(*searches)
    assert streamed(STREAM, whole, whole).usage == counted(*searches)


def test_places_before_what_was_asked_for_them_are_one_search() -> None:
    parts = [{"groundingChunks": [PLACE]}, {"groundingChunks": [PLACE], "retrievalQueries": ["pizza near me"]}]
    chunks = [{"candidates": [{"groundingMetadata": part}]} for part in parts]
    assert streamed(STREAM, *chunks, {"usageMetadata": COUNTS}).usage == counted(0, 1)


@pytest.mark.parametrize("odd", [None, [], "text", 7, {"webSearchQueries": None}, {"retrievalQueries": ["one"]}])
def test_grounding_without_queries_is_no_search(odd: object) -> None:
    body = {"candidates": [{"groundingMetadata": odd}], "usageMetadata": COUNTS}
    assert GENERATE.read_answer(200, body).usage == counted(0)


def test_searches_alone_are_no_usage() -> None:
    assert not GENERATE.read_answer(200, {"candidates": [candidate("one")]}).usage.known
    assert not streamed(STREAM, {"candidates": [candidate("one")]}).usage.known


TOLD = {"total_input_tokens": 3, "total_output_tokens": 2}
CALL = {"type": "google_search_call", "arguments": {"queries": ["one", "two"]}}
CALL_OF_MAPS = {"type": "google_maps_call", "arguments": {"queries": ["one"]}}


def interaction(**told: Any) -> dict[str, Any]:
    return {"id": "i", "status": "completed", "model": "gemini-3-flash", **told}


def test_an_interaction_counts_its_searches_in_its_usage() -> None:
    tools = [{"type": "google_search", "count": 3}, {"type": "google_maps", "count": 1}]
    whole = interaction(usage={**TOLD, "grounding_tool_count": tools}, steps=[CALL])
    assert INTERACTION.read_answer(200, whole).usage == counted(3, 1)
    assert streamed(INTERACTION, {"event_type": "interaction.completed", "interaction": whole}).usage == counted(3, 1)


def test_an_interaction_without_that_count_shows_its_queries() -> None:
    assert INTERACTION.read_answer(200, interaction(usage=TOLD, steps=[CALL, {"type": "thought"}])).usage == counted(2)
    end = {"event_type": "interaction.completed", "interaction": interaction(usage=TOLD)}
    asked = {"event_type": "step.delta", "delta": CALL}
    located = {"event_type": "step.delta", "delta": CALL_OF_MAPS}
    assert streamed(INTERACTION, asked, asked, end).usage == counted(2)
    assert streamed(INTERACTION, asked, located, located, end).usage == counted(2, 1)
    assert INTERACTION.read_answer(200, interaction(usage=TOLD, steps=[CALL_OF_MAPS])).usage == counted(0, 1)


def test_a_turn_of_a_session_has_the_searches_since_the_last_one() -> None:
    grounded = {"serverContent": {"groundingMetadata": {"webSearchQueries": ["one"]}}}
    used = {"usageMetadata": {"promptTokenCount": 3, "responseTokenCount": 2}}
    assert [turn.usage for turn in streamed(LIVE, grounded, used, used).items] == [counted(1), counted(0)]


def test_the_queries_that_are_remembered_have_a_bound() -> None:
    grounding = [{"webSearchQueries": [f"{message} {query}" for query in range(60)]} for message in range(20)]
    heard = [{"serverContent": {"groundingMetadata": each}} for each in grounding]
    (turn,) = streamed(LIVE, *heard, {"usageMetadata": {"promptTokenCount": 3, "responseTokenCount": 2}}).items
    written = streamed(
        STREAM, *({"candidates": [{"groundingMetadata": each}]} for each in grounding), {"usageMetadata": COUNTS}
    )
    for usage in (turn.usage, written.usage):
        assert MOST_DETAILS <= usage.units["web_searches"] < 2 * MOST_DETAILS
