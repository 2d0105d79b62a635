"""Outcomes on the wire: told from events by `record`, checked, and written down as what they are."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ingest_rig import NOW_US, MemoryStore, StillClock, TwoPrices, as_line, event, event_id

from taximeter.clock import rfc3339
from taximeter.core.attribution import attribution
from taximeter.core.outcome import OUTCOME_FIELDS, is_outcome
from taximeter.ingest import wire
from taximeter.ingest.collector import Collector
from taximeter.ingest.receive import Receiver
from taximeter.ingest.wire import Batch, Stamp, WireOutcome, validate_batch
from taximeter.spool import Spool, SpoolReader
from taximeter.store.events import DuckDBEvents, OutcomeQuery, parse_query


def outcome(number: int = 1, **fields: Any) -> dict[str, Any]:
    known = {"outcome_id": event_id(number), "occurred_at": rfc3339(NOW_US), "name": "ticket_solved"}
    return {**known, "record": "outcome", **fields}


def checked(*items: Any, form: str = "array", stamp: Stamp = wire.NO_STAMP) -> Batch:
    if form == "array":
        return validate_batch(json.dumps(items).encode(), "application/json", NOW_US, stamp)
    return validate_batch(b"\n".join(map(as_line, items)), "application/x-ndjson", NOW_US, stamp)


def written(item: dict[str, Any], stamp: Stamp = wire.NO_STAMP) -> dict[str, Any]:
    batch = checked(item, stamp=stamp)
    assert batch.rejected == []
    ((_, line),) = batch.accepted_lines
    assert is_outcome(line)
    said: dict[str, Any] = json.loads(line)
    return said


def test_the_wire_knows_exactly_the_fields_of_an_outcome() -> None:
    names = {field.name for field in OUTCOME_FIELDS}
    assert set(WireOutcome.__struct_fields__) == {*names, "record", "user", "session"}


def test_an_outcome_is_written_down_as_it_was_told() -> None:
    told = outcome(value_usd="4.00", user="ann", tags={"plan": "free", "seats": 3}, colour="red")
    assert written(told) == {
        "record": "outcome",
        "outcome_id": event_id(1),
        "occurred_at": rfc3339(NOW_US),
        "name": "ticket_solved",
        "value_usd": "4",
        "source": "api",
        "user_id": "ann",
        "tags": {"plan": "free", "seats": "3"},
    }


def test_an_empty_text_is_not_said() -> None:
    assert written(outcome(team="", feature="", user="ann", user_id="")) == written(outcome(user="ann"))


def test_what_is_bound_to_a_key_holds_for_outcomes_too() -> None:
    stamp = Stamp(attribution(team="core"), "key 1")
    said = written(outcome(team="mine"), stamp)
    assert (said["team"], said["api_key_id"]) == ("core", "key 1")


@pytest.mark.parametrize("form", ["array", "lines"])
def test_events_and_outcomes_may_come_together(form: str) -> None:
    batch = checked(event(1), outcome(2), event(3), form=form)
    assert batch.rejected == []
    assert [is_outcome(line) for _, line in batch.accepted_lines] == [False, True, False]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"outcome_id": None}, "invalid_outcome"),
        ({"outcome_id": "mine"}, "invalid_outcome"),
        ({"occurred_at": None}, "invalid_outcome"),
        ({"occurred_at": "2026-11-20T09:30:00"}, "invalid_outcome"),
        ({"occurred_at": "2099-01-01T00:00:00Z"}, "invalid_outcome"),
        ({"name": " "}, "invalid_outcome"),
        ({"name": None}, "invalid_outcome"),
        ({"value_usd": "1000000"}, "invalid_outcome"),
        ({"value_usd": "much"}, "invalid_field"),
        ({"value_usd": "NaN"}, "invalid_outcome"),
        ({"user_id": 7}, "invalid_field"),
    ],
)
def test_what_cannot_be_true_is_refused_with_a_code(wrong: dict[str, Any], code: str) -> None:
    (rejection,) = checked(outcome(1, **wrong)).rejected
    assert rejection["code"] == code
    assert checked(outcome(1, **wrong), event(2)).accepted_lines[0][0] == event_id(2)


def test_an_outcome_with_the_id_of_an_event_is_no_event_all_the_same() -> None:
    said = written({**event(1), **outcome(2)})
    assert said["outcome_id"] == event_id(2)
    (rejection,) = checked(event(1, record="outcome")).rejected
    assert rejection["code"] == "invalid_outcome"


class EventOfOldCollector(msgspec.Struct):
    """What a collector knows that was built before there were outcomes: an event has these, all else is ignored."""

    event_id: str
    started_at: str


def test_whoever_knows_events_only_refuses_an_outcome() -> None:
    (old,) = checked(outcome(1)).accepted_lines
    with pytest.raises(msgspec.ValidationError, match="event_id"):
        msgspec.json.decode(old[1], type=EventOfOldCollector)


def test_an_outcome_received_twice_is_a_duplicate_and_no_call_of_the_same_id_is(tmp_path: Path) -> None:
    spool, store = Spool(tmp_path, clock=StillClock(), writer="server"), MemoryStore()
    receiver = Receiver(spool, store.known_ids, StillClock())

    def post(*items: dict[str, Any]) -> tuple[int, int]:
        answer = asyncio.run(receiver.receive(json.dumps(items).encode(), "application/json"))
        return answer["accepted"], answer["duplicates"]

    assert post(event(1), outcome(1), outcome(1)) == (2, 1)
    assert post(outcome(1)) == (0, 1)
    assert post(outcome(1, outcome_id="00000000-0000-4000-8000-000000000001")) == (1, 0)
    assert store.lookups == []
    spool.close()


def test_the_collector_stores_outcomes_beside_calls(tmp_path: Path) -> None:
    clock = StillClock()
    spool = Spool(tmp_path / "spool", clock=clock, writer="server")
    store = DuckDBEvents(tmp_path / "events.duckdb")
    spool.extend([line for _, line in checked(event(1), outcome(1, value_usd="4")).accepted_lines])
    spool.append(as_line({"record": "outcome", **outcome(2, name="")}))
    collector = Collector(SpoolReader(spool.directory), TwoPrices(), store, clock)
    assert collector.step() == 3
    assert (collector.status.stored_events, collector.status.stored_outcomes) == (1, 1)
    (kept,) = map(json.loads, (spool.directory / "rejected.ndjson").read_text().splitlines())
    assert kept["reason"] == "not_storable"
    (row,) = store.outcomes(OutcomeQuery(from_us=0, to_us=NOW_US + 1))
    assert (row["outcomes"], str(row["value_usd"])) == (1, "4.000000000000")
    assert store.query(parse_query({"measures": "calls", "from": "2020-01-01"}, NOW_US + 1)).totals == {"calls": 1}
    store.close()
    spool.close()
