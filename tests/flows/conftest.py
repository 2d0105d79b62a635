"""One product and one pair of providers for all flows that need no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from standing import Standing

from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings

SMALL_LIMITS = "gateway: {body_limit_bytes: 20000}\nserver: {ingest_limit_bytes: 50000}\n"


@pytest.fixture(scope="session")
def simulator() -> Iterator[RunningSimulator]:
    with RunningSimulator(Settings(retry_after_seconds=0.01, output_tokens_median=10)) as running:
        yield running


@pytest.fixture(scope="session")
def standing(simulator: RunningSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with Standing(tmp_path_factory.mktemp("standing"), simulator.url, SMALL_LIMITS) as running:
        yield running
