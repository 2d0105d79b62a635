"""The sample application drives the simulated providers with the real clients, and ends when it is told to."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any

import pytest

from taximeter.clock import SystemClock
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings
from taximeter.simulator.traffic.application import Application
from taximeter.simulator.traffic.calling import clients
from taximeter.simulator.traffic.product import FAULTS, FEATURES, PROVIDER_OF, drawn_visit
from taximeter.simulator.traffic.rhythm import wave


def test_a_short_life_makes_calls_of_both_providers_and_ends() -> None:
    with RunningSimulator(Settings(seed=1, tokens_per_chunk=8, retry_after_seconds=0.01)) as simulator:

        async def live() -> Counter[str]:
            road = clients(simulator.openai_url, simulator.anthropic_url, "k")
            application = Application({"gateway": road}, 40, SystemClock(), Random(4))
            ended: Counter[str] = Counter()

            def stop_when_enough_ended() -> None:
                ended.update(application.outcomes - ended)
                if ended["ok"] < 30:
                    asyncio.get_running_loop().call_later(0.05, stop_when_enough_ended)
                else:
                    application.stop()

            stop_when_enough_ended()
            await application.run()
            return ended

        outcomes = asyncio.run(live())
        rows: Any = simulator.ledger["rows"]
    del outcomes["turned_away"]  # more of them on a busy machine
    assert outcomes["ok"] >= 0.9 * outcomes.total()
    assert {row["provider"] for row in rows} == {"openai", "anthropic"}
    assert {row["operation"] for row in rows} == {"chat", "embeddings"}


def test_unpriced_models_faults_and_every_feature_are_among_the_visits() -> None:
    chance = Random(9)
    visits = [drawn_visit(chance) for _ in range(6000)]
    assert {visit.feature.name for visit in visits} == {feature.name for feature in FEATURES}
    assert {visit.fault for visit in visits} == {None, *(kind for kind, _, _ in FAULTS)}
    assert "acme-house-7b" in {visit.model for visit in visits}
    assert {visit.feature.road for visit in visits} == {"gateway", "sdk"}
    assert {PROVIDER_OF[visit.feature.api] for visit in visits} == {"openai", "anthropic"}
    assert {visit.synchronous for visit in visits} == {visit.streamed for visit in visits} == {True, False}


@pytest.mark.parametrize("seconds", range(0, 300, 3))
def test_the_wave_never_stands_still_nor_drowns(seconds: int) -> None:
    assert 0.3 < wave(seconds) < 1.7
