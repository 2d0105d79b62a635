"""Every adapter of `Counters`, fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis_here import fresh_counters, redis_server

from taximeter.limits.counters import Counters


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("cluster"), cluster=True) as url:
        yield url


@pytest.fixture(params=["memory", "redis", "cluster"])
def counters(request: pytest.FixtureRequest) -> Counters:
    return fresh_counters(request, request.param)
