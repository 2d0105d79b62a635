"""Gemini's options in either spelling, wherever they stand."""

from __future__ import annotations

from typing import Any

import pytest

from taximeter.extract.gemini import read_request
from taximeter.extract.gemini_options import options_named, places_of, spellings

CAMEL, SNAKE = "maxOutputTokens", "max_output_tokens"


def test_a_name_in_both_spellings() -> None:
    assert spellings(CAMEL) == (CAMEL, SNAKE)


def test_the_usual_place_is_the_last() -> None:
    assert places_of(CAMEL)[-1] == "generationConfig.maxOutputTokens"
    assert len(set(places_of(CAMEL))) == 4


@pytest.mark.parametrize("place", places_of(CAMEL))
def test_an_allowance_is_read_wherever_it_stands(place: str) -> None:
    group, _, field = place.partition(".")
    body: dict[str, Any] = {group: {field: 40}, "contents": []}
    assert options_named(body, CAMEL) == [40]
    assert read_request(body).max_output_tokens == 40


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({}, []),
        ({"generationConfig": None, "generation_config": "no object"}, []),
        ({"generationConfig": {CAMEL: 5, SNAKE: 6}, "generation_config": {SNAKE: 7}}, [5, 6, 7]),
    ],
)
def test_all_that_is_said_of_an_option_is_found(body: dict[str, Any], found: list[int]) -> None:
    assert options_named(body, CAMEL) == found


def test_an_allowance_that_only_the_other_group_states_is_read() -> None:
    body: dict[str, Any] = {"generationConfig": {"temperature": 0}, "generation_config": {SNAKE: 9}}
    assert read_request(body).max_output_tokens == 9
