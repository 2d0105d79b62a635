"""Times are told by bins: near enough, and in their order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taximeter.store.events.bins import LONGEST_BIN, WIDEST_ERROR, bin_of, middle_ms
from taximeter.store.events.durations import LONGEST_MS


@given(st.floats(1, LONGEST_MS))
@example(1.0)
@example(float(LONGEST_MS))
def test_what_took_a_millisecond_or_longer_is_told_within_a_hundredth(took_ms: float) -> None:
    assert abs(middle_ms(bin_of(took_ms)) - took_ms) <= WIDEST_ERROR * took_ms


@given(st.floats(0.001, 1))
def test_what_took_less_is_told_almost_as_well(took_ms: float) -> None:
    assert abs(middle_ms(bin_of(took_ms)) - took_ms) <= 0.013 * took_ms


@given(st.lists(st.floats(allow_nan=False), min_size=2))
def test_bins_are_in_the_order_of_times(times_ms: list[float]) -> None:
    assert all(one <= next_one for one, next_one in pairwise(map(bin_of, sorted(times_ms))))


@pytest.mark.parametrize(
    ("took_ms", "number", "told_ms"),
    [
        (-1.0, 0, 0.0),
        (0.0, 0, 0.0),
        (1.0, 1600, 1.009997),
        (40.0, 1795, 40.001463),
        (float("inf"), LONGEST_BIN, middle_ms(LONGEST_BIN)),
    ],
)
def test_a_time_has_a_bin_and_a_bin_has_a_time(took_ms: float, number: int, told_ms: float) -> None:
    assert (bin_of(took_ms), middle_ms(number)) == (number, told_ms)
