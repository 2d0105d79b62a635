"""When windows turn: at the right instant in their zone, and never twice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.clock import rfc3339, to_unix_us
from taximeter.config.limits import Window, read_limits
from taximeter.limits.rules import bucket_of
from taximeter.limits.window import FOREVER_US, Span, reach_of, resets_at, span_at


def instant(text: str) -> int:
    return to_unix_us(datetime.fromisoformat(text).astimezone(UTC))


TURNS = [
    # kind, zone, start day, an instant in it, where it starts, where it ends
    ("minute", "Europe/Berlin", 1, "2026-11-28T12:34:56Z", "2026-11-28T12:34:00Z", "2026-11-28T12:35:00Z"),
    ("hour", "America/New_York", 1, "2026-11-28T12:34:56Z", "2026-11-28T12:00:00Z", "2026-11-28T13:00:00Z"),
    ("hour", "Asia/Kolkata", 1, "2026-11-28T12:34:56Z", "2026-11-28T12:30:00Z", "2026-11-28T13:30:00Z"),
    # the hour that comes twice when summer time ends is two hours
    ("hour", "Europe/Berlin", 1, "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
    ("hour", "Europe/Berlin", 1, "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"),
    ("day", "Europe/Berlin", 1, "2026-11-28T22:59:59Z", "2026-11-27T23:00:00Z", "2026-11-28T23:00:00Z"),
    ("day", "Europe/Berlin", 1, "2026-11-28T23:00:00Z", "2026-11-28T23:00:00Z", "2026-11-29T23:00:00Z"),
    # 23 hours and 25 hours
    ("day", "Europe/Berlin", 1, "2026-03-29T10:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
    ("day", "Europe/Berlin", 1, "2026-10-25T10:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
    ("day", "America/New_York", 1, "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
    ("day", "America/New_York", 1, "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
    ("week", "Europe/Berlin", 1, "2026-03-29T10:00:00Z", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"),
    ("week", "America/New_York", 1, "2026-11-02T04:59:59Z", "2026-10-26T04:00:00Z", "2026-11-02T05:00:00Z"),
    ("week", "America/New_York", 1, "2026-11-02T05:00:00Z", "2026-11-02T05:00:00Z", "2026-11-09T05:00:00Z"),
    ("month", "Europe/Berlin", 1, "2026-10-31T22:59:59Z", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
    ("month", "Europe/Berlin", 1, "2026-10-31T23:00:00Z", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"),
    ("month", "America/New_York", 1, "2026-03-01T04:59:59Z", "2026-02-01T05:00:00Z", "2026-03-01T05:00:00Z"),
    ("month", "America/New_York", 1, "2026-03-31T12:00:00Z", "2026-03-01T05:00:00Z", "2026-04-01T04:00:00Z"),
    ("month", "UTC", 1, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    # leap days
    ("month", "Europe/Berlin", 1, "2028-02-29T12:00:00Z", "2028-01-31T23:00:00Z", "2028-02-29T23:00:00Z"),
    ("day", "Europe/Berlin", 1, "2028-02-29T12:00:00Z", "2028-02-28T23:00:00Z", "2028-02-29T23:00:00Z"),
    # fiscal months
    ("month", "UTC", 15, "2026-03-14T23:59:59Z", "2026-02-15T00:00:00Z", "2026-03-15T00:00:00Z"),
    ("month", "UTC", 15, "2026-01-10T00:00:00Z", "2025-12-15T00:00:00Z", "2026-01-15T00:00:00Z"),
    ("month", "Europe/Berlin", 31, "2026-03-01T00:00:00Z", "2026-02-27T23:00:00Z", "2026-03-30T22:00:00Z"),
    ("month", "Europe/Berlin", 31, "2028-02-29T12:00:00Z", "2028-02-28T23:00:00Z", "2028-03-30T22:00:00Z"),
    ("month", "America/New_York", 30, "2026-02-28T12:00:00Z", "2026-02-28T05:00:00Z", "2026-03-30T04:00:00Z"),
    # minutes and hours, where clocks are put on and back
    ("minute", "Europe/Berlin", 1, "2026-03-29T00:59:59Z", "2026-03-29T00:59:00Z", "2026-03-29T01:00:00Z"),
    ("minute", "America/New_York", 1, "2026-11-01T06:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T06:01:00Z"),
    ("hour", "Europe/Berlin", 1, "2026-03-29T00:59:59Z", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"),
    ("hour", "Europe/Berlin", 1, "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
    ("hour", "America/New_York", 1, "2026-03-08T07:00:00Z", "2026-03-08T07:00:00Z", "2026-03-08T08:00:00Z"),
    ("hour", "America/New_York", 1, "2026-11-01T05:30:00Z", "2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z"),
    ("hour", "America/New_York", 1, "2026-11-01T06:30:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"),
    # weeks and months, the same
    ("week", "Europe/Berlin", 1, "2026-10-25T10:00:00Z", "2026-10-18T22:00:00Z", "2026-10-25T23:00:00Z"),
    ("week", "America/New_York", 1, "2026-03-08T12:00:00Z", "2026-03-02T05:00:00Z", "2026-03-09T04:00:00Z"),
    ("month", "Europe/Berlin", 1, "2026-03-31T21:59:59Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
    ("month", "America/New_York", 1, "2026-11-15T00:00:00Z", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z"),
    # ends of months, and leap days
    ("minute", "America/New_York", 1, "2026-12-01T04:59:59Z", "2026-12-01T04:59:00Z", "2026-12-01T05:00:00Z"),
    ("day", "America/New_York", 1, "2026-12-01T04:59:59Z", "2026-11-30T05:00:00Z", "2026-12-01T05:00:00Z"),
    ("minute", "Europe/Berlin", 1, "2028-02-29T22:59:59Z", "2028-02-29T22:59:00Z", "2028-02-29T23:00:00Z"),
    ("hour", "Europe/Berlin", 1, "2028-02-29T22:59:59Z", "2028-02-29T22:00:00Z", "2028-02-29T23:00:00Z"),
    ("hour", "America/New_York", 1, "2028-03-01T04:59:59Z", "2028-03-01T04:00:00Z", "2028-03-01T05:00:00Z"),
    ("day", "America/New_York", 1, "2028-02-29T12:00:00Z", "2028-02-29T05:00:00Z", "2028-03-01T05:00:00Z"),
    ("week", "Europe/Berlin", 1, "2028-02-29T12:00:00Z", "2028-02-27T23:00:00Z", "2028-03-05T23:00:00Z"),
    ("week", "America/New_York", 1, "2028-02-29T12:00:00Z", "2028-02-28T05:00:00Z", "2028-03-06T05:00:00Z"),
    ("month", "America/New_York", 1, "2028-02-29T12:00:00Z", "2028-02-01T05:00:00Z", "2028-03-01T05:00:00Z"),
]


@pytest.mark.parametrize(("kind", "zone", "start_day", "at", "start", "end"), TURNS)
def test_a_window_starts_and_ends_at_the_right_instant(
    kind: str, zone: str, start_day: int, at: str, start: str, end: str
) -> None:
    span = span_at(Window(kind, zone, start_day), instant(at))  # type: ignore[arg-type]
    assert (rfc3339(span.start_us), rfc3339(span.end_us)) == (
        start.replace("Z", ".000000Z"),
        end.replace("Z", ".000000Z"),
    )


ROLLING = [
    # zone, length, an instant, its step's start and end, how far back spending counts, when all of it has left
    (
        "Europe/Berlin",
        60,
        "2026-11-28T12:34:56.5",
        "12:34:56",
        "12:34:57",
        "2026-11-28T12:33:56",
        "2026-11-28T12:35:57",
    ),
    (
        "America/New_York",
        3600,
        "2026-11-28T12:34:56",
        "12:34:00",
        "12:35:00",
        "2026-11-28T11:34:00",
        "2026-11-28T13:35:00",
    ),
    # clocks are put on and back: a rolling day has 24 hours all the same
    (
        "Europe/Berlin",
        86_400,
        "2026-03-29T10:00:00",
        "10:00:00",
        "10:24:00",
        "2026-03-28T10:00:00",
        "2026-03-30T10:24:00",
    ),
    (
        "Europe/Berlin",
        86_400,
        "2026-10-25T00:59:59",
        "00:48:00",
        "01:12:00",
        "2026-10-24T00:48:00",
        "2026-10-26T01:12:00",
    ),
    (
        "America/New_York",
        86_400,
        "2026-03-08T07:00:00",
        "06:48:00",
        "07:12:00",
        "2026-03-07T06:48:00",
        "2026-03-09T07:12:00",
    ),
    (
        "America/New_York",
        86_400,
        "2026-11-01T06:30:00",
        "06:24:00",
        "06:48:00",
        "2026-10-31T06:24:00",
        "2026-11-02T06:48:00",
    ),
    # ends of months and years, and leap days, are days like others
    (
        "Europe/Berlin",
        86_400,
        "2026-12-31T23:12:00",
        "23:12:00",
        "23:36:00",
        "2026-12-30T23:12:00",
        "2027-01-01T23:36:00",
    ),
    (
        "America/New_York",
        86_400,
        "2028-02-29T12:00:00",
        "12:00:00",
        "12:24:00",
        "2028-02-28T12:00:00",
        "2028-03-01T12:24:00",
    ),
    (
        "Europe/Berlin",
        86_400,
        "2028-03-01T00:00:00",
        "00:00:00",
        "00:24:00",
        "2028-02-29T00:00:00",
        "2028-03-02T00:24:00",
    ),
]


@pytest.mark.parametrize(("zone", "seconds", "at", "start", "end", "reach", "reset"), ROLLING)
def test_a_rolling_window_moves_in_steps_and_reaches_back_its_whole_length(
    zone: str, seconds: int, at: str, start: str, end: str, reach: str, reset: str
) -> None:
    window = Window("rolling", zone, seconds=seconds)
    span = span_at(window, instant(at + "+00:00"))
    day = at.partition("T")[0]
    assert (span.start_us, span.end_us) == (instant(f"{day}T{start}+00:00"), instant(f"{day}T{end}+00:00"))
    assert reach_of(window, span) == instant(reach + "+00:00")
    assert resets_at(window, span) == instant(reset + "+00:00")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize(
    "at", ["1970-01-01T00:00:00Z", "2026-03-29T01:00:00Z", "2026-11-01T06:00:00Z", "2028-02-29T12:00:00Z"]
)
def test_a_lifetime_is_one_window_that_never_turns(zone: str, at: str) -> None:
    window = Window("lifetime", zone)
    span = span_at(window, instant(at))
    assert span == Span(0, FOREVER_US)
    assert reach_of(window, span) == 0
    assert resets_at(window, span) is None


WINDOWS = st.builds(
    Window,
    st.sampled_from(("minute", "hour", "day", "week", "month", "rolling", "lifetime")),
    st.sampled_from(("Europe/Berlin", "America/New_York", "UTC", "Asia/Kolkata", "Australia/Lord_Howe")),
    st.integers(1, 31),
    st.integers(1, 86_400 * 40),
)
INSTANTS = st.integers(instant("2025-01-01T00:00:00+00:00"), instant("2030-01-01T00:00:00+00:00"))


@given(WINDOWS, INSTANTS)
def test_every_instant_lies_in_one_window_and_the_next_begins_where_it_ends(window: Window, at_us: int) -> None:
    span = span_at(window, at_us)
    assert at_us in span
    assert span_at(window, span.start_us) == span == span_at(window, span.end_us - 1)
    if window.kind != "lifetime":
        assert span_at(window, span.end_us).start_us == span.end_us


@given(WINDOWS, INSTANTS, st.integers(0, 86_400_000_000 * 3))
def test_a_clock_that_jumps_back_and_forth_finds_the_windows_it_left(window: Window, at_us: int, jump_us: int) -> None:
    before, after = span_at(window, at_us), span_at(window, at_us + jump_us)
    assert span_at(window, at_us) == before
    assert span_at(window, at_us + jump_us) == after


@pytest.mark.parametrize(
    ("window", "kept_hours"), [("minute", 1), ("hour", 4), ("day", 48), ("week", 48), ("month", 48)]
)
def test_the_counter_of_a_short_window_is_not_kept_as_long_as_that_of_a_long_one(window: Any, kept_hours: int) -> None:
    [limit] = read_limits([{"name": "x", "scope": "global", "measure": "requests", "limit": 1, "window": window}])
    at_us = 1_800_000_000_000_000
    span = span_at(limit.window, at_us)
    assert bucket_of(limit, "", span, at_us).keep_until_us - span.end_us == kept_hours * 3_600_000_000
