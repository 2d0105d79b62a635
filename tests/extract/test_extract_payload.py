"""Values inside payloads: money without lost digits, counts, and how much text there is."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_answers import CASES

from taximeter.extract import estimated_tokens
from taximeter.extract.payload import LONGEST_NAME, characters, count, text, usd


class NumberText(str):
    """A JSON number as it was written."""


def recorded_costs() -> list[str]:
    """The texts of all cost numbers in the recordings, before any float is made of them."""
    found: list[str] = []

    def keep(pairs: list[tuple[str, object]]) -> None:
        found.extend(value for key, value in pairs if "cost" in key and isinstance(value, NumberText))

    for path in CASES.glob("*.json"):
        for line in (json.loads(path.read_text())["response"].get("body") or "").splitlines():
            with suppress(ValueError):
                json.loads(line.removeprefix("data:"), parse_float=NumberText, object_pairs_hook=keep)
    return found


def test_every_amount_recorded_survives_a_json_decoder_that_makes_floats() -> None:
    costs = recorded_costs()
    assert len(costs) > 20
    for cost in costs:
        assert usd(json.loads(cost)) == Decimal(cost)


@given(
    st.decimals(min_value=0, max_value=1000, allow_nan=False, places=12).filter(
        lambda d: len(d.as_tuple().digits) <= 15
    )
)
def test_fifteen_digits_survive_a_double(amount: Decimal) -> None:
    assert usd(float(str(amount))) == amount


@pytest.mark.parametrize("odd", [None, True, -1, "abc", float("nan"), float("inf"), 1e300, [], {}, "-0.1"])
def test_what_is_no_amount_is_not_known(odd: object) -> None:
    assert usd(odd) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *((5, 5), (0, 0), (5.0, 5), (Decimal("5"), 5), (-3, -3)),
        *((True, None), ("5", None), (5.5, None), (None, None), ([], None)),
        *((float("nan"), None), (float("inf"), None), (Decimal("NaN"), None), (Decimal("Infinity"), None)),
    ],
)
def test_counts_are_whole_numbers(value: object, number: int | None) -> None:
    assert count(value) == number


@pytest.mark.parametrize(
    ("value", "expected"),
    [("gpt-4o", "gpt-4o"), ("", None), (None, None), (7, None), ("x" * 9_999, "x" * LONGEST_NAME), ("a\ud800", "a?")],
)
def test_names_are_bounded_and_can_be_encoded(value: object, expected: str | None) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("four", 4),
        ([{"role": "user", "content": "four"}], 4),
        ([{"role": "user", "content": [{"type": "text", "text": "four"}]}], 4),
        ([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}], 0),
        ([{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}], 0),
        ([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}], 0),
        ([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "four"}}], 4),
        ([[1, 2, 3], [4]], 16),
        (None, 0),
    ],
)
def test_text_is_measured_and_media_is_not(value: object, expected: int) -> None:
    assert characters(value) == expected


@pytest.mark.parametrize(("size", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (4_000, 1_000), (-3, 0)])
def test_four_characters_make_a_token(size: int, tokens: int) -> None:
    assert estimated_tokens(size) == tokens
