"""Rules that need nothing learnt, over real calls: errors, new spenders, a z-score, events that wait."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from taximeter.alerts.alert import Observation
from taximeter.alerts.checks import DAY_US, HOUR_US, MINUTE_US, Errors, NewSpenders, ZScore
from taximeter.alerts.sources import Meter, MeterHealth, Seldom
from taximeter.clock import rfc3339
from taximeter.core.ids import uuid7
from taximeter.store.events import DuckDBEvents

NOW_US = 29_800_800 * MINUTE_US
ids = (uuid7(NOW_US // 1000, n.to_bytes(10, "big")) for n in itertools.count())


def calls(number: int, minutes_ago: float, **said: Any) -> Iterator[dict[str, Any]]:
    for _ in range(number):
        yield {
            "event_id": next(ids),
            "started_at": rfc3339(NOW_US - int(minutes_ago * MINUTE_US)),
            "provider": "openai",
            "status": "ok",
            "cost_usd": "0",
            **said,
        }


HISTORY = [
    # broken: a third fails, hardly any did. shaky: as many fail as ever. small: too few to tell. dead: nothing works.
    *calls(30, 5, feature="broken", status="error"),
    *calls(60, 5, feature="broken"),
    *calls(2, 600, feature="broken", status="error"),
    *calls(98, 600, feature="broken"),
    *calls(30, 5, feature="shaky", status="error"),
    *calls(60, 5, feature="shaky"),
    *calls(30, 600, feature="shaky", status="error"),
    *calls(60, 600, feature="shaky"),
    *calls(19, 5, feature="small", status="error"),
    *calls(40, 5, feature="dead", status="error"),
    # ann has called before, bob has not, cara spends little, somebody has no name.
    *calls(1, 30, user_id="ann", cost_usd="50"),
    *calls(1, 3 * 24 * 60, user_id="ann", cost_usd="1"),
    *calls(2, 30, user_id="bob", cost_usd="7.5"),
    *calls(1, 30, user_id="cara", cost_usd="1"),
    *calls(1, 30, cost_usd="90"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path_factory.mktemp("checks") / "events.duckdb", query_timeout_seconds=600)
    opened.append([json.dumps(one).encode() for one in HISTORY], {})
    yield opened
    opened.close()


def told(found: list[Observation] | None) -> dict[str, tuple[str, str]]:
    assert found is not None
    return {",".join(one.labels.values()): (one.severity, one.facts["amount"]) for one in found}


def test_a_feature_is_told_of_when_many_of_its_calls_fail_and_far_more_than_the_day_before(
    store: DuckDBEvents,
) -> None:
    assert told(Errors(store, 0.2)(NOW_US)) == {
        "broken": ("warning", "33% of 90 calls fail"),
        "dead": ("critical", "100% of 40 calls fail"),
    }
    assert told(Errors(store, 0.5)(NOW_US)).keys() == {"dead"}
    assert Errors(store, 0.2)(NOW_US + HOUR_US) == []


def test_a_user_nobody_knew_is_told_of_who_spends_much_within_an_hour(store: DuckDBEvents) -> None:
    assert told(NewSpenders(store, Decimal(10))(NOW_US)) == {"bob": ("warning", "$15.00 an hour")}
    assert told(NewSpenders(store, Decimal(1))(NOW_US)).keys() == {"bob", "cara"}
    assert NewSpenders(store, Decimal(10))(NOW_US + DAY_US) == []


@pytest.mark.parametrize(("z_score", "severity"), [(1.9, None), (2.0, None), (2.1, "warning"), (4.1, "critical")])
def test_an_hour_is_told_of_that_is_far_over_the_mean(z_score: float, severity: str | None) -> None:
    row = {"cost_usd": "12.4", "baseline_cost_usd": "3", "z_score": z_score}
    found = ZScore(lambda _now_us: row, 2.0)(NOW_US) or []
    assert [one.severity for one in found] == ([severity] if severity else [])
    assert all("$12.40, " in one.summary for one in found)


@pytest.mark.parametrize("row", [None, {"cost_usd": None, "baseline_cost_usd": "3", "z_score": None}])
def test_an_hour_whose_cost_is_not_known_leaves_things_as_they_were(row: Any) -> None:
    assert ZScore(lambda _now_us: row, 2.0)(NOW_US) is None


def test_it_is_asked_seldom_and_says_the_same_in_between() -> None:
    asked: list[int] = []

    def ask(now_us: int) -> list[Observation] | None:
        asked.append(now_us)
        return None

    source = Seldom("rule", ask, 60)
    for now_us in (0, 5, 59, 60, 61, 200):
        assert source.observe(now_us) is None
    assert (asked, source.rules) == ([0, 60, 200], ["rule"])


def test_events_wait_when_many_did_at_each_look_of_five_minutes() -> None:
    waiting = Meter.LAG_BYTES

    def kinds(at_us: int) -> list[str]:
        return [one.kind for one in meter.observe(at_us) or []]

    meter = Meter(lambda: MeterHealth(lag_bytes=waiting))
    assert kinds(0) == kinds(Meter.LAG_US - 1) == []
    assert kinds(Meter.LAG_US) == ["collector_lag"]
    waiting -= 1
    assert kinds(Meter.LAG_US + 1) == []
    waiting += 1
    assert kinds(Meter.LAG_US + 2) == kinds(2 * Meter.LAG_US) == [], "it began anew"
