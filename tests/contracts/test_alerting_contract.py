"""What every store of metadata promises of alerting: desk, incidents, outbox, silences, marks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hand_clock import START_US

from taximeter.errors import NotFoundError, StoreError
from taximeter.store.metadata import Annotation, IncidentRecord, Letter, Metadata, SilenceRecord, alerting


def incident(incident_id: str = "i1", opened_at_us: int = START_US) -> IncidentRecord:
    return IncidentRecord(
        incident_id=incident_id,
        severity="critical",
        opened_at_us=opened_at_us,
        resolved_at_us=None,
        acknowledged_by=None,
        content={"alerts": [{"facts": {"cost_usd": "1.25", "user": "ö"}}]},
    )


def letter(notification_id: str, **changed: Any) -> Letter:
    told: dict[str, Any] = {"incident_id": "i1", "channel": "slack", "event": "opened", "content": {"title": "x"}}
    times = {"created_at_us": START_US, "due_at_us": START_US}
    return Letter(notification_id=notification_id, **{**told, **times, "state": "waiting", "tries": 0, **changed})


def silence(ends_at_us: int = START_US + 10) -> SilenceRecord:
    return SilenceRecord(
        silence_id="s1", matchers={"feature": "chat"}, starts_at_us=0, ends_at_us=ends_at_us, author="ann", comment=""
    )


def test_the_desk_is_the_one_that_was_kept_last(reopen: Callable[[], Metadata]) -> None:
    metadata = reopen()
    assert metadata.alerting.desk() is None
    metadata.alerting.keep("first", [], [])
    metadata.alerting.keep("second", [], [])
    assert reopen().alerting.desk() == "second"


def test_a_desk_that_somebody_else_changed_meanwhile_is_not_overwritten(reopen: Callable[[], Metadata]) -> None:
    here, there = reopen().alerting, reopen().alerting
    here.keep("first", [], [], replacing=None)
    with pytest.raises(StoreError, match="changed by another server"):
        there.keep("too late", [], [letter("n1")], replacing=None)
    there.keep("second", [], [], replacing="first")
    with pytest.raises(StoreError, match="changed by another server"):
        here.keep("too late", [incident()], [letter("n1")], replacing="first")
    assert (here.desk(), here.letters(), here.incidents()) == ("second", [], [])


def test_incidents_are_replaced_and_listed_newest_first(metadata: Metadata) -> None:
    kept = metadata.alerting
    kept.keep("", [incident(), incident("i2", START_US + 1)], [])
    over = replace(incident(), resolved_at_us=START_US + 9, acknowledged_by="ann")
    kept.keep("", [over], [])
    assert kept.incidents() == [incident("i2", START_US + 1), over]
    assert kept.incidents(open_only=True) == [incident("i2", START_US + 1)]
    assert kept.incident("i1") == over
    with pytest.raises(NotFoundError, match="no incident nope"):
        kept.incident("nope")


def test_a_letter_that_is_known_is_not_taken_twice(metadata: Metadata) -> None:
    metadata.alerting.keep("", [], [letter("n1")])
    metadata.alerting.delivered("n1", START_US + 5)
    metadata.alerting.keep("", [], [letter("n1"), letter("n2")])
    assert [one.notification_id for one in metadata.alerting.due(START_US)] == ["n2"]
    [delivered] = metadata.alerting.letters(state="delivered")
    assert (delivered.tries, delivered.delivered_at_us, delivered.error) == (1, START_US + 5, None)


def test_what_a_channel_calls_its_first_message_of_an_incident_is_found_again(metadata: Metadata) -> None:
    kept = metadata.alerting
    later = {"created_at_us": START_US + 1}
    kept.keep("", [], [letter("n1"), letter("n2", **later), letter("n3", channel="mail")])
    assert kept.first_receipt("i1", "slack") is None
    kept.delivered("n2", START_US + 5, "C1/2")
    kept.delivered("n1", START_US + 6, "C1/1")
    kept.delivered("n3", START_US + 6)
    assert [kept.first_receipt("i1", channel) for channel in ("slack", "mail")] == ["C1/1", None]
    assert kept.first_receipt("i2", "slack") is None


def test_processes_that_keep_the_same_letters_at_once_keep_each_once(reopen: Callable[[], Metadata]) -> None:
    several = [reopen().alerting for _ in range(4)]
    letters = [letter(f"n{number}") for number in range(5)]
    with ThreadPoolExecutor(len(several)) as threads:
        list(threads.map(lambda one: one.keep("desk", [incident()], letters), several))
    assert len(several[0].letters()) == len(letters)
    assert several[0].incidents() == [incident()]


def test_behind_a_letter_that_waits_those_of_its_incident_and_channel_wait_too(metadata: Metadata) -> None:
    kept = metadata.alerting
    later = {"created_at_us": START_US + 1, "due_at_us": START_US + 1}
    kept.keep("", [], [letter("n1"), letter("n2", **later), letter("n3", channel="mail", **later)])
    kept.failed("n1", "away", START_US + 100)
    assert [one.notification_id for one in kept.due(START_US + 50)] == ["n3"]
    assert [one.notification_id for one in kept.due(START_US + 100)] == ["n1", "n2", "n3"]


def test_a_letter_without_a_next_try_is_dead(metadata: Metadata) -> None:
    kept = metadata.alerting
    kept.keep("", [], [letter("n1")])
    kept.failed("n1", "x" * 5000, None)
    assert kept.due(START_US + 10**12) == []
    assert (kept.dead_since(START_US), kept.dead_since(START_US + 1)) == (1, 0)
    assert [one.error for one in kept.letters("i1", state="dead")] == ["x" * 5000]


def test_a_letter_that_is_given_up_after_a_day_is_as_dead_as_one_that_was_refused_at_once(metadata: Metadata) -> None:
    kept, day_us = metadata.alerting, 24 * 3600 * 1_000_000
    kept.keep("", [], [letter("n1")])
    kept.failed("n1", "away", START_US + day_us)
    kept.failed("n1", "away", None)
    assert (kept.dead_since(START_US + day_us), kept.dead_since(START_US + day_us + 1)) == (1, 0)


def test_letters_that_wait_for_long_are_counted_by_their_channel(metadata: Metadata) -> None:
    kept = metadata.alerting
    kept.keep(
        "", [], [letter("n1"), letter("n2"), letter("n3", channel="mail"), letter("n4", created_at_us=START_US + 9)]
    )
    for one in ("n1", "n2", "n4"):
        kept.failed(one, "away", START_US + 10**9)
    assert kept.late(START_US + 9) == {"slack": 2}
    kept.delivered("n1", START_US + 10)
    assert kept.late(START_US + 9) == {"slack": 1}


def test_the_oldest_delivered_letters_give_way(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerting, "MOST_DELIVERED", 2)
    kept = metadata.alerting
    kept.keep("", [], [letter(f"n{number}", created_at_us=START_US + number) for number in range(4)])
    for number in range(3):
        kept.delivered(f"n{number}", START_US + 10 + number)
    kept.tidy()
    assert [one.notification_id for one in kept.letters()] == ["n3", "n2", "n1"]


def test_a_silence_lasts_until_it_is_over_or_ended(metadata: Metadata) -> None:
    kept = metadata.alerting
    kept.silence(silence(START_US + 5))
    kept.silence(silence())
    assert kept.silences(START_US + 9) == [silence()]
    assert kept.silences(START_US + 10) == []
    kept.end_silence("s1", START_US + 1)
    assert kept.silences(START_US + 1) == []
    with pytest.raises(NotFoundError, match="no silence s1 lasts"):
        kept.end_silence("s1", START_US + 1)


def test_marks_of_a_time_newest_first(metadata: Metadata) -> None:
    marks = [
        Annotation(annotation_id=str(at), at_us=at, text="deploy", author="ci", labels={"feature": "chat"})
        for at in (1, 2, 3)
    ]
    for mark in (*marks, marks[0]):
        metadata.alerting.annotate(mark)
    assert metadata.alerting.annotations(1, 3) == [marks[1], marks[0]]
    assert metadata.alerting.annotations(1, 4, limit=1) == [marks[2]]
