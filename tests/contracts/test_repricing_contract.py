"""What every store promises of re-pricing: new amounts and the trail of the old ones, both or neither."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from taximeter.clock import rfc3339
from taximeter.core.cost import Cost, Unpriced
from taximeter.core.ids import uuid7
from taximeter.errors import StoreError
from taximeter.store.events import EventQuery, EventStore, parse_query
from taximeter.store.events.repricing import DERIVATION, NewCost, Repricing, amounts_of, total_of

START_US = 1_790_000_000_000_000
ASKED_US = START_US + 86_400_000_000

RUN = Repricing(
    id=uuid7(ASKED_US // 1000, bytes(10)),
    kind="reprice",
    asked_at_us=ASKED_US,
    asked_by="ann",
    request={"from": rfc3339(START_US), "to": rfc3339(ASKED_US), "filters": {"feature": "chat"}, "dry_run": False},
    note="contract 4711",
)


def event_id(number: int) -> str:
    return uuid7(START_US // 1000 + number, number.to_bytes(10, "big"))


def cost(usd: str, version: str = "book 2", rule: str = "override:1") -> Cost:
    zero = Decimal(0)
    return Cost(Decimal(usd), zero, zero, zero, zero, version, rule, Decimal("0.5"), None)


def fill(store: EventStore, calls: int) -> None:
    def line(number: int) -> bytes:
        amount = {"input": "1", "cache_read": "0", "cache_write": "0", "output": "0", "other": "0"}
        derived = {"cost_usd": "1", "cost": amount, "price_version": "book 1", "price_rule": "genai-prices:x"}
        if number == 0:
            derived = {"unpriced_reason": "unknown_model", "price_version": "book 1"}
        fact = {"event_id": event_id(number), "started_at": rfc3339(START_US + number * 1000), "provider": "openai"}
        return json.dumps(
            {**fact, "status": "ok", "input_tokens": number, "units": {"pages": "1.5"}, **derived}
        ).encode()

    store.append([line(number) for number in range(calls)], {})


def new(number: int, usd: str) -> NewCost:
    return NewCost(event_id(number), START_US + number * 1000, cost(usd))


def stored(store: EventStore) -> dict[str, dict[str, Any]]:
    return {event["event_id"]: event for event in store.events(EventQuery(limit=1000)).events}


def spent(store: EventStore) -> Any:
    return store.query(parse_query({"measures": "cost_usd", "from": "2026-01-01"}, ASKED_US)).totals["cost_usd"]


def test_totals_follow_and_facts_stay(events: EventStore) -> None:
    fill(events, 4)
    before = stored(events)
    events.restate([new(0, "0.25"), new(2, "0.000000000001")], RUN, ASKED_US)
    after = stored(events)
    assert spent(events) == "2.250000000001"
    assert (after[event_id(0)]["cost_usd"], after[event_id(0)]["unpriced_reason"]) == ("0.25", None)
    assert after[event_id(2)]["price_version"] == "book 2"
    assert after[event_id(2)]["cache_read_saving_usd"] == "0.5"
    assert after[event_id(1)] == before[event_id(1)]
    facts = ("input_tokens", "units", "started_at", "provider", "status")
    assert all(before[key][name] == after[key][name] for key in before for name in facts)


def test_a_call_can_become_unpriced_again(events: EventStore) -> None:
    fill(events, 2)
    events.restate([replace(new(1, "1"), cost=Unpriced("no_price_for_tier", "book 2"))], RUN, ASKED_US)
    after = stored(events)[event_id(1)]
    assert (after["cost_usd"], after["cost"], after["price_rule"]) == (None, None, None)
    assert (after["unpriced_reason"], after["price_version"]) == ("no_price_for_tier", "book 2")


def test_the_old_derivations_are_kept_the_newest_first(events: EventStore) -> None:
    fill(events, 2)
    second = replace(RUN, id=uuid7(1, bytes(10)))
    events.restate([new(1, "2")], RUN, ASKED_US)
    events.restate([new(1, "3")], second, ASKED_US + 1)
    kept = events.superseded(event_id(1))
    assert [(old["cost_usd"], old["price_version"], old["repricing_id"]) for old in kept] == [
        ("2", "book 2", second.id),
        ("1", "book 1", RUN.id),
    ]
    assert [old["superseded_at"] for old in kept] == [rfc3339(ASKED_US + 1), rfc3339(ASKED_US)]
    assert events.superseded(event_id(0)) == []


def test_a_run_is_kept_as_it_stands(events: EventStore) -> None:
    fill(events, 1)
    further = replace(RUN, state="running", cursor_us=START_US + 5, outcome={"examined": 3}, price_version="book 2")
    events.restate((), RUN, ASKED_US)
    assert events.repricings(limit=10) == [RUN]
    events.restate((), further, ASKED_US)
    assert events.repricings(limit=10, repricing_id=RUN.id) == [further]
    assert events.repricings(limit=10, repricing_id="another") == []


def test_the_newest_run_comes_first(events: EventStore) -> None:
    runs = [replace(RUN, id=str(number), asked_at_us=ASKED_US + number) for number in range(3)]
    for run in runs:
        events.restate((), run, ASKED_US)
    assert events.repricings(limit=2) == [runs[2], runs[1]]


def test_an_event_that_is_not_there_is_passed_over(events: EventStore) -> None:
    fill(events, 1)
    events.restate([new(7, "5"), new(0, "2")], RUN, ASKED_US)
    assert spent(events) == "2"
    assert events.superseded(event_id(7)) == []


def test_what_cannot_be_written_changes_nothing(events: EventStore) -> None:
    fill(events, 3)
    nobody_asked: Any = replace(RUN, asked_by=None)  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        events.restate([new(1, "9")], nobody_asked, ASKED_US)
    assert spent(events) == "2"
    assert events.repricings(limit=1) == []
    events.restate([new(1, "9")], RUN, ASKED_US)
    assert spent(events) == "10"


def test_derivations_are_told_page_by_page(events: EventStore) -> None:
    fill(events, 5)
    events.restate([new(3, "0.125")], RUN, ASKED_US)
    first = events.derivations(EventQuery(limit=3))
    rest = events.derivations(EventQuery(limit=3, cursor=first.next))
    rows = [dict(zip(DERIVATION, row, strict=True)) for row in (*first.rows, *rest.rows)]
    assert (len(first.rows), len(rest.rows), rest.next) == (3, 2, None)
    assert [row["event_id"] for row in rows] == [event_id(number) for number in (4, 3, 2, 1, 0)]
    assert [total_of(row["amounts"]) for row in rows] == [1, Decimal("0.125"), 1, 1, None]
    assert rows[1]["amounts"] == amounts_of(cost("0.125"))
    assert [row["price_rule"] for row in rows] == [
        "genai-prices:x",
        "override:1",
        "genai-prices:x",
        "genai-prices:x",
        None,
    ]
    assert rows[4]["unpriced_reason"] == "unknown_model"
    assert rows[0]["units"] == {"pages": Decimal("1.5")}
