"""What a provider may have written beyond what was read of its stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taximeter.limits.ahead import LATELY_US, LEAST_TOKENS, Ahead

NOW = 1_800_000_000_000_000


def test_a_provider_of_whom_nothing_is_known_is_a_little_ahead() -> None:
    assert Ahead().tokens("openai", NOW) == LEAST_TOKENS


def test_a_provider_may_be_twice_as_far_ahead_as_any_of_its_streams_was_lately() -> None:
    ahead = Ahead()
    ahead.saw("openai", 3_000, NOW)
    ahead.saw("openai", 20, NOW + 1)
    assert ahead.tokens("openai", NOW + 2) == 6_000
    assert ahead.tokens("anthropic", NOW + 2) == LEAST_TOKENS, "another provider writes at its own pace"


@given(st.integers(0, 3 * LATELY_US), st.integers(0, 3 * LATELY_US))
def test_it_is_remembered_for_a_minute_at_least_and_forgotten_after_two(looked_us: int, more_us: int) -> None:
    ahead = Ahead()
    ahead.tokens("openai", NOW - looked_us)
    ahead.saw("openai", 1_000, NOW)
    told = ahead.tokens("openai", NOW + more_us)
    if more_us < LATELY_US:
        assert told == 2_000
    elif more_us >= 2 * LATELY_US:
        assert told == LEAST_TOKENS
