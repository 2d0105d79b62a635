"""What every store of metadata promises of limits: their versions, what was crossed, calls whose end nobody saw."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hand_clock import START_US, HandClock

from taximeter.errors import NotFoundError
from taximeter.store.metadata import LimitCrossing, Metadata, UnseenCall, Version

LONGEST_VALUE = "".join(chr(0x1F300 + number) for number in range(512))
"""The longest value of an attribute, in characters of four bytes each."""


def crossing(**changed: Any) -> LimitCrossing:
    told = {"slot": "chat|1f|u1|1", "kind": "threshold", "percent": 80, "name": "chat", "value": "u1"}
    whole = {**told, "measure": "cost_usd", "mode": "hard", "amount": 10, "spent": 8, "at_us": START_US, **changed}
    return LimitCrossing(**whole)


def unseen(event_id: str = "e1", cost_nano_usd: int = 5) -> UnseenCall:
    return UnseenCall(
        event_id=event_id,
        at_us=START_US,
        subject={"user_id": "u1"},
        cost_nano_usd=cost_nano_usd,
        input_tokens=1,
        output_tokens=2,
    )


def test_every_version_of_a_limit_is_kept_and_the_newest_counts(metadata: Metadata, clock: HandClock) -> None:
    first = metadata.limits.set("chat", {"limit": 1}, "ann")
    clock.seconds = 1
    second = metadata.limits.set("chat", {"limit": 2}, "bob")
    metadata.limits.set("all", {"limit": 3}, "ann")
    assert first == Version("chat", 1, {"limit": 1}, START_US, "ann")
    assert second == Version("chat", 2, {"limit": 2}, START_US + 1_000_000, "bob")
    assert [(one.name, one.version) for one in metadata.limits.current()] == [("all", 1), ("chat", 2)]
    assert metadata.limits.history("chat") == [second, first]
    assert metadata.limits.history("nope") == []


def test_a_limit_that_was_removed_is_history_until_it_is_set_again(metadata: Metadata) -> None:
    metadata.limits.set("chat", {"limit": 1}, "ann")
    assert metadata.limits.remove("chat", "bob").definition is None
    assert metadata.limits.current() == []
    with pytest.raises(NotFoundError, match="no limit 'chat'"):
        metadata.limits.remove("chat", "bob")
    metadata.limits.set("chat", {"limit": 2}, "ann")
    assert [(one.version, one.definition) for one in metadata.limits.history("chat")] == [
        (3, {"limit": 2}),
        (2, None),
        (1, {"limit": 1}),
    ]


def test_every_change_is_counted_for_those_who_keep_a_copy(reopen: Callable[[], Metadata]) -> None:
    here, there = reopen(), reopen()
    before = here.limits.change_number()
    there.limits.set("chat", {"limit": 1}, "ann")
    there.limits.remove("chat", "ann")
    assert here.limits.change_number() == before + 2


def test_processes_that_set_a_limit_at_once_make_one_version_each(reopen: Callable[[], Metadata]) -> None:
    books = [reopen().limits for _ in range(4)]
    with ThreadPoolExecutor(len(books)) as threads:
        list(threads.map(lambda book: [book.set("chat", {"limit": n}, "ann") for n in range(3)], books))
    assert [one.version for one in books[0].history("chat")] == list(range(12, 0, -1))


def test_a_threshold_is_crossed_once_whoever_tells_it(reopen: Callable[[], Metadata]) -> None:
    here, there = reopen(), reopen()
    told = [crossing(), crossing(percent=100), crossing(kind="burn_fast", percent=0)]
    assert here.limits.note_crossings(told) == told
    assert there.limits.note_crossings([crossing(spent=9), crossing(slot="other")]) == [crossing(slot="other")]
    assert len(there.limits.crossings(START_US)) == 4


def test_crossings_since_an_instant_oldest_first(metadata: Metadata) -> None:
    told = [crossing(slot=str(at), at_us=START_US + at) for at in (3, 1, 2)]
    metadata.limits.note_crossings(told)
    assert [one.at_us - START_US for one in metadata.limits.crossings(START_US + 2)] == [2, 3]
    assert [one.at_us - START_US for one in metadata.limits.crossings(START_US, most=1)] == [1]


@pytest.mark.parametrize("value", [LONGEST_VALUE, "", "a'b\"c\\", "\x01\x7f", "ö\u202e"], ids=repr)
def test_a_value_comes_back_as_it_was(metadata: Metadata, value: str) -> None:
    told = crossing(slot=f"{'n' * 100}|0123456789abcdef|{value}|{START_US}", value=value)
    metadata.limits.note_crossings([told])
    assert metadata.limits.crossings(START_US) == [told]


def test_what_no_engine_can_be_trusted_with_is_kept_as_its_sign(metadata: Metadata) -> None:
    metadata.limits.note_crossings([crossing(value="a\0b", slot="a\0b")])
    assert [one.value for one in metadata.limits.crossings(START_US)] == ["a\N{SYMBOL FOR NULL}b"]
    assert metadata.limits.note_crossings([crossing(value="a\0b", slot="a\0b")]) == []


def test_of_an_unseen_call_the_first_word_stands(reopen: Callable[[], Metadata]) -> None:
    reopen().limits.note_unseen([unseen(), unseen("e2")])
    reopen().limits.note_unseen([unseen(cost_nano_usd=7)])
    found = reopen().limits.unseen(START_US)
    assert sorted(found, key=lambda one: one.event_id) == [unseen(), unseen("e2")]
    assert reopen().limits.unseen(START_US + 1) == []


def gone_by_now(deleted: str) -> Callable[[str, int], bool]:
    return lambda user, at_us: user == deleted and at_us <= START_US


@pytest.mark.parametrize("deleted", ["a", "b"])
def test_a_user_whose_name_has_a_stroke_stays_when_one_named_like_its_part_is_deleted(
    metadata: Metadata, deleted: str
) -> None:
    metadata.limits.note_crossings([crossing(value="a/b", user_id="a/b")])
    assert metadata.limits.forget_users(gone_by_now(deleted)) == 0
    assert len(metadata.limits.crossings(0)) == 1


@pytest.mark.parametrize("deleted", ["a/b", "core", "a"])
def test_a_crossing_that_does_not_say_whose_it_is_goes_with_any_user_that_it_may_be_about(
    metadata: Metadata, deleted: str
) -> None:
    values = {"a/b": "a/b", "core": "core/a%2Fb", "a": "a/b"}
    metadata.limits.note_crossings([crossing(value=values[deleted], user_id=None)])
    assert metadata.limits.forget_users(gone_by_now(deleted)) == 1


def test_a_deleted_user_goes_from_what_was_crossed_and_from_calls_unseen(metadata: Metadata) -> None:
    gone = gone_by_now("a/b")
    values = {"one": "a/b", "two": "core/a%2Fb", "named": "", "late": "a/b"}
    theirs_crossed = [
        crossing(slot=slot, value=value, user_id="a/b", at_us=START_US + (slot == "late"))
        for slot, value in values.items()
    ]
    of_others = {"else": ("a", "a"), "team": ("a/b", ""), "all": ("", "")}
    others = [crossing(slot=slot, value=value, user_id=user) for slot, (value, user) in of_others.items()]
    metadata.limits.note_crossings([*theirs_crossed, *others])
    theirs = replace(unseen("e1"), subject={"user_id": "a/b", "team": "core"})
    metadata.limits.note_unseen([theirs, unseen("e2")])
    assert metadata.limits.forget_users(gone) == 4
    assert {one.slot for one in metadata.limits.crossings(0)} == {"late", "else", "team", "all"}
    left = {call.event_id: call for call in metadata.limits.unseen(0)}
    assert left == {"e1": replace(theirs, subject={"team": "core"}), "e2": unseen("e2")}
    assert metadata.limits.forget_users(gone) == 0


def test_of_more_crossings_than_are_asked_for_the_latest_can_be_had_oldest_first(metadata: Metadata) -> None:
    crossed = [crossing(slot=f"chat|{number}", at_us=START_US + number) for number in range(5)]
    metadata.limits.note_crossings(crossed)
    assert metadata.limits.crossings(START_US, most=3, latest=True) == crossed[2:]
