"""The quick look at a usage never lets through what the thorough one finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taximeter.core.usage import LARGEST_COUNT, TOKEN_CLASSES, Usage, clamped, violations

COUNTS = st.none() | st.integers(-1, 12) | st.sampled_from([LARGEST_COUNT, LARGEST_COUNT + 1])
USAGES = st.builds(Usage, **dict.fromkeys(TOKEN_CLASSES, COUNTS))


@given(USAGES)
def test_only_a_usage_that_adds_up_is_left_as_it_is(usage: Usage) -> None:
    fitted, was_cut = clamped(usage)
    assert was_cut == bool(violations(usage))
    assert violations(fitted) == []


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_an_ordinary_usage_is_kept(plain: int, cached: int, answer: int, thought: int) -> None:
    usage = Usage(
        input_tokens=plain + cached,
        cache_read_tokens=cached,
        output_tokens=answer + thought,
        reasoning_tokens=thought,
    )
    assert clamped(usage) == (usage, False)
