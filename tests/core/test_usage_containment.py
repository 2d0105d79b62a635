"""Parts never exceed their whole: told as violations to a sender, clamped for a provider."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.core.usage import (
    CACHE_PARTS,
    INPUT_PARTS,
    OUTPUT_PARTS,
    TOKEN_CLASSES,
    Usage,
    added,
    clamped,
    violations,
)

counts = st.none() | st.integers(-5, 50)
usages = st.builds(
    Usage,
    units=st.dictionaries(st.sampled_from(["web_searches", "pages"]), st.integers(-2, 9), max_size=2),
    **dict.fromkeys(TOKEN_CLASSES, counts),
)

CONTRADICTIONS = [
    (Usage(input_tokens=10, cache_read_tokens=11), ["cache_read_tokens"]),
    (Usage(input_tokens=10, cache_read_tokens=6, cache_write_5m_tokens=6), ["cache_read_tokens"]),
    (Usage(output_tokens=5, reasoning_tokens=6), ["reasoning_tokens"]),
    (Usage(cache_read_tokens=3), ["cache_read_tokens"]),
    (Usage(input_tokens=-1), ["input_tokens"]),
    (Usage(input_tokens=9, units={"web_searches": -1}), ["units.web_searches"]),
    (Usage(input_tokens=9, input_audio_tokens=2, cache_read_audio_tokens=2), ["cache_read_audio_tokens"]),
]


@pytest.mark.parametrize(("usage", "fields"), CONTRADICTIONS)
def test_a_contradiction_names_the_field(usage: Usage, fields: list[str]) -> None:
    assert [violation.field for violation in violations(usage)] == fields


@pytest.mark.parametrize(
    "usage",
    [
        Usage(),
        Usage(input_tokens=10, cache_read_tokens=10),
        Usage(input_tokens=10, cache_read_tokens=4, cache_write_5m_tokens=3, cache_write_1h_tokens=3),
        Usage(input_tokens=10, cache_read_tokens=4, input_audio_tokens=10, cache_read_audio_tokens=4),
        Usage(output_tokens=7, reasoning_tokens=7),
        Usage(input_tokens=0, output_tokens=0, cache_read_tokens=0),
    ],
)
def test_what_adds_up_is_left_alone(usage: Usage) -> None:
    assert violations(usage) == []
    assert clamped(usage) == (usage, False)


@given(usages)
def test_clamping_always_ends_in_something_that_adds_up(usage: Usage) -> None:
    mended, conflict = clamped(usage)
    assert violations(mended) == []
    assert conflict == bool(violations(usage))


@given(usages)
def test_clamping_believes_the_totals_and_never_raises_a_part(usage: Usage) -> None:
    mended, _ = clamped(usage)
    for whole in ("input_tokens", "output_tokens"):
        said = getattr(usage, whole)
        assert getattr(mended, whole) == (None if said is None else max(said, 0))
    for part in (*INPUT_PARTS, *OUTPUT_PARTS):
        assert (getattr(mended, part) or 0) <= max(getattr(usage, part) or 0, 0)


@given(usages)
def test_uncached_input_is_what_the_cache_parts_leave(usage: Usage) -> None:
    mended, _ = clamped(usage)
    cached = sum(getattr(mended, name) or 0 for name in CACHE_PARTS)
    assert mended.uncached_input_tokens == (mended.input_tokens or 0) - cached >= 0


def test_adding_keeps_unknown_apart_from_zero() -> None:
    total = added(Usage(input_tokens=1, units={"pages": 1}), Usage(output_tokens=0, units={"pages": Decimal("0.5")}))
    assert total == Usage(input_tokens=1, output_tokens=0, units={"pages": Decimal("1.5")})
    assert total.cache_read_tokens is None
