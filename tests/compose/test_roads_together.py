"""The same call, told by two roads, in both orders, with and without a restart between: it counts once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from taximeter.clock import SystemClock, rfc3339
from taximeter.compose.keeping import collector_of
from taximeter.compose.stored_calls import StoredCalls
from taximeter.core.ids import usage_event_id, uuid7
from taximeter.ingest.collector import Collector
from taximeter.ingest.roads import others_of
from taximeter.pricing import load_price_book
from taximeter.spool import Spool
from taximeter.store.events import DuckDBEvents, EventPage, EventQuery, parse_event_query

ROADS = ("gateway", "sdk", "otlp")
ANSWER = "chatcmpl-AbCdEfGhIjKlMnOpQrSt"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BOOK = load_price_book(None, Path("/nowhere"))
NUMBERS = iter(range(1, 1_000_000))
NOW_US = SystemClock().now_us()
DAY_US = 86_400_000_000


class House:
    """A data directory whose collector can be started anew."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.store = DuckDBEvents(data / "events.duckdb")
        self.collector = self._collector()

    def _collector(self) -> Collector:
        return collector_of(self.data, BOOK, self.store, SystemClock())

    def restart(self) -> None:
        self.collector = self._collector()

    def take(self, *events: dict[str, Any]) -> None:
        spool = Spool(self.data / "spool", clock=SystemClock(), writer="test")
        assert spool.extend([json.dumps(event).encode() for event in events])
        spool.close()
        while self.collector.step():
            pass

    @property
    def kept(self) -> list[dict[str, Any]]:
        return list(reversed(self.store.events(parse_event_query({"limit": 1000}, NOW_US)).events))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    opened = House(tmp_path)
    yield opened
    opened.store.close()


def told_by(road: str, *, ago_seconds: float = 0, **fields: Any) -> dict[str, Any]:
    at_us = NOW_US - round(ago_seconds * 1_000_000)
    number = next(NUMBERS)
    return {
        "event_id": uuid7(at_us // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(at_us + number),
        "source": road,
        "status": "ok",
        "provider": "openai",
        "request_model": "gpt-4o-mini",
        "input_tokens": 1000,
        "output_tokens": 500,
        **fields,
    }


def take(house: House, events: Sequence[dict[str, Any]], how: str) -> None:
    if how == "together":
        house.take(*events)
        return
    for event in events:
        house.take(event)
        if how == "with a restart between":
            house.restart()


HOWS = ("together", "one after the other", "with a restart between")


@pytest.mark.parametrize("how", HOWS)
def test_every_pair_in_both_orders_counts_once_by_its_answer(house: House, how: str) -> None:
    pairs = list(permutations(ROADS, 2))
    for number, pair in enumerate(pairs):
        take(house, [told_by(road, response_id=f"{ANSWER}-{number}") for road in pair], how)
    assert [event["source"] for event in house.kept] == [first for first, _ in pairs]


@pytest.mark.parametrize("how", HOWS)
def test_three_roads_count_once_whichever_is_first(house: House, how: str) -> None:
    for number, roads in enumerate(permutations(ROADS)):
        take(house, [told_by(road, response_id=f"{ANSWER}-{number}") for road in roads], how)
    assert len(house.kept) == 6


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("status", ["ok", "error"])
def test_without_an_answer_the_span_says_it(house: House, how: str, status: str) -> None:
    for span_id, roads in (("a" * 16, ("gateway", "otlp")), ("b" * 16, ("otlp", "gateway"))):
        take(house, [told_by(road, trace_id=TRACE, span_id=span_id, status=status) for road in roads], how)
    assert [event["source"] for event in house.kept] == ["gateway", "otlp"]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("gateway_first", [True, False])
def test_a_failed_attempt_under_the_same_span_is_a_call_of_its_own(house: House, how: str, gateway_first: bool) -> None:
    span: dict[str, Any] = {"trace_id": TRACE, "span_id": SPAN}
    attempts = [told_by("gateway", **span, status="error"), told_by("gateway", **span, response_id=ANSWER, attempt=2)]
    otlp = told_by("otlp", **span, response_id=ANSWER)
    take(house, [*attempts, otlp] if gateway_first else [otlp, *attempts], how)
    assert sorted(event["status"] for event in house.kept) == ["error", "ok"]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("first", "later"), [("otlp", "sdk"), ("otlp", "gateway"), ("sdk", "gateway")])
def test_what_is_fetched_of_a_call_that_ran_in_the_background_is_not_the_answer_that_said_so(
    house: House, how: str, first: str, later: str
) -> None:
    answer: dict[str, Any] = {"response_id": ANSWER, "event_id": usage_event_id("openai", ANSWER)}
    queued: dict[str, Any] = {"response_id": ANSWER, "input_tokens": None, "output_tokens": None}
    told = [told_by(first, **queued), told_by(later, **queued), told_by(later, **answer), told_by(first, **answer)]
    take(house, told, how)
    assert [event["input_tokens"] for event in house.kept] == [None, 1000]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("road", ["gateway", "sdk"])
def test_usage_that_a_stream_told_is_not_counted_again_when_another_process_of_its_road_fetches_it(
    house: House, how: str, road: str
) -> None:
    """Two gateways: what one of them told lately the other cannot know."""
    fetched = told_by(road, response_id=ANSWER, event_id=usage_event_id("openai", ANSWER))
    take(house, [told_by(road, response_id=ANSWER), fetched], how)
    assert len(house.kept) == 1


@pytest.mark.parametrize("road", ["gateway", "sdk"])
def test_usage_that_was_fetched_is_not_counted_again_when_the_stream_that_told_it_comes_late(
    house: House, road: str
) -> None:
    fetched = told_by(road, response_id=ANSWER, event_id=usage_event_id("openai", ANSWER))
    house.take(fetched, told_by(road, response_id=ANSWER))
    assert len(house.kept) == 1


@pytest.mark.parametrize("later", ["gateway", "sdk"])
@pytest.mark.parametrize("first", ["gateway", "sdk"])
def test_usage_that_a_stream_told_is_not_counted_again_when_it_is_fetched_long_after_a_restart(
    house: House, first: str, later: str
) -> None:
    """What is fetched begins when it is fetched: the collector's own memory need not reach back to its stream."""
    fetched = told_by(later, response_id=ANSWER, event_id=usage_event_id("openai", ANSWER), ago_seconds=-200)
    take(house, [told_by(first, response_id=ANSWER), fetched], "with a restart between")
    assert len(house.kept) == 1


@pytest.mark.parametrize("how", HOWS)
def test_what_is_fetched_counts_beside_what_was_answered_without_usage_on_the_same_road(house: House, how: str) -> None:
    queued = told_by("gateway", response_id=ANSWER, input_tokens=None, output_tokens=None)
    fetched = told_by("gateway", response_id=ANSWER, event_id=usage_event_id("openai", ANSWER))
    take(house, [queued, fetched, fetched], how)
    assert [event["input_tokens"] for event in house.kept] == [None, 1000]


@pytest.mark.parametrize("how", HOWS)
def test_a_span_of_the_fetch_that_tells_its_usage_is_the_same(house: House, how: str) -> None:
    fetched = told_by("sdk", response_id=ANSWER, event_id=usage_event_id("openai", ANSWER))
    take(house, [fetched, told_by("otlp", response_id=ANSWER)], how)
    assert [event["source"] for event in house.kept] == ["sdk"]


NOT_THE_SAME: dict[str, list[dict[str, Any]]] = {
    "another answer": [{"response_id": ANSWER}, {"response_id": ANSWER[:-1] + "x"}],
    "another answer under the same span": [
        {"response_id": ANSWER, "trace_id": TRACE, "span_id": SPAN},
        {"response_id": ANSWER[:-1] + "x", "trace_id": TRACE, "span_id": SPAN},
    ],
    "an id that is a small random number": [{"response_id": "chatcmpl-123"}, {"response_id": "chatcmpl-123"}],
    "only the trace": [{"trace_id": TRACE, "span_id": SPAN}, {"trace_id": TRACE, "span_id": "a" * 16}],
    "nothing that travelled": [{}, {}],
}


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("case", NOT_THE_SAME)
def test_what_only_looks_alike_counts_twice(house: House, how: str, case: str) -> None:
    first, second = NOT_THE_SAME[case]
    take(house, [told_by("gateway", **first), told_by("otlp", **second)], how)
    assert len(house.kept) == 2


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("road", ["gateway", "sdk"])
def test_one_road_never_folds_what_it_tells_itself(house: House, how: str, road: str) -> None:
    """A background answer that is fetched, a middleware that calls twice: the road knows better."""
    house.take(told_by("otlp", response_id="chatcmpl-of-something-else"))
    take(house, [told_by(road, response_id=ANSWER), told_by(road, response_id=ANSWER)], how)
    assert len(house.kept) == 3


@pytest.mark.parametrize("how", HOWS)
def test_a_span_and_the_one_around_it_are_one_call_also_when_nothing_remembers_that(house: House, how: str) -> None:
    take(house, [told_by("otlp", response_id=ANSWER), told_by("otlp", response_id=ANSWER)], how)
    assert len(house.kept) == 1


@pytest.mark.parametrize("road", ["api", "import"])
def test_what_people_report_themselves_is_taken_as_it_is(house: House, road: str) -> None:
    house.take(told_by("gateway", response_id=ANSWER), told_by(road, response_id=ANSWER))
    assert len(house.kept) == 2


def test_an_event_repeated_is_still_a_duplicate_and_not_its_own_other_road(house: House) -> None:
    event = told_by("otlp", response_id=ANSWER, trace_id=TRACE, span_id=SPAN)
    house.take(event, event)
    house.restart()
    house.take(event)
    assert len(house.kept) == 1


def test_what_comes_days_late_is_still_recognised(house: House) -> None:
    """A laptop that was away: the call is long forgotten, and in the store."""
    house.take(told_by("otlp", ago_seconds=3 * 86_400, response_id=ANSWER))
    for _ in range(3):
        house.restart()
        house.take(told_by("sdk", response_id=f"{ANSWER}-{next(NUMBERS)}"))
    house.take(told_by("sdk", ago_seconds=3 * 86_400, response_id=ANSWER))
    assert [event["source"] for event in house.kept].count("sdk") == 3
    assert house.collector.status.told_twice_events == 1


def test_a_begin_whose_event_is_left_out_has_ended(house: House) -> None:
    house.take(told_by("otlp", response_id=ANSWER))
    call = told_by("sdk", response_id=ANSWER)
    begin = {"record": "begin", "event_id": call["event_id"], "started_at": call["started_at"]}
    house.take(begin, call)
    assert house.collector.status.open_calls == 0
    assert len(house.kept) == 1


def test_after_a_restart_the_store_is_asked_of_a_whole_batch_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [told_by("sdk", response_id=f"{ANSWER}{number}") for number in range(2_000)]
    house.take(*calls)
    house.restart()
    asked: list[EventQuery] = []
    events = DuckDBEvents.events

    def listening(store: DuckDBEvents, query: EventQuery) -> EventPage:
        asked.append(query)
        return events(store, query)

    monkeypatch.setattr(DuckDBEvents, "events", listening)
    house.take(*(told_by("gateway", response_id=f"{ANSWER}{number}") for number in range(1_000, 3_000)))
    assert len(asked) == 1
    assert house.collector.status.told_twice_events == 1_000


def test_the_store_is_not_asked_for_what_the_same_road_told(house: House) -> None:
    """None of it can be the other telling of a call: after an outage it would be most of what is there."""
    house.take(told_by("gateway", response_id=ANSWER), told_by("sdk", response_id=f"{ANSWER}-2"))
    stored, keys = StoredCalls(house.store), [("answer", ANSWER), ("answer", f"{ANSWER}-2")]
    asked = {road: stored.tellings(keys, others_of(road), 0, NOW_US + DAY_US).values() for road in ROADS}
    found = {road: sorted(one.road for told in tellings for one in told) for road, tellings in asked.items()}
    assert found == {"gateway": ["sdk"], "sdk": ["gateway"], "otlp": ["gateway", "sdk"]}
