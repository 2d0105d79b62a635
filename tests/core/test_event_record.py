from __future__ import annotations

import json
from datetime import UTC
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from taximeter.clock import rfc3339, to_datetime, to_unix_us
from taximeter.core.attribution import MOST_TAGS, NOBODY, Attribution, attribution
from taximeter.core.event import FIELD_NAMES, UsageEvent, as_record, usage_of
from taximeter.core.usage import Usage

ID = "01a1fba2-7e32-7ad5-b9b0-cb3012ea8ec2"


def event(**more: Any) -> UsageEvent:
    return UsageEvent(event_id=ID, started_at_us=0, source="sdk", status="ok", provider="openai", **more)


def test_a_record_leaves_out_what_is_not_known() -> None:
    assert as_record(event()) == {
        "event_id": ID,
        "started_at": "1970-01-01T00:00:00.000000Z",
        "source": "sdk",
        "status": "ok",
        "attempt": 1,
        "provider": "openai",
    }


def test_a_record_has_only_the_documented_keys_and_is_json() -> None:
    full = event(
        request_model="gpt-4o",
        response_model="gpt-4o-2024-08-06",
        duration_ms=1.23456,
        time_to_first_token_ms=0.5,
        http_status=200,
        attribution=attribution(user="u", feature="f", colour="red"),
        usage=Usage(input_tokens=9, cache_read_tokens=0, units={"web_searches": 2, "audio_seconds": Decimal("1.5")}),
        by_model=(("m", Usage(output_tokens=1)),),
        not_billed=True,
        usage_estimated=True,
        usage_conflict=True,
        reported_cost_usd=Decimal("0.1"),
    )
    record = json.loads(json.dumps(as_record(full)))
    assert set(record) <= set(FIELD_NAMES)
    assert record["duration_ms"] == 1.235
    assert record["units"] == {"web_searches": 2, "audio_seconds": "1.5"}
    assert record["by_model"] == [{"model": "m", "output_tokens": 1}]
    assert record["cache_read_tokens"] == 0, "a count of none is said"
    assert "output_tokens" not in record, "an unknown count is not said"


@given(st.builds(Usage, input_tokens=st.integers(0, 99), output_tokens=st.none() | st.integers(0, 99)))
def test_usage_survives_its_record(usage: Usage) -> None:
    assert usage_of(as_record(event(usage=usage))) == usage


@given(st.datetimes(min_value=to_datetime(0).replace(tzinfo=None), timezones=st.sampled_from([UTC])))
def test_time_is_kept_to_the_microsecond(moment: Any) -> None:
    us = to_unix_us(moment)
    assert to_datetime(us) == moment
    assert rfc3339(us) == moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def test_short_names_become_fields_and_unknown_names_become_tags() -> None:
    made = attribution(user=7, feature="chat", plan="pro", nothing=None, tags={"a": 1})
    assert made == Attribution(user_id="7", feature="chat", tags={"a": "1", "plan": "pro"})


def test_an_empty_text_is_not_said() -> None:
    outer = attribution(user="ann", team="core")
    assert attribution(user="", feature="chat", team=None).over(outer) == attribution(
        user="ann", feature="chat", team="core"
    )


def test_tags_are_bounded() -> None:
    assert len(attribution(tags={f"t{n}": n for n in range(100)}).tags) == MOST_TAGS


def test_the_nearer_attribution_wins_and_the_farther_fills_the_gaps() -> None:
    outer = attribution(user="u", team="t", a="1", b="1")
    inner = attribution(user="v", b="2")
    assert inner.over(outer) == attribution(user="v", team="t", a="1", b="2")
    assert NOBODY.over(outer) is outer
    assert outer.over(NOBODY) is outer
