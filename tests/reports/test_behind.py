"""What a finding says is behind it: the planted cause first, then those whose part of the spend it is."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
from planted_calls import HOUR_US, NOON_US, PLANTED, Call, usual

from taximeter.anomaly.finding import Expectation, Finding, FindingKind
from taximeter.core.money import add
from taximeter.reports.behind import with_contributors
from taximeter.store.events import DuckDBEvents

USUAL_HOURS: Final = 4

KINDS: Final[dict[str, tuple[FindingKind, dict[str, str]]]] = {
    "one user hammers a feature": ("volume_spike", {"feature": "chat", "user_id": "u777"}),
    "a feature is used four times as much": ("volume_spike", {"feature": "code"}),
    "a new prompt version is six times as long": ("cost_per_request", {"feature": "chat"}),
    "the cache of a feature goes cold": ("cache_hit_rate", {"feature": "code"}),
    "a feature moves to an expensive model": ("model_drift", {"feature": "search", "model": "large"}),
    "a feature tries everything four times": ("retry_storm", {"feature": "code"}),
}
"""What is planted → the finding that it is."""


def finding(kind: FindingKind, scope: dict[str, str], excess_calls: float = 0.0) -> Finding:
    """Of the hour from noon on."""
    return Finding(
        finding_id="f",
        kind=kind,
        scope=scope,
        severity="critical",
        started_at_us=NOON_US,
        detected_at_us=NOON_US + HOUR_US // 2,
        updated_at_us=NOON_US + HOUR_US,
        expectation=Expectation("calls", 100 + excess_calls, 100.0, 90.0, 110.0, "4 Fridays"),
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path / "events.duckdb", query_timeout_seconds=600)
    yield opened
    opened.close()


def keep(store: DuckDBEvents, calls: list[Call]) -> None:
    store.append([json.dumps(one).encode() for one in calls], {})


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("seed", range(int(os.environ.get("PLANTED_SEEDS", "1"))))
def test_the_planted_cause_is_the_first_contributor(store: DuckDBEvents, name: str, seed: int) -> None:
    incident, (dimension, value), cause = PLANTED[name]
    kind, scope = KINDS[name]
    chance = random.Random(f"{name} {seed}")
    for hour in range(1, USUAL_HOURS + 1):
        keep(store, usual(NOON_US - hour * HOUR_US, chance))
    noon = usual(NOON_US, chance)
    spoiled = incident(noon, chance)
    keep(store, spoiled)

    found = with_contributors(finding(kind, scope, len(spoiled) - len(noon)), store, NOON_US + HOUR_US)

    first = found.contributors[0]
    assert (first.dimension, first.value) == ("cause", cause)
    people = [(one.dimension, one.value) for one in found.contributors if one.dimension != "cause"]
    assert dimension in scope or (dimension, value) == people[0]
    if kind in ("volume_spike", "model_drift") and len(scope) > 1:
        answer = "user_id" if "user_id" in scope else "model"
        assert people[0] == (answer, scope[answer])
    explained = found.evidence["explained"]
    change = Decimal(explained["actual_usd"]) - Decimal(explained["expected_usd"])
    assert add(*map(Decimal, explained["factors"].values())) == change


def test_without_a_day_before_it_a_finding_stays_as_it_is(store: DuckDBEvents) -> None:
    keep(store, usual(NOON_US, random.Random(1)))
    found = finding("volume_spike", {"feature": "chat"}, 50)
    assert with_contributors(found, store, NOON_US + HOUR_US) == found


def test_a_creep_is_the_last_day_against_the_day_before_it_began(store: DuckDBEvents) -> None:
    day_us = 24 * HOUR_US
    chance = random.Random(2)
    keep(store, usual(NOON_US - HOUR_US, chance))
    later = [{**one, "prompt_version": "v9"} for one in usual(NOON_US + 6 * day_us - HOUR_US, chance)]
    keep(store, [one for one in later if one["feature"] == "chat"])
    creep = replace(finding("slow_creep", {"feature": "chat"}), updated_at_us=NOON_US + 6 * day_us)
    found = with_contributors(creep, store, NOON_US + 6 * day_us)
    assert found.evidence["explained"]["period"]["from"] == "2026-11-25T12:00:00.000000Z"
    assert found.evidence["explained"]["against"]["to"] == "2026-11-20T12:00:00.000000Z"
    assert found.contributors
