"""What a month will have cost: learnt from the weeks before, exact where it is spent, and honest about the rest."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from planted_calls import call

from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.money import ZERO
from taximeter.errors import UsageError
from taximeter.reports.baseline import HOUR_US
from taximeter.reports.forecast import Band, bounds, expect, forecast
from taximeter.store.events import DuckDBEvents
from taximeter.store.events.port import Retention
from taximeter.store.events.rollups import EVENTS

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
DAY_US = 24 * HOUR_US
MONDAY_US = to_unix_us(datetime(2026, 11, 16, tzinfo=UTC))


def usd(text: str) -> Decimal:
    return Decimal(text)


def history(days: int, cost: Callable[[int], Decimal], until_us: int = MONDAY_US) -> dict[int, Decimal]:
    """`cost` of each hour, counted from the first one, of whole days before an instant."""
    first_us = until_us - days * DAY_US
    return {first_us + hour * HOUR_US: cost(hour) for hour in range(24 * days)}


def ahead(known: dict[int, Decimal], days: float, spent: Decimal = ZERO) -> Band | None:
    return expect(known, spent, MONDAY_US, MONDAY_US + int(days * DAY_US), UTC_ZONE)


# ── what is known for sure ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("days", [3, 10, 28])
def test_what_never_changes_goes_on_with_a_band_of_no_width(days: int) -> None:
    same = usd("30.25") + 7 * 24 * usd("0.5")
    assert ahead(history(days, lambda _: usd("0.5")), 7, spent=usd("30.25")) == Band(same, same, same)


def test_a_week_that_repeats_itself_is_told_hour_by_hour() -> None:
    known = history(28, lambda hour: usd("2") if hour % 168 < 24 else usd("0"))
    assert ahead(known, 1) == Band(usd("48"), usd("48"), usd("48"))
    seven = ahead(known, 7)
    assert seven is not None
    assert seven.middle == usd("48")


def test_of_the_hour_under_way_only_what_is_left_is_to_come() -> None:
    known = history(7, lambda _: usd("1"))
    told = expect(known, usd("5"), MONDAY_US + HOUR_US // 4, MONDAY_US + HOUR_US, UTC_ZONE)
    assert told is not None
    assert told.middle == usd("5.75")


@pytest.mark.parametrize("days", [0, 1, 2])
def test_nothing_is_told_from_less_than_three_days(days: int) -> None:
    assert ahead(history(days, lambda _: usd("1")), 7) is None


def test_a_level_that_doubled_is_taken_up() -> None:
    told = ahead(history(28, lambda hour: usd("2") if hour >= 21 * 24 else usd("1")), 7)
    assert told is not None
    assert told.middle == 7 * 24 * usd("2")
    assert told.low < told.middle < told.high


def test_the_band_never_ends_below_what_is_spent() -> None:
    told = ahead(history(5, lambda hour: usd("100") if hour == 7 else ZERO), 20, spent=usd("3"))
    assert told is not None
    assert told.low == usd("3")


# ── how often it is right ──────────────────────────────────────────────────────────────────────────────────────


def spending(seed: int, days: int) -> list[Decimal]:
    """Hours of a product with nights, weekends, and days that are up to a third better or worse than others."""
    chance = random.Random(seed)
    moods = [chance.lognormvariate(0, 0.15) for _ in range(days)]
    costs = []
    for hour in range(24 * days):
        usual = 20 * (1 + 0.8 * math.sin(hour % 24 / 24 * math.tau)) * (0.35 if hour // 24 % 7 >= 5 else 1)
        mean = usual * moods[hour // 24]
        costs.append(Decimal(f"{max(0.0, chance.gauss(mean, 1.5 * math.sqrt(mean))):.6f}"))
    return costs


def test_four_of_five_months_end_in_the_band() -> None:
    months, learnt, to_come = 20, 28, 14
    inside = 0
    for seed in range(months):
        costs = spending(seed, learnt + to_come)
        told = ahead(history(learnt, lambda hour, costs=costs: costs[hour]), to_come)  # type: ignore[misc]
        assert told is not None
        assert told.high - told.low < told.middle, "a band that says nothing is always right"
        inside += told.low <= sum(costs[24 * learnt :]) <= told.high
    assert inside >= 0.8 * months


# ── periods ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("span", "now", "start", "end"),
    [
        ("month", "2026-10-25T12:00:00+01:00", "2026-09-30T22:00:00", "2026-10-31T23:00:00"),
        ("week", "2026-03-29T12:00:00+02:00", "2026-03-22T23:00:00", "2026-03-29T22:00:00"),
        ("day", "2026-10-25T23:59:00+01:00", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
        ("month", "2026-12-31T23:59:00+01:00", "2026-11-30T23:00:00", "2026-12-31T23:00:00"),
    ],
)
def test_periods_are_those_of_the_zone_also_when_its_clock_changes(span: str, now: str, start: str, end: str) -> None:
    from_us, to_us = bounds(span, to_unix_us(datetime.fromisoformat(now)), BERLIN)  # type: ignore[arg-type]
    assert (rfc3339(from_us)[:19], rfc3339(to_us)[:19]) == (start, end)


# ── over a store ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path_factory.mktemp("forecast") / "events.duckdb", query_timeout_seconds=600)
    yield opened
    opened.close()


def keep(store: DuckDBEvents, feature: str, days: int, hour: int = 12) -> None:
    """A call a day at one hour, of 0.0045 USD, up to the Monday."""
    calls = [call(MONDAY_US - day * DAY_US + hour * HOUR_US, feature=feature) for day in range(1, days + 1)]
    assert store.append([json.dumps(one).encode() for one in calls], {}).inserted == days


def test_what_is_spent_is_exact_and_what_is_to_come_is_what_usually_came(store: DuckDBEvents) -> None:
    keep(store, "daily", 28)
    told = forecast({"filters": {"feature": "daily"}}, store, MONDAY_US).as_dict()
    assert (told["from"], told["to"]) == ("2026-11-01T00:00:00.000000Z", "2026-12-01T00:00:00.000000Z")
    assert told["spent_usd"] == "0.0675"
    assert told["forecast_usd"] == told["low_usd"] == told["high_usd"] == "0.135"
    assert told["reason"] is None


def test_what_is_no_longer_kept_makes_the_history_shorter(tmp_path: Path) -> None:
    store = DuckDBEvents(tmp_path / "events.duckdb", query_timeout_seconds=600)
    keep(store, "daily", 28)
    store.expire(Retention({EVENTS: 14}), MONDAY_US)
    told = forecast({"span": "week", "filters": {"feature": "daily", "user_id": "u1"}}, store, MONDAY_US)
    assert told.learnt_days == 13
    store.close()


def test_too_little_history_is_said_and_no_number_told(store: DuckDBEvents) -> None:
    keep(store, "new", 2)
    told = forecast({"span": "week", "filters": {"feature": "new"}}, store, MONDAY_US).as_dict()
    assert (told["spent_usd"], told["forecast_usd"], told["learnt_days"]) == ("0", None, 1)
    assert told["reason"] == "learnt from 3 whole days on; so far 1"


@pytest.mark.parametrize("wrong", [{"span": "decade"}, {"timezone": "Mars"}, {"from": "30d"}, {"filters": {"no": "x"}}])
def test_what_cannot_be_asked_is_refused(store: DuckDBEvents, wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        forecast(wrong, store, MONDAY_US)
