"""Calls reported by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from replay import Written

import taximeter
from taximeter.core.ids import unix_ms_of
from taximeter.errors import UsageError


def test_the_documented_example(written: Written) -> None:
    event_id = taximeter.record(
        provider="openai",
        model="gpt-4o-mini",
        input_tokens=1500,
        output_tokens=450,
        feature="smart-reply",
        user="user_12345",
    )
    (event,) = written.events
    assert unix_ms_of(event_id) is not None
    assert event.pop("started_at").endswith("Z")
    assert event == {
        "event_id": event_id,
        "source": "sdk",
        "status": "ok",
        "attempt": 1,
        "provider": "openai",
        "request_model": "gpt-4o-mini",
        "operation": "chat",
        "feature": "smart-reply",
        "user_id": "user_12345",
        "input_tokens": 1500,
        "output_tokens": 450,
    }


def test_everything_that_can_be_said(written: Written) -> None:
    event_id = "01890000-0000-7000-8000-000000000001"
    with taximeter.attribute(user="outer", team="core"):
        taximeter.record(
            provider="acme",
            model="m",
            event_id=event_id.upper(),
            started_at=datetime(2026, 11, 20, 9, 30, tzinfo=UTC),
            duration_ms=12.5,
            status="error",
            error_type="timeout",
            input_tokens=10,
            cache_read_tokens=4,
            output_tokens=None,
            units={"web_searches": 2, "pages": Decimal("1.5")},
            reported_cost_usd="0.0125",
            user="inner",
            colour="red",
        )
    (event,) = written.events
    assert (event["event_id"], event["started_at"]) == (event_id, "2026-11-20T09:30:00.000000Z")
    assert (event["user_id"], event["team"], event["tags"]) == ("inner", "core", {"colour": "red"})
    assert (event["units"], event["reported_cost_usd"]) == ({"web_searches": 2, "pages": "1.5"}, "0.0125")
    assert "output_tokens" not in event


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"input_tokens": -1}, "input_tokens"),
        ({"input_tokens": 1.5}, "input_tokens"),
        ({"input_tokens": True}, "input_tokens"),
        ({"input_tokens": "12"}, "input_tokens"),
        ({"input_tokens": 5, "cache_read_tokens": 6}, "cache_read_tokens"),
        ({"reasoning_tokens": 6}, "reasoning_tokens"),
        ({"input_token": 5}, "input_token"),
        ({"cached_tokens": 5}, "cached_tokens"),
        ({"cost_usd": "1"}, "cost_usd"),
        ({"units": {"pages": 1.5}}, "units.pages"),
        ({"units": {"pages": Decimal("NaN")}}, "units.pages"),
        ({"units": {"pages": -1}}, "units.pages"),
        ({"reported_cost_usd": 0.1}, "reported_cost_usd"),
        ({"reported_cost_usd": "cheap"}, "reported_cost_usd"),
        ({"reported_cost_usd": "Infinity"}, "reported_cost_usd"),
        ({"started_at": datetime(2026, 1, 1)}, "started_at"),
        ({"status": "fine"}, "status"),
        ({"event_id": "mine"}, "event_id"),
        ({"event_id": 7}, "event_id"),
        ({"provider": ""}, "provider"),
        ({"attempt": 0}, "attempt"),
    ],
)
def test_what_cannot_be_true_is_refused(wrong: dict[str, Any], field: str, written: Written) -> None:
    with pytest.raises(UsageError) as raised:
        taximeter.record(**{"provider": "openai", "model": "m", **wrong})
    assert raised.value.facts["field"] == field
    assert written.lines == []
