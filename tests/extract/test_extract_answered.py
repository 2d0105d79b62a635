"""The line of a plain answer says what the general one says of its reading."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from taximeter.core.usage import LARGEST_COUNT
from taximeter.extract.answered import of_plain, of_reading
from taximeter.extract.plain import Plain

CLASSES = ("input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens")
NAMES = st.text(st.characters(max_codepoint=127), min_size=1, max_size=20)
COUNTS = st.integers(0, LARGEST_COUNT)


def parsed(members: str) -> dict[str, Any]:
    assert members.startswith(",")
    said: dict[str, Any] = json.loads("{" + members[1:] + "}")
    return said


@given(model=NAMES, answer_id=NAMES, tier=st.none() | NAMES, counts=st.tuples(*[COUNTS] * len(CLASSES)))
def test_members_of_a_plain_answer(model: str, answer_id: str, tier: str | None, counts: tuple[int, ...]) -> None:
    plain = Plain(model, answer_id, tier, CLASSES, counts)
    reading = plain.reading()
    general = of_reading(reading, reading.usage, error_type=None, rarities={})
    assert parsed(of_plain(plain)) == parsed(general)


def test_a_model_whose_name_looks_like_a_place_for_a_count_keeps_it() -> None:
    plain = Plain("100%d-cotton", "id%s", None, ("input_tokens", "output_tokens"), (1, 2))
    assert parsed(of_plain(plain)) == {
        "response_model": "100%d-cotton",
        "response_id": "id%s",
        "input_tokens": 1,
        "output_tokens": 2,
    }
