"""What every store of metadata promises of findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hand_clock import START_US

from taximeter.anomaly.finding import Contributor, Expectation, Finding
from taximeter.errors import NotFoundError
from taximeter.store.metadata import Metadata


def finding(finding_id: str = "f1", detected_at_us: int = START_US) -> Finding:
    return Finding(
        finding_id=finding_id,
        kind="volume_spike",
        scope={"feature": "chat\0\ud83d"},
        severity="critical",
        started_at_us=detected_at_us - 60_000_000,
        detected_at_us=detected_at_us,
        updated_at_us=detected_at_us,
        ended_at_us=None,
        expectation=Expectation("calls", 60.0, expected=10.0, low=5.5, high=15.25, basis="6 Tuesdays"),
        excess_usd=Decimal("0.000000000001"),
        excess_usd_per_hour=None,
        contributors=[Contributor("user_id", "u1", 0.5, Decimal("123456.123456789012"))],
        summary="calls in chat: 60 instead of 10",
        evidence={"calls": 60, "ratio": 6.0, "users": ["u1"], "none": None},
    )


def test_a_finding_comes_back_as_it_was_to_the_last_digit(reopen: Callable[[], Metadata]) -> None:
    reopen().findings.keep([finding()])
    assert reopen().findings.get("f1").finding == finding()


def test_what_becomes_of_a_finding_replaces_it_and_its_verdict_stays(metadata: Metadata) -> None:
    metadata.findings.keep([finding()])
    metadata.findings.judge("f1", "confirmed", "ann")
    later = replace(finding(), severity="warning", ended_at_us=START_US + 5, updated_at_us=START_US + 5)
    metadata.findings.keep([later, finding("f2")])
    kept = metadata.findings.get("f1")
    assert (kept.finding, kept.verdict, kept.verdict_by) == (later, "confirmed", "ann")
    assert [one.finding_id for one in metadata.findings.open()] == ["f2"]


def test_findings_are_listed_newest_first(metadata: Metadata) -> None:
    metadata.findings.keep([finding(str(at), START_US + at) for at in (2, 3, 1)])
    metadata.findings.keep([replace(finding("3", START_US + 3), ended_at_us=START_US + 9)])
    listed = metadata.findings.list
    assert [one.finding.finding_id for one in listed()] == ["3", "2", "1"]
    assert [one.finding.finding_id for one in listed(open_only=True)] == ["2", "1"]
    assert [one.finding.finding_id for one in listed(since_us=START_US + 2)] == ["3", "2"]
    assert [one.finding.finding_id for one in listed(limit=1)] == ["3"]


def test_a_finding_that_does_not_exist_cannot_be_judged(metadata: Metadata) -> None:
    with pytest.raises(NotFoundError, match="no finding nope"):
        metadata.findings.judge("nope", "confirmed", "ann")
    metadata.findings.keep([])
    assert metadata.findings.list() == []


def gone(user: str, at_us: int) -> bool:
    return user == "u1" and at_us <= START_US + 10


def test_a_deleted_user_goes_from_findings_that_have_ended(metadata: Metadata) -> None:
    about = replace(finding("about", START_US), scope={"user_id": "u1"}, ended_at_us=START_US + 20)
    beside = replace(finding("beside", START_US), summary="calls of u1 (u10, Xu1) in chat", ended_at_us=START_US + 20)
    later = replace(finding("later", START_US + 11), ended_at_us=START_US + 20)
    other = replace(beside, finding_id="other", contributors=[], summary="calls of team u1")
    metadata.findings.keep([about, beside, later, other, finding("open", START_US)])
    assert metadata.findings.forget_users(gone) == 2
    left = {one.finding.finding_id: one.finding for one in metadata.findings.list()}
    assert left.keys() == {"beside", "later", "other", "open"}
    told = left["beside"]
    assert [one.value for one in told.contributors] == ["a deleted user"]
    assert told.contributors[0].change_usd == beside.contributors[0].change_usd
    assert told.summary == "calls of a deleted user (u10, Xu1) in chat"
    assert told.evidence["users"] == ["a deleted user"]
    assert [left["later"], left["other"]] == [later, other]
    assert metadata.findings.forget_users(gone) == 0
