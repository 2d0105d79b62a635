"""Outcomes reported by hand."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from replay import Written

import taximeter
from taximeter.core.ids import unix_ms_of
from taximeter.core.outcome import is_outcome
from taximeter.errors import UsageError
from taximeter.sdk.guard import GUARD


def test_the_documented_example(written: Written) -> None:
    outcome_id = taximeter.outcome("ticket_solved", user="user_123", value_usd="4.00")
    (outcome,) = written.lines
    assert unix_ms_of(outcome_id) is not None
    assert outcome.pop("occurred_at").endswith("Z")
    assert outcome == {
        "record": "outcome",
        "outcome_id": outcome_id,
        "name": "ticket_solved",
        "source": "sdk",
        "value_usd": "4",
        "user_id": "user_123",
    }


def test_its_line_begins_as_those_who_tell_records_apart_expect(written: Written) -> None:
    taximeter.outcome("ticket_solved")
    (file,) = written.data.rglob("*.ndjson")
    assert is_outcome(file.read_bytes())


def test_everything_that_can_be_said(written: Written) -> None:
    outcome_id = "01890000-0000-7000-8000-000000000001"
    with taximeter.attribute(user="outer", team="core", plan="free"):
        taximeter.outcome(
            " sold ",
            outcome_id=outcome_id.upper(),
            occurred_at=datetime(2026, 11, 20, 9, 30, tzinfo=UTC),
            value_usd=Decimal("-0.125"),
            tags={"shop": 7},
            user="inner",
            name="a tag",
        )
    (outcome,) = written.lines
    assert (outcome["outcome_id"], outcome["occurred_at"]) == (outcome_id, "2026-11-20T09:30:00.000000Z")
    assert (outcome["name"], outcome["value_usd"]) == ("sold", "-0.125")
    assert (outcome["user_id"], outcome["team"]) == ("inner", "core")
    assert outcome["tags"] == {"plan": "free", "shop": "7", "name": "a tag"}


def test_what_is_said_at_the_start_holds_for_outcomes_too(tmp_path: Path) -> None:
    taximeter.init(data=tmp_path, service="checkout", environment="prod")
    taximeter.outcome("sold", environment="staging")
    (outcome,) = Written(tmp_path).lines
    assert (outcome["service"], outcome["environment"]) == ("checkout", "staging")
    taximeter.shutdown()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"value_usd": 4.0}, "value_usd"),
        ({"value_usd": "much"}, "value_usd"),
        ({"value_usd": "NaN"}, "value_usd"),
        ({"value_usd": "1000000"}, "value_usd"),
        ({"worth_usd": "4"}, "worth_usd"),
        ({"occurred_at": datetime(2026, 1, 1)}, "occurred_at"),
        ({"outcome_id": "mine"}, "outcome_id"),
    ],
)
def test_what_cannot_be_true_is_refused(wrong: dict[str, Any], field: str, written: Written) -> None:
    with pytest.raises(UsageError) as raised:
        taximeter.outcome("sold", **wrong)
    assert raised.value.facts["field"] == field
    assert written.lines == []


@pytest.mark.parametrize("name", ["", "  ", None, 7])
def test_an_outcome_needs_a_name(name: Any, written: Written) -> None:
    with pytest.raises(UsageError, match="needs a name"):
        taximeter.outcome(name)
    assert written.lines == []


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_nothing_else_reaches_the_host(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    taximeter.init(data=tmp_path)
    with caplog.at_level(logging.CRITICAL, logger="taximeter"):
        taximeter.outcome("sold", user=Unspeakable())
    assert GUARD.failures == {"attribute": 1}
    (outcome,) = Written(tmp_path).lines
    assert outcome["name"] == "sold"
    taximeter.shutdown()
