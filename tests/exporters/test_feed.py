"""A feed tells everything that the store has, once, whatever happens in between."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest
from export_rig import START_US, World

from taximeter.core.cost import Cost
from taximeter.errors import StoreError
from taximeter.exporters.days import DAY_US
from taximeter.exporters.feed import Feed, Grouping, Window
from taximeter.exporters.prometheus import SPEND, SpendCollector
from taximeter.exporters.series import MEASURED, OTHER, Amounts, Sums, add, series_key, series_values, total
from taximeter.store.events import Query
from taximeter.store.events.instants import LATEST_US
from taximeter.store.events.port import Retention
from taximeter.store.events.repricing import NewCost, Repricing

LABELS = ("model", "feature")


def feed(here: World, most: int = 100) -> Feed:
    made = Feed(Grouping("spend", LABELS, most), here.store, here.metadata.exports, here.clock, keep_windows=True)
    made.begin()
    return made


def told(here: World) -> list[Window]:
    return [msgspec.json.decode(text, type=Window) for text in here.metadata.exports.windows("spend", 0, 10_000)]


def summed(windows: list[Window]) -> Sums:
    sums: Sums = {}
    for window in windows:
        for key, amounts in window.amounts.items():
            add(sums, key, amounts)
    return sums


def stored(here: World) -> Amounts:
    totals = here.store.query(Query(from_us=0, to_us=LATEST_US, measures=MEASURED)).totals
    return {name: Decimal(amount) for name, amount in totals.items() if amount and Decimal(amount)}


def state(feed: Feed) -> Sums:
    assert feed.state is not None
    return feed.state.totals


def test_windows_add_up_to_the_store_to_the_last_digit(here: World) -> None:
    one, chance = feed(here), Random(1)
    for _ in range(5):
        here.traffic(chance, 200)
        one.turn()
        here.clock.at_us += DAY_US // 3
    assert total(summed(told(here))) == stored(here) == total(state(one))


def test_a_store_without_news_tells_no_window(here: World) -> None:
    one = feed(here)
    here.call()
    one.turn()
    count = len(told(here))
    one.turn()
    assert len(told(here)) == count


def test_what_an_empty_store_gets_is_news_and_what_a_full_one_has_is_not(here: World) -> None:
    feed(here).turn()
    here.call()
    one = feed(here)
    one.turn()
    assert [window.whole for window in told(here)] == [True, False]
    late = Feed(Grouping("late", LABELS, 10), here.store, here.metadata.exports, here.clock, keep_windows=True)
    late.begin()
    late.turn()
    windows = [msgspec.json.decode(text, type=Window) for text in here.metadata.exports.windows("late", 0, 10)]
    assert [(window.whole, len(window.amounts)) for window in windows] == [(True, 1)]


def history(here: World) -> None:
    """Forty days of eight features that spend less every day, and one that is new."""
    for day in range(40):
        for feature in range(8):
            here.call(at_us=START_US - day * DAY_US, feature=f"feature-{feature}", cost_usd=f"{feature}.{day:03d}1")
    here.call(feature="new", cost_usd="100")


def in_pieces(here: World) -> Feed:
    made = Feed(
        Grouping("spend", LABELS, 4),
        here.store,
        here.metadata.exports,
        here.clock,
        keep_windows=True,
        series_at_once=20,
    )
    made.begin()
    return made


def test_a_history_is_told_in_pieces_and_stands_as_if_told_at_once(here: World) -> None:
    history(here)
    one = in_pieces(here)
    one.turn()
    windows = told(here)
    assert len(windows) > 10
    assert all(window.whole for window in windows)
    assert total(summed(windows)) == stored(here) == total(state(one))
    at_once = Feed(Grouping("at once", LABELS, 4), here.store, here.metadata.exports, here.clock)
    at_once.turn()
    assert state(one) == state(at_once)
    assert "new" in {series_values(key)[1] for key in state(one)}
    count = len(windows)
    one.turn()
    assert len(told(here)) == count, "what was told is not told again"


def test_a_history_of_which_a_piece_could_not_be_kept_shows_nothing_and_is_told_to_its_end_later(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(here)
    one, keep, pieces = in_pieces(here), here.metadata.exports.advance, iter(range(3))

    def full_after_three(*told: Any, **about: Any) -> None:
        if next(pieces, None) is None:
            raise StoreError("full")
        keep(*told, **about)

    with monkeypatch.context() as patched:
        patched.setattr(here.metadata.exports, "advance", full_after_three)
        with pytest.raises(StoreError):
            one.turn()
    assert len(told(here)) == 3
    assert list(SpendCollector(one, SPEND).collect()) == []
    again = in_pieces(here)
    again.turn()
    assert all(window.whole for window in told(here))
    assert total(summed(told(here))) == stored(here) == total(state(again))


def test_late_calls_of_last_month_are_told(here: World) -> None:
    one = feed(here)
    here.call()
    one.turn()
    here.call(at_us=START_US - 30 * DAY_US, cost_usd="0.000000000001")
    one.turn()
    assert told(here)[-1].amounts[series_key(["gpt-4o", "chat"])]["cost_usd"] == Decimal("0.000000000001")


def test_another_process_goes_on_where_the_last_one_was(here: World) -> None:
    chance = Random(2)
    for _ in range(4):
        here.traffic(chance, 50)
        feed(here).turn()
    assert total(summed(told(here))) == stored(here)
    numbers = [window.number for window in told(here)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_turn_that_could_not_be_kept_is_told_by_the_next_one(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one = feed(here)
    here.call()

    def full(*_: object, **__: object) -> None:
        raise StoreError("full")

    with monkeypatch.context() as patched:
        patched.setattr(here.metadata.exports, "advance", full)
        with pytest.raises(StoreError):
            one.turn()
    one.turn()
    assert total(summed(told(here)))["calls"] == 1


def test_a_price_that_falls_is_told_as_a_correction_and_counters_stay(here: World) -> None:
    one = feed(here)
    event_id = here.call(cost_usd="2")
    one.turn()
    reprice(here, event_id, "0.5")
    one.turn()
    key = series_key(["gpt-4o", "chat"])
    assert told(here)[-1].amounts[key]["cost_usd"] == Decimal("-1.5")
    assert one.state is not None
    assert (one.state.totals[key]["cost_usd"], one.state.peaks[key]["cost_usd"]) == (Decimal("0.5"), Decimal(2))
    here.call(cost_usd="1")
    one.turn()
    assert one.state.peaks[key]["cost_usd"] == Decimal(2), "it waits until the sum has come up to it"
    here.call(cost_usd="1")
    one.turn()
    assert one.state.peaks[key]["cost_usd"] == Decimal("2.5")


def reprice(here: World, event_id: str, cost_usd: str) -> None:
    run = Repricing(id="run", kind="reprice", asked_at_us=START_US, asked_by="test", request={}, state="done")
    amount = Decimal(cost_usd)
    nothing = Decimal(0)
    cost = Cost(amount, nothing, nothing, nothing, nothing, price_version="1", price_rule="r")
    here.store.restate([NewCost(event_id, START_US, cost)], run, START_US)


def test_what_is_deleted_is_taken_back(here: World) -> None:
    one = feed(here)
    here.call(user_id="bob")
    one.turn()
    here.store.delete_user("bob", START_US + 1)
    one.turn()
    assert state(one) == {}
    assert total(summed(told(here))) == {}


def test_what_is_no_longer_kept_stays_told(here: World) -> None:
    one = Feed(Grouping("spend", LABELS, 10), here.store, here.metadata.exports, here.clock, kept_days=10)
    here.call(at_us=START_US - 5 * DAY_US)
    one.turn()
    here.clock.at_us += 20 * DAY_US
    here.store.delete_user("ann", START_US + 1)
    one.turn()
    assert total(state(one))["calls"] == 1
    assert here.metadata.exports.unit_totals("spend") == {}


def test_what_was_deleted_for_its_age_under_other_settings_does_not_stop_a_feed(here: World) -> None:
    here.call(at_us=START_US - 40 * DAY_US)
    here.call()
    ages = Retention({"events": 10, "hours": 10, "user_days": 10})
    here.store.expire(ages, START_US + 1)
    one = feed(here)
    one.turn()
    assert total(state(one))["calls"] == 1


def test_only_so_many_series_are_named_and_the_rest_is_other(here: World) -> None:
    one = feed(here, most=2)
    for number in range(6):
        here.call(feature=f"feature-{number}", cost_usd=str(number + 1))
    one.turn()
    named = {series_values(key)[1]: amounts["cost_usd"] for key, amounts in state(one).items()}
    assert named == {"feature-5": 6, "feature-4": 5, OTHER: 1 + 2 + 3 + 4}


def test_a_new_spender_is_named_the_next_day_and_the_sum_over_all_stays(here: World) -> None:
    one = feed(here, most=2)
    for feature in ("a", "b", "c"):
        here.call(feature=feature)
    one.turn()
    here.call(feature="new", cost_usd="100")
    one.turn()
    assert "new" not in {series_values(key)[1] for key in state(one)}
    here.clock.at_us += DAY_US
    here.call(feature="new", cost_usd="100")
    one.turn()
    assert "new" in {series_values(key)[1] for key in state(one)}
    assert total(state(one)) == stored(here) == total(summed(told(here)))


def test_other_labels_begin_anew(here: World) -> None:
    one = feed(here)
    here.call()
    one.turn()
    other = Feed(Grouping("spend", ("team",), 10), here.store, here.metadata.exports, here.clock, keep_windows=True)
    other.begin()
    other.turn()
    assert told(here)[-1].whole
    assert list(state(other)) == [series_key(["core"])]


def test_a_server_with_other_labels_leaves_what_is_kept_until_it_tells_itself(here: World) -> None:
    one = feed(here)
    here.call()
    one.turn()
    other = Feed(Grouping("spend", ("team",), 10), here.store, here.metadata.exports, here.clock, keep_windows=True)
    before = told(here)
    other.begin()
    other.follow()
    feed(here).turn()
    assert told(here) == before, "nothing is told twice"
    other.turn()
    assert told(here)[-1].whole
    assert total(state(other)) == stored(here)
