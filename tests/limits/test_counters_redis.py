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
