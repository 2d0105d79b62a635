from __future__ import annotations

from datetime import UTC, date, datetime

from taximeter.anomaly.calendar import SLOTS_A_WEEK, Calendar


def slot(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) // 900


BERLIN = Calendar("Europe/Berlin", [date(2025, 5, 1)])


def test_the_same_local_hour_a_week_ago_is_another_hour_of_utc_after_a_clock_change() -> None:
    after = slot("2025-04-01T07:00")
    assert BERLIN.utc(BERLIN.local(after) - SLOTS_A_WEEK) == slot("2025-03-25T08:00")


def test_every_slot_is_found_again_by_its_local_time_unless_the_clock_repeats_it() -> None:
    for at in range(slot("2025-03-29T00:00"), slot("2025-03-31T00:00")):
        assert BERLIN.utc(BERLIN.local(at)) == at


def test_a_clock_change_is_remembered_for_weeks() -> None:
    assert BERLIN.clock_changed_within(slot("2025-04-10T00:00"), 4)
    assert not BERLIN.clock_changed_within(slot("2025-05-10T00:00"), 4)


def test_a_holiday_and_its_eve_are_days_of_their_own() -> None:
    assert BERLIN.is_holiday(BERLIN.local(slot("2025-05-01T10:00")))
    assert BERLIN.is_eve(BERLIN.local(slot("2025-04-30T20:00")))
    assert not BERLIN.is_eve(BERLIN.local(slot("2025-04-30T08:00")))
    assert not BERLIN.is_unlike_itself(BERLIN.local(slot("2025-05-02T08:00")))


def test_monday_is_the_first_day_of_the_week() -> None:
    assert BERLIN.weekday(BERLIN.local(slot("2025-03-03T12:00"))) == 0
    assert BERLIN.weekday(BERLIN.local(slot("2025-03-09T12:00"))) == 6
