"""What every adapter of `Counters` does: reserve, extend, settle, void, expire; atomic, and each call once."""

from __future__ import annotations

import threading
from dataclasses import replace

from taximeter.limits.counters import Bucket, Claim, Counters, Standing

NOW = 1_800_000_000_000_000
LATER = NOW + 60_000_000

DAY = Bucket("day|", cap=100, keep_until_us=NOW + 86_400_000_000)
MONTH = Bucket("month|", cap=150, keep_until_us=NOW + 86_400_000_000)
SEEN = Bucket("seen|", cap=None, keep_until_us=NOW + 86_400_000_000)
AT_ONCE = Bucket("now|", cap=2, keep_until_us=2**62, transient=True)


def reserve(counters: Counters, event_id: str, *claims: Claim) -> bool:
    return counters.reserve(event_id, claims, now_us=NOW, expires_us=LATER) is None


def is_known(counters: Counters, event_id: str, *claims: Claim) -> bool:
    """Whether nothing more is held, because the call was reserved before."""
    return counters.reserve(event_id, claims, now_us=NOW, expires_us=LATER) == []


def settle(counters: Counters, event_id: str, *claims: Claim, **how: bool) -> bool:
    return counters.settle(event_id, claims, now_us=NOW, **how) is not None


def standing(counters: Counters, bucket: Bucket) -> tuple[int, int]:
    [found] = counters.standings([bucket])
    return found


def test_nothing_is_spent_or_held_at_first(counters: Counters) -> None:
    assert standing(counters, DAY) == Standing(0, 0)


def test_what_is_reserved_is_held_and_what_is_settled_is_spent(counters: Counters) -> None:
    assert reserve(counters, "a", Claim(DAY, 60))
    assert standing(counters, DAY) == (0, 60)
    assert settle(counters, "a", Claim(DAY, 7))
    assert standing(counters, DAY) == (7, 0)


def test_what_does_not_fit_is_refused_and_told_how_it_stands(counters: Counters) -> None:
    assert reserve(counters, "a", Claim(DAY, 60))
    assert counters.reserve("b", [Claim(DAY, 41)], now_us=NOW, expires_us=LATER) == [(0, 60)]
    assert reserve(counters, "c", Claim(DAY, 40))


def test_a_call_holds_all_of_its_claims_or_none(counters: Counters) -> None:
    assert not reserve(counters, "a", Claim(MONTH, 100), Claim(DAY, 101))
    assert standing(counters, MONTH) == (0, 0)
    assert reserve(counters, "b", Claim(MONTH, 100), Claim(DAY, 100))
    assert not reserve(counters, "c", Claim(DAY, 0), Claim(MONTH, 51))
    assert standing(counters, MONTH) == (0, 100)


def test_a_bucket_without_a_cap_only_counts(counters: Counters) -> None:
    assert reserve(counters, "a", Claim(SEEN, 10**12))
    settle(counters, "a", Claim(SEEN, 2 * 10**12))
    assert standing(counters, SEEN) == (2 * 10**12, 0)


def test_the_same_call_reserved_twice_is_held_once(counters: Counters) -> None:
    assert reserve(counters, "a", Claim(DAY, 60))
    assert is_known(counters, "a", Claim(DAY, 60))
    assert standing(counters, DAY) == (0, 60)


def test_the_same_call_settled_twice_is_spent_once(counters: Counters) -> None:
    reserve(counters, "a", Claim(DAY, 60))
    assert settle(counters, "a", Claim(DAY, 7))
    assert not settle(counters, "a", Claim(DAY, 7))
    assert not settle(counters, "a", Claim(DAY, 9), last=True)
    assert standing(counters, DAY) == (7, 0)


def test_a_call_that_has_ended_holds_nothing_any_more(counters: Counters) -> None:
    settle(counters, "a", Claim(DAY, 7))
    assert is_known(counters, "a", Claim(DAY, 60))
    assert standing(counters, DAY) == (7, 0)


def test_a_call_that_was_never_reserved_is_posted_when_it_ends(counters: Counters) -> None:
    assert settle(counters, "a", Claim(DAY, 7))
    assert standing(counters, DAY) == (7, 0)


def test_settling_may_exceed_a_hold_and_the_cap(counters: Counters) -> None:
    reserve(counters, "a", Claim(DAY, 60))
    settle(counters, "a", Claim(DAY, 130))
    assert standing(counters, DAY) == (130, 0)
    assert not reserve(counters, "b", Claim(DAY, 0))


def test_an_end_that_nobody_saw_keeps_the_bound(counters: Counters) -> None:
    reserve(counters, "a", Claim(DAY, 60))
    settle(counters, "a", Claim(DAY, 7), at_least_held=True)
    reserve(counters, "b", Claim(DAY, 10))
    settle(counters, "b", Claim(DAY, 12), at_least_held=True)
    assert standing(counters, DAY) == (72, 0)


def test_a_void_call_gives_everything_back(counters: Counters) -> None:
    reserve(counters, "a", Claim(DAY, 60), Claim(MONTH, 60))
    counters.void("a")
    counters.void("a")
    assert standing(counters, DAY) == (0, 0)
    assert standing(counters, MONTH) == (0, 0)


def test_a_hold_is_extended_by_what_fits(counters: Counters) -> None:
    reserve(counters, "a", Claim(DAY, 60))
    assert counters.extend("a", [Claim(DAY, 30)], now_us=NOW, expires_us=LATER) is None
    assert counters.extend("a", [Claim(DAY, 11)], now_us=NOW, expires_us=LATER) == [(0, 90)]
    settle(counters, "a", Claim(DAY, 20))
    assert standing(counters, DAY) == (20, 0)


def test_nothing_is_extended_for_a_call_that_is_not_open(counters: Counters) -> None:
    assert counters.extend("a", [Claim(DAY, 1)], now_us=NOW, expires_us=LATER) is not None
    assert standing(counters, DAY) == (0, 0)


def test_a_hold_whose_owner_vanished_is_spent_in_full_until_the_truth_turns_up(counters: Counters) -> None:
    reserve(counters, "a", Claim(DAY, 60))
    assert counters.expire(now_us=LATER - 1) == 0
    assert counters.expire(now_us=LATER) == 1
    assert counters.expire(now_us=LATER) == 0
    assert standing(counters, DAY) == (60, 0)
    settle(counters, "a", Claim(DAY, 7))
    assert standing(counters, DAY) == (7, 0)


def test_an_extension_puts_the_expiry_off(counters: Counters) -> None:
    reserve(counters, "a", Claim(DAY, 10))
    counters.extend("a", [Claim(DAY, 1)], now_us=NOW, expires_us=LATER + 10)
    assert counters.expire(now_us=LATER) == 0


def test_an_extension_by_nothing_puts_the_expiry_off(counters: Counters) -> None:
    reserve(counters, "a", Claim(DAY, 60))
    assert counters.extend("a", (), now_us=NOW, expires_us=LATER + 60) is None
    assert counters.expire(now_us=LATER) == 0
    assert standing(counters, DAY) == (0, 60)
    assert counters.expire(now_us=LATER + 60) == 1
    assert standing(counters, DAY) == (60, 0)


def test_calls_at_once_leave_nothing_behind(counters: Counters) -> None:
    assert reserve(counters, "a", Claim(AT_ONCE, 1))
    assert reserve(counters, "b", Claim(AT_ONCE, 1))
    assert not reserve(counters, "c", Claim(AT_ONCE, 1))
    settle(counters, "a", Claim(AT_ONCE, 1))
    assert standing(counters, AT_ONCE) == (0, 1)
    assert counters.expire(now_us=LATER) == 1
    assert standing(counters, AT_ONCE) == (0, 0)


def test_what_is_held_of_a_limit_that_is_no_more_is_given_back(counters: Counters) -> None:
    reserve(counters, "a", Claim(DAY, 60), Claim(MONTH, 60))
    settle(counters, "a", Claim(DAY, 7))
    assert standing(counters, MONTH) == (0, 0)
    assert standing(counters, DAY) == (7, 0)


def test_a_limit_that_came_in_the_meantime_is_posted_too(counters: Counters) -> None:
    reserve(counters, "a", Claim(DAY, 60))
    settle(counters, "a", Claim(DAY, 7), Claim(MONTH, 7))
    assert standing(counters, MONTH) == (7, 0)


def rolling(step: int, reach: int) -> Bucket:
    return Bucket("rolling|", cap=100, keep_until_us=NOW + 86_400_000_000, step_us=step, reach_us=reach)


def test_what_leaves_a_rolling_window_no_longer_counts(counters: Counters) -> None:
    settle(counters, "a", Claim(rolling(10, 0), 40))
    settle(counters, "b", Claim(rolling(20, 0), 50))
    assert standing(counters, rolling(30, 10)) == (90, 0)
    assert not reserve(counters, "c", Claim(rolling(30, 10), 11))
    assert reserve(counters, "c", Claim(rolling(30, 11), 11))
    assert standing(counters, rolling(30, 21)) == (0, 11)


def test_a_call_that_ends_later_is_spent_in_the_step_it_began_in(counters: Counters) -> None:
    reserve(counters, "a", Claim(rolling(10, 0), 40))
    settle(counters, "a", Claim(rolling(10, 0), 30))
    assert standing(counters, rolling(20, 10)) == (30, 0)
    assert standing(counters, rolling(20, 11)) == (0, 0)


def test_a_clock_that_jumps_back_finds_what_it_left(counters: Counters) -> None:
    settle(counters, "a", Claim(rolling(100, 40), 40))
    assert standing(counters, rolling(170, 110)) == (0, 0)
    assert standing(counters, rolling(100, 40)) == (40, 0)


def test_a_call_by_a_clock_that_is_ahead_makes_nothing_forgotten(counters: Counters) -> None:
    def ahead(step: int) -> Bucket:
        return rolling(NOW + step, NOW + step - 60)

    settle(counters, "now", Claim(ahead(0), 40))
    assert reserve(counters, "ahead", Claim(ahead(1_000), 5))
    settle(counters, "ahead", Claim(ahead(1_000), 5))
    assert standing(counters, ahead(0)) == (40, 0)


def test_to_a_call_of_a_while_ago_counts_the_fullest_window_it_is_in_and_not_all_that_came_since(
    counters: Counters,
) -> None:
    for step in range(0, 240, 10):
        settle(counters, f"b{step}", Claim(rolling(step, step - 60), 10))
    assert standing(counters, rolling(230, 170)) == (70, 0)
    assert standing(counters, rolling(100, 40)) == (70, 0)
    settle(counters, "peak", Claim(rolling(130, 70), 25))
    assert standing(counters, rolling(100, 40)) == (95, 0)
    assert standing(counters, rolling(65, 5)) == (70, 0)
    assert standing(counters, rolling(70, 10)) == (95, 0)
    assert standing(counters, rolling(195, 135)) == (70, 0)
    assert standing(counters, rolling(190, 130)) == (95, 0)


def test_a_call_of_a_while_ago_holds_more_as_long_as_its_own_windows_have_room(counters: Counters) -> None:
    reserve(counters, "long", Claim(rolling(0, -60), 5))
    for step in range(0, 240, 10):
        settle(counters, f"b{step}", Claim(rolling(step, step - 60), 10))
    assert counters.extend("long", [Claim(rolling(0, -60), 25)], now_us=NOW, expires_us=LATER) is None
    assert counters.extend("long", [Claim(rolling(0, -60), 1)], now_us=NOW, expires_us=LATER) == [(70, 30)]


def test_what_the_store_knows_is_booked_at_least(counters: Counters) -> None:
    settle(counters, "a", Claim(DAY, 30), Claim(rolling(10, 0), 30))
    counters.raise_to([Claim(DAY, 50), Claim(MONTH, 20), Claim(rolling(10, 0), 45)], now_us=NOW)
    counters.raise_to([Claim(DAY, 40)], now_us=NOW)
    assert standing(counters, DAY) == (50, 0)
    assert standing(counters, MONTH) == (20, 0)
    assert standing(counters, rolling(10, 0)) == (45, 0)


def test_of_a_rolling_window_what_the_store_knows_of_several_steps_is_booked_at_least_in_them(
    counters: Counters,
) -> None:
    for step in range(0, 60, 10):
        settle(counters, f"b{step}", Claim(rolling(step, step - 60), 10))
    known = [Claim(rolling(20, 0), 30), Claim(rolling(50, 30), 45)]
    for _ in range(2):
        counters.raise_to(known, now_us=NOW)
        assert standing(counters, rolling(50, -10)) == (75, 0)
    assert standing(counters, rolling(80, 20)) == (55, 0)


def test_a_rolling_window_that_begins_with_what_the_store_knows_has_all_of_it(counters: Counters) -> None:
    counters.raise_to([Claim(rolling(50, 30), 45), Claim(rolling(20, 0), 30)], now_us=NOW)
    assert standing(counters, rolling(50, -10)) == (75, 0)
    assert not reserve(counters, "a", Claim(rolling(50, -10), 26))
    assert reserve(counters, "a", Claim(rolling(90, 30), 55))


def test_amounts_are_exact_up_to_the_largest(counters: Counters) -> None:
    whole = replace(DAY, slot="large|", cap=2**53 - 1)
    assert reserve(counters, "a", Claim(whole, 2**53 - 2))
    assert reserve(counters, "b", Claim(whole, 1))
    assert not reserve(counters, "c", Claim(whole, 1))
    settle(counters, "a", Claim(whole, 2**53 - 3))
    settle(counters, "b", Claim(whole, 1))
    assert standing(counters, whole) == (2**53 - 2, 0)


def test_of_many_calls_at_the_same_moment_only_those_that_fit_get_in(counters: Counters) -> None:
    granted = []

    def one(number: int) -> None:
        if reserve(counters, f"call-{number}", Claim(DAY, 7), Claim(MONTH, 7)):
            granted.append(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 14
    assert standing(counters, DAY) == (0, 98)
