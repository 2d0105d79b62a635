"""What holds of counters in Redis alone."""

from __future__ import annotations

import pytest
import redis
from redis_here import fresh_counters

from taximeter.limits.counters import Bucket, Claim

NOW = 1_800_000_000_000_000
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US


def rolling(step_us: int) -> Bucket:
    return Bucket("rolling|", 10**9, step_us + 10**12, step_us, step_us - MINUTE_US)


def test_what_left_a_rolling_window_long_ago_is_deleted_and_the_counter_stays_small(
    request: pytest.FixtureRequest,
) -> None:
    counters = fresh_counters(request, "redis")
    for second in range(0, 1_500, 3):
        at_us = NOW + second * SECOND_US
        counters.reserve(f"e{second}", [Claim(rolling(at_us), 1)], now_us=at_us, expires_us=at_us + MINUTE_US)
        counters.settle(f"e{second}", [Claim(rolling(at_us), 1)], now_us=at_us)
    with redis.Redis.from_url(request.getfixturevalue("redis_url")) as client:
        assert client.hlen("{taximeter}:b:rolling|") < 100


def test_an_event_of_a_while_ago_does_not_end_the_life_of_a_rolling_window_sooner(
    request: pytest.FixtureRequest,
) -> None:
    counters = fresh_counters(request, "redis")
    late_us = NOW + 10**12 - 61 * SECOND_US
    counters.settle("now", [Claim(rolling(late_us), 7)], now_us=late_us)
    counters.settle("late", [Claim(rolling(NOW), 5)], now_us=late_us)
    with redis.Redis.from_url(request.getfixturevalue("redis_url")) as client:
        assert client.pttl("{taximeter}:b:rolling|") > 10**9 - 60_000


def test_what_is_held_of_a_counter_whose_life_was_over_is_not_given_back_to_the_one_that_began_anew(
    request: pytest.FixtureRequest,
) -> None:
    counters = fresh_counters(request, "redis")
    counters.reserve("lost", [Claim(rolling(NOW), 60)], now_us=NOW, expires_us=NOW + MINUTE_US)
    with redis.Redis.from_url(request.getfixturevalue("redis_url")) as client:
        client.delete("{taximeter}:b:rolling|")  # as after a weekend in which nobody asked
        later_us = NOW + 5 * 10**11
        assert counters.expire(now_us=later_us) == 1
        assert client.pttl("{taximeter}:b:rolling|") > 0
        assert counters.standings([rolling(later_us)]) == [(0, 0)]
