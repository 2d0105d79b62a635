"""What-if: recorded calls under another model, tier, cache share, price book or date; exact, call by call."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.cost import COMPONENTS, Cost, Unpriced
from taximeter.core.event import FIELDS
from taximeter.core.ids import uuid7
from taximeter.core.money import format_usd
from taximeter.core.usage import Usage, violations
from taximeter.errors import UnknownModelError, UsageError
from taximeter.pricing import Priceable, PriceBook, load_price_book, priceable_from_record
from taximeter.reports import what_if as module
from taximeter.reports.asking import Progress
from taximeter.reports.hypothesis import Hypothesis, as_if, recached, scaled
from taximeter.reports.what_if import READ, WhatIf, what_if
from taximeter.store.events import DuckDBEvents, EventQuery
from taximeter.store.events.columns import COLUMN_NAMES
from taximeter.store.events.filters import parse_filters

BOOK = load_price_book()
NOON_US = to_unix_us(datetime.fromisoformat("2026-11-20T12:00:00Z"))
DAY_US = 86_400_000_000


def record(number: int, **fields: Any) -> dict[str, Any]:
    """A stored call of an hour ago or so, priced by the book unless the cost is given."""
    call = {
        "started_at": rfc3339(NOON_US - DAY_US + number),
        "source": "api",
        "status": "ok",
        "provider": "openai",
        "request_model": "gpt-4o",
        "response_model": "gpt-4o",
        "feature": "chat",
        "input_tokens": 1000,
        "output_tokens": 500,
        **fields,
    }
    call = {name: value for name, value in call.items() if value is not None}
    if "cost_usd" in fields:
        return call
    cost = BOOK.price(priceable_from_record(call))
    if isinstance(cost, Unpriced):
        return {**call, "unpriced_reason": cost.reason}
    parts = {name: format_usd(getattr(cost, name)) for name in COMPONENTS}
    return {**call, "cost_usd": format_usd(cost.total), "cost": parts}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    """One for all: opening it takes longer than most tests. Each test has an environment of its own in it."""
    opened = DuckDBEvents(tmp_path_factory.mktemp("what-if") / "events.duckdb", query_timeout_seconds=600)
    yield opened
    opened.close()


environments = (f"environment {n}" for n in itertools.count())
ids = (uuid7(NOON_US // 1000, n.to_bytes(10, "big")) for n in itertools.count())


class Asking:
    """Stores calls into an environment of its own, and asks about all of October and November there."""

    def __init__(self, store: DuckDBEvents) -> None:
        self.store = store
        self.environment = next(environments)

    def __call__(
        self, *calls: dict[str, Any], progress: Progress = lambda _done, _calls: None, **request: Any
    ) -> WhatIf:
        self.keep(*calls)
        filters = {"environment": self.environment, **request.pop("filters", {})}
        asked = {"from": "2026-10-01", "to": "2026-12-01", "filters": filters, **request}
        return what_if(asked, BOOK, self.store, NOON_US, progress)

    def keep(self, *calls: dict[str, Any]) -> None:
        lines = [json.dumps({**call, "event_id": next(ids), "environment": self.environment}) for call in calls]
        assert self.store.append([line.encode() for line in lines], {}).inserted == len(calls)


@pytest.fixture
def ask(store: DuckDBEvents) -> Asking:
    return Asking(store)


def compared(answer: WhatIf) -> tuple[str, str, str]:
    found = answer.as_dict()["compared"]
    return found["actual_cost_usd"], found["what_if_cost_usd"], found["difference_usd"]


# ── hypotheses ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_another_model(ask: Asking) -> None:
    answer = ask(record(1), record(2), model="gpt-4o-mini")
    assert compared(answer) == ("0.015", "0.0009", "-0.0141")
    assert answer.as_dict()["compared"]["difference_percent"] == "-94"


@pytest.mark.parametrize(
    ("request_", "usd"),
    [
        ({}, "0.0075"),  # 1,000 x 2.50 + 500 x 10
        ({"service_tier": "batch"}, "0.00375"),
        ({"cached_share": "0.6"}, "0.00675"),  # 400 x 2.50 + 600 x 1.25 + 500 x 10
        ({"cached_share": "1"}, "0.00625"),
        ({"at": "2024-06-01"}, "0.0125"),
        ({"model": "gpt-4o", "token_ratio": "2"}, "0.015"),
        (
            {"model": "gpt-4o-mini", "token_ratio": "1.5", "cached_share": 0.5, "service_tier": "batch"},
            "0.0003375",
        ),  # 1,500 x 0.075 (cached or not) + 750 x 0.30
        ({"prices": "prices: [{provider: openai, match: gpt-4o, rates: {input: '5', output: '15'}}]"}, "0.0125"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_each_hypothesis_has_its_price(ask: Asking, request_: dict[str, Any], usd: str) -> None:
    assert compared(ask(record(1), **request_))[:2] == ("0.0075", usd)


def test_only_the_calls_that_were_asked_for(ask: Asking) -> None:
    calls = (record(1), record(2, feature="search"), record(3, started_at="2026-09-30T23:59:59Z"))
    assert ask(*calls, filters={"feature": "chat"}, model="gpt-4o-mini").total.calls == 1
    assert ask(filters={"feature": {"in": ["chat", "search"]}}).total.calls == 2
    earlier: dict[str, Any] = {"from": "2026-09-01"}
    assert ask(**earlier).total.calls == 3


def test_many_pages_are_one_answer(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_CALLS", 3)
    answer = ask(*(record(n, input_tokens=n) for n in range(10)))
    assert answer.total.calls == 10
    assert compared(answer)[2] == "0"


# ── exactness where sums would be wrong ────────────────────────────────────────────────────────────────────────


def test_a_request_over_the_context_threshold_has_its_own_price_and_the_sum_of_small_ones_has_not(ask: Asking) -> None:
    small, large = (record(n, input_tokens=tokens, output_tokens=0) for n, tokens in ((1, 150_000), (2, 300_000)))
    prices = "prices: [{provider: openai, match: gpt-4o, rates: {input: '1'}, above: {200000: {input: '2'}}}]"
    answer = ask(small, small, large, prices=prices)
    assert answer.as_dict()["what_if"]["cost_usd"] == "0.9"  # 2 x 0.15 + 0.6


def test_prices_by_the_hour_are_those_of_the_calls_own_hour(ask: Asking) -> None:
    peak, quiet = (record(n, started_at=f"2026-10-05T{hour}:30:00Z") for n, hour in ((1, "02"), (2, "20")))
    prices = """
    prices:
      - {provider: openai, match: gpt-4o, rates: {input: '1', output: '1'}}
      - {provider: openai, match: gpt-4o, rates: {input: '2', output: '2'}, daily: "01:00-04:00"}
    """
    assert ask(peak, quiet, prices=prices).as_dict()["what_if"]["cost_usd"] == "0.0045"
    assert ask(prices=prices, at="2026-10-05T02:00:00Z").as_dict()["what_if"]["cost_usd"] == "0.006"


def test_fees_by_the_unit_stay_and_a_unit_without_a_price_leaves_the_call_unpriced(ask: Asking) -> None:
    searching = record(1, units={"web_searches": 2})
    assert ask(searching, model="gpt-4o-mini").as_dict()["what_if"]["cost_usd"] == "0.02045"
    prices = "prices: [{provider: local, match: our-own, rates: {input: '1', output: '1'}}]"
    answer = ask(model="our-own", prices=prices).as_dict()
    assert answer["what_if"] == {
        "cost_usd": "0",
        "unpriced_calls": 1,
        "unpriced_reasons": {"no_price_for_unit": 1},
    }
    assert answer["compared"]["calls"] == 0
    assert answer["compared"]["difference_percent"] is None


def test_a_call_of_several_models_becomes_one_of_the_other_model(ask: Asking) -> None:
    shares = [
        {"model": "gpt-4o", "input_tokens": 600, "output_tokens": 500},
        {"model": "gpt-4o-mini", "input_tokens": 400, "output_tokens": 0},
    ]
    call = record(1, by_model=shares)
    assert compared(ask(call))[:2] == ("0.00656", "0.00656")
    assert compared(ask(model="gpt-4o-mini"))[1] == "0.00045"
    assert compared(ask(cached_share="1"))[1] == "0.00578"  # 600 x 1.25 + 500 x 10 + 400 x 0.075


# ── what has no price, and what costs nothing ──────────────────────────────────────────────────────────────────


def test_calls_without_a_price_are_counted_apart_and_never_compared(ask: Asking) -> None:
    answer = ask(record(1), record(2, request_model="nobody", response_model="nobody"), model="gpt-4o-mini").as_dict()
    assert answer["actual"] == {"cost_usd": "0.0075", "unpriced_calls": 1}
    assert answer["what_if"]["cost_usd"] == "0.0009"
    assert answer["compared"] == {
        "calls": 1,
        "actual_cost_usd": "0.0075",
        "what_if_cost_usd": "0.00045",
        "difference_usd": "-0.00705",
        "difference_percent": "-94",
    }


def test_a_tier_that_the_other_model_has_no_price_for(ask: Asking) -> None:
    prices = "prices: [{provider: local, match: our-own, rates: {input: '1', output: '1'}}]"
    batch = record(1, service_tier="batch")
    assert ask(batch, model="our-own", prices=prices).total.what_if_unpriced == {"no_price_for_tier": 1}
    served_otherwise = ask(model="our-own", prices=prices, service_tier="default")
    assert served_otherwise.as_dict()["what_if"]["cost_usd"] == "0.0015"


@pytest.mark.parametrize(
    "fields",
    [{"status": "cached"}, {"not_billed": True}, {"status": "refused", "input_tokens": None, "output_tokens": None}],
)
def test_what_costs_nothing_costs_nothing_elsewhere(ask: Asking, fields: dict[str, Any]) -> None:
    assert compared(ask(record(1, **fields), model="claude-opus-4-5")) == ("0", "0", "0")


def test_no_calls_are_no_answer_and_no_mistake(ask: Asking) -> None:
    answer = ask(model="gpt-4o-mini").as_dict()
    assert (answer["calls"], answer["by_model"]) == (0, [])


# ── the answer ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_total_is_the_sum_of_the_models_that_really_answered(ask: Asking) -> None:
    calls = [record(n, response_model=("gpt-4o", "gpt-4o-mini")[n % 2], input_tokens=100 * n) for n in range(1, 8)]
    answer = ask(*calls, record(9, usage_estimated=True), model="gpt-5-mini").as_dict()
    rows = answer["by_model"]
    assert [row["model"] for row in rows] == ["gpt-4o", "gpt-4o-mini"]
    for group, name in (("actual", "cost_usd"), ("what_if", "cost_usd"), ("compared", "difference_usd")):
        assert sum(Decimal(row[group][name]) for row in rows) == Decimal(answer[group][name])
    assert answer["calls"] == sum(row["calls"] for row in rows) == 8
    assert answer["estimated_calls"] == 1


def test_a_month_is_the_range_scaled_to_thirty_days(ask: Asking) -> None:
    range_: dict[str, Any] = {"from": "2026-11-10", "to": "2026-11-20"}
    monthly = ask(record(1), model="gpt-4o-mini", **range_).as_dict()["compared_per_month"]
    assert monthly == {"actual_cost_usd": "0.0225", "what_if_cost_usd": "0.00135", "difference_usd": "-0.02115"}


def test_the_answer_says_what_it_rests_on(ask: Asking) -> None:
    said = " | ".join(
        ask(record(1), model="gpt-4o-mini", token_ratio="1.1", cached_share="0.5").as_dict()["assumptions"]
    )
    assert "openai/gpt-4o-mini would have counted the tokens as recorded x 1.1" in said
    assert "0.5 of every call's input" in said
    assert "its own time" in said
    assert "prices are those of 2024-06-01T00:00:00.000000Z" in ask(at="2024-06-01").as_dict()["assumptions"]


def test_progress_is_told(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_CALLS", 2)
    told: list[tuple[int, int]] = []
    ask(*(record(n) for n in range(5)), progress=lambda *one: told.append(one))
    assert told == [(2, 5), (4, 5), (5, 5)]


# ── bad requests ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"token_ratio": "1.2"}, "model"),
        ({"model": "gpt-4o", "token_ratio": "0"}, "token_ratio"),
        ({"model": "gpt-4o", "token_ratio": "11"}, "token_ratio"),
        ({"cached_share": "1.1"}, "cached_share"),
        ({"service_tier": ""}, "service_tier"),
        ({"filters": {"nope": 1}}, "filters"),
        ({"from": "whenever"}, "from"),
        ({"at": 5}, "at"),
        ({"compare": ["gpt-4o"]}, "compare"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(ask: Asking, request_: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError) as raised:
        ask(**request_)
    assert raised.value.facts["field"] == field


def test_an_unknown_model_is_refused(ask: Asking) -> None:
    with pytest.raises(UnknownModelError, match="gtp-4o"):
        ask(model="gtp-4o")


def test_more_calls_than_one_question_may_ask_about(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CALLS", 2)
    with pytest.raises(UsageError, match="these are 3 calls; at most 2"):
        ask(*(record(n) for n in range(3)))


# ── properties ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_everything_that_a_price_depends_on_is_read(ask: Asking) -> None:
    """A call with every field set is the same to price whether all of it was read or only `READ`. The amount that the
    provider named is left out: it says nothing of another model, tier or price book."""
    by_kind: dict[str, Any] = {
        "text": "text",
        "count": 3,
        "milliseconds": 1.5,
        "flag": True,
        "money": "1",
        "texts": {"plan": "x"},
        "units": {"web_searches": 2},
        "json": [{"model": "m", "input_tokens": 3}],
    }
    full = {**{f.name: by_kind[f.kind] for f in FIELDS if f.kind != "timestamp"}, "cost_usd": "1"}
    ask.keep(full | {"started_at": rfc3339(NOON_US), "status": "ok", "source": "api"})
    mine = parse_filters({"environment": ask.environment})
    pages = (ask.store.events(EventQuery(filters=mine, columns=columns)) for columns in (COLUMN_NAMES, READ))
    all_of_it, what_is_read = (page.events[0] for page in pages)
    assert all_of_it.keys() > what_is_read.keys()
    assert priceable_from_record(what_is_read) == replace(priceable_from_record(all_of_it), reported_usd=None)


counts = st.integers(0, 400_000)
MODELS = st.sampled_from(["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-pro", "gpt-5.4", "nobody"])


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    calls = []
    for number in range(draw(st.integers(1, 12))):
        read, written = draw(counts), draw(counts)
        model = draw(MODELS)
        calls.append(
            record(
                number,
                started_at=rfc3339(NOON_US - draw(st.integers(1, 40 * DAY_US))),
                provider=draw(st.sampled_from(["openai", "anthropic", "google", "azure"])),
                request_model=model,
                response_model=draw(st.sampled_from([None, model])),
                service_tier=draw(st.sampled_from([None, "batch", "priority"])),
                status=draw(st.sampled_from(["ok", "ok", "error", "cached"])),
                input_tokens=read,
                cache_read_tokens=draw(st.none() | st.integers(0, read)),
                output_tokens=written,
                reasoning_tokens=draw(st.none() | st.integers(0, written)),
                units=draw(st.sampled_from([None, {"web_searches": 1}])),
            )
        )
    return calls


REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["gpt-4o-mini", "claude-sonnet-4-5", "gpt-5.4"]),
        "service_tier": st.sampled_from(["batch", "default"]),
        "cached_share": st.sampled_from(["0", "0.333333", "1"]),
        "at": st.sampled_from(["2026-11-01", "2025-01-01"]),
    },
)


@settings(max_examples=40, deadline=None)
@given(calls=histories(), request_=REQUESTS)
def test_the_answer_is_the_sum_of_its_calls(store: DuckDBEvents, calls: list[dict[str, Any]], request_: Any) -> None:
    answer = Asking(store)(*calls, **request_)
    costs = [by_hand(call, request_) for call in calls if call["started_at"] >= "2026-10-01"]
    priced = [cost.total for cost in costs if isinstance(cost, Cost)]
    assert answer.total.calls == len(costs)
    assert answer.total.what_if_usd == sum(priced)
    assert answer.total.what_if_unpriced.total() == len(costs) - len(priced)
    if not request_:
        assert answer.total.difference_usd == 0


PROVIDERS = {"gpt-4o-mini": "openai", "claude-sonnet-4-5": "anthropic", "gpt-5.4": "openai"}


def by_hand(call: dict[str, Any], request: dict[str, Any]) -> Cost | Unpriced:
    """The record itself changed as the request says, and priced."""
    changed = dict(call)
    if model := request.get("model"):
        changed.update(provider=PROVIDERS[model], request_model=model, response_model=model)
    if tier := request.get("service_tier"):
        changed["service_tier"] = tier
    if (share := request.get("cached_share")) and call["input_tokens"]:
        changed["cache_read_tokens"] = round(call["input_tokens"] * Decimal(share))
    if day := request.get("at"):
        changed["started_at"] = f"{day}T00:00:00Z"
    return BOOK.price(priceable_from_record(changed))


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Usages that add up."""
    read, written = draw(counts), draw(counts)
    cached = draw(st.integers(0, read))
    short = draw(st.integers(0, read - cached))
    audio = draw(st.integers(0, read))
    return Usage(
        input_tokens=read,
        cache_read_tokens=cached,
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=read - cached - short,
        input_audio_tokens=audio,
        cache_read_audio_tokens=draw(st.integers(0, min(audio, cached))),
        output_tokens=written,
        reasoning_tokens=draw(st.none() | st.integers(0, written)),
    )


@given(usages(), st.integers(1, 10_000_000).map(lambda n: Decimal(n) / 1_000_000))
def test_other_tokenizers_never_make_parts_exceed_their_whole(usage: Usage, ratio: Decimal) -> None:
    assert violations(scaled(usage, ratio)) == []
    assert scaled(usage, Decimal(1)) == usage


@given(usages(), st.integers(0, 1_000_000).map(lambda n: Decimal(n) / 1_000_000))
def test_another_cache_share_still_adds_up_and_keeps_the_totals(usage: Usage, share: Decimal) -> None:
    changed = recached(usage, share)
    assert violations(changed) == []
    assert (changed.input_tokens, changed.output_tokens) == (usage.input_tokens, usage.output_tokens)


@given(usages())
def test_without_a_hypothesis_a_call_is_what_it_was(usage: Usage) -> None:
    call = Priceable("openai", "gpt-4o", NOON_US, usage, region="eu", by_model=(("gpt-4o", usage),))
    assert as_if(call, Hypothesis()) == call


def test_a_region_belongs_to_its_provider(ask: Asking) -> None:
    regional = record(1, provider="anthropic", request_model="claude-opus-4-6", response_model=None, region="us")
    same_provider = ask(regional, model="anthropic/claude-sonnet-4-5")
    elsewhere = ask(model="openai/gpt-4o")
    assert same_provider.as_dict()["what_if"]["unpriced_calls"] == 0
    assert elsewhere.as_dict()["what_if"]["cost_usd"] == "0.0075"


def test_no_amount_is_ever_a_float(ask: Asking) -> None:
    def floats_in(value: object) -> list[object]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return [value] if isinstance(value, float) else [found for one in inner for found in floats_in(one)]

    answer = ask(record(1, input_tokens=333), model="gpt-4o-mini", token_ratio=1.1, cached_share=0.1)
    assert floats_in(json.loads(json.dumps(answer.as_dict()))) == []


def test_the_book_of_the_process_is_not_touched_by_the_prices_of_a_question(ask: Asking) -> None:
    before = BOOK.version
    ask(record(1), prices="prices: [{provider: openai, match: gpt-4o, rates: {input: '5', output: '15'}}]")
    assert BOOK.version == before
    assert isinstance(BOOK, PriceBook)
    assert compared(ask())[1] == "0.0075"
