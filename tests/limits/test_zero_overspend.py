"""Under `exact` admission the provider never bills more than a limit allows, whatever happens in whatever order.

`LIMIT_INTERLEAVINGS` sets how many orders are tried.
"""

from __future__ import annotations

import os
from random import Random

import pytest
from limited_world import World
from redis_here import fresh_counters

from taximeter.limits.counters.memory import MemoryCounters

INTERLEAVINGS = int(os.environ.get("LIMIT_INTERLEAVINGS", "150"))
STEPS = 120


def definitions(chance: Random) -> list[dict[str, object]]:
    dollars = str(round(chance.uniform(0.02, 2), 3))
    return [
        {"name": "all", "scope": "global", "measure": "cost_usd", "limit": dollars, "window": "month"},
        {"name": "each", "scope": "user", "each": True, "measure": "cost_usd", "limit": "0.3", "window": "day"},
        {"name": "read", "scope": "user", "each": True, "measure": "total_tokens", "limit": 60_000, "window": "day"},
        {
            "name": "calls",
            "scope": "user",
            "each": True,
            "measure": "requests",
            "limit": 40,
            "window": {"rolling": "1h"},
        },
        {"name": "seen", "scope": "global", "measure": "output_tokens", "limit": 9, "window": "day", "mode": "soft"},
    ]


def run(seed: int, world: World) -> None:
    for step in range(STEPS):
        world.step()
        assert not world.overspent(), f"seed {seed}, step {step}"
    for event_id, call in list(world.running.items()):
        world.finish(event_id, call)
    assert not world.overspent(), f"seed {seed}, at the end"


def test_nothing_is_overspent_in_any_order_of_steps() -> None:
    served = refused = 0
    for seed in range(INTERLEAVINGS):
        chance = Random(seed)
        world = World(chance, MemoryCounters(), definitions(chance))
        run(seed, world)
        assert world.guard.counts["overshoots"] == 0
        served, refused = served + world.served, refused + world.refused
    assert served > INTERLEAVINGS * 5
    assert refused > INTERLEAVINGS * 5


def test_nothing_is_overspent_when_the_process_is_killed_in_between() -> None:
    for seed in range(INTERLEAVINGS // 3):
        chance = Random(seed)
        world = World(chance, MemoryCounters(), definitions(chance))
        for _ in range(3):
            for _ in range(STEPS // 3):
                world.step()
            world.kill(MemoryCounters())
            assert not world.overspent(), f"seed {seed}"


def test_nothing_is_overspent_in_redis(request: pytest.FixtureRequest) -> None:
    for seed in range(max(INTERLEAVINGS // 100, 2)):
        chance = Random(seed)
        run(seed, World(chance, fresh_counters(request, "redis"), definitions(chance)))
