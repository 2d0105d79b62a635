"""The calculator: the worked example, shares, models side by side, and what is wrong with a request."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.core.cost import Unpriced
from taximeter.core.usage import Usage
from taximeter.errors import TaximeterError, TooLargeError, UnknownModelError, UsageError
from taximeter.pricing import PriceBook, load_price_book
from taximeter.pricing.priceable import Priceable, parse_instant
from taximeter.reports.calculator import MOST_MODELS, Amounts, Comparison, Line, calculate
from taximeter.reports.models import tier_class

ILLUSTRATIVE = load_price_book(Path(__file__).parents[2] / "examples" / "prices-illustrative.yaml")
LISTED = load_price_book()
NOON = parse_instant("2026-11-20T12:00:00Z")
EXAMPLE = {"model": "gpt-4o", "input_tokens": 1000, "output_tokens": 500, "calls_per_day": 100_000}


def ask(book: PriceBook = ILLUSTRATIVE, /, **changes: Any) -> Comparison:
    return calculate({**EXAMPLE, **changes}, book, NOON)


def amounts(line: Line) -> dict[str, str]:
    answer: dict[str, str] = line.as_dict()["cost"]
    return answer


# ── the worked example ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("output_tokens", "per_call", "per_day", "per_month", "per_year"),
    [(500, "0.0125", "1250", "37500", "456250"), (1000, "0.02", "2000", "60000", "730000")],
)
def test_the_worked_example(output_tokens: int, per_call: str, per_day: str, per_month: str, per_year: str) -> None:
    assert amounts(ask(output_tokens=output_tokens).chosen) == {
        "per_call_usd": per_call,
        "per_day_usd": per_day,
        "per_month_usd": per_month,
        "per_year_usd": per_year,
    }


def test_models_stand_side_by_side_with_their_difference_to_the_chosen_one() -> None:
    lines = [line.as_dict() for line in ask(compare=["gpt-4o-mini", "claude-3-5-sonnet", "haiku-3.5"]).lines]
    shown = [
        (line["provider"], line["model"], line["tier_class"], line["cost"]["per_month_usd"], line["difference"])
        for line in lines
    ]
    assert [(*row[:4], row[4]["per_month_usd"], row[4]["percent"]) for row in shown] == [
        ("openai", "gpt-4o", "general", "37500", "0", "0"),
        ("openai", "gpt-4o-mini", "throughput", "1350", "-36150", "-96.4"),
        ("anthropic", "claude-3-5-sonnet", "balanced", "31500", "-6000", "-16"),
        ("anthropic", "haiku-3.5", "throughput", "11250", "-26250", "-70"),
    ]


def test_a_comparison_says_when_its_prices_held() -> None:
    days = {day: amounts(ask(LISTED, at=day).chosen)["per_call_usd"] for day in ("2024-06-01", "2026-11-20")}
    assert days == {"2024-06-01": "0.0125", "2026-11-20": "0.0075"}
    assert ask(LISTED, at="2024-06-01").as_dict()["at"] == "2024-06-01T00:00:00.000000Z"
    assert ask(LISTED).as_dict()["at"] == "2026-11-20T12:00:00.000000Z"


# ── what is known of a model ───────────────────────────────────────────────────────────────────────────────────


def test_a_model_comes_with_its_context_window_and_the_day_its_price_was_checked() -> None:
    model = ask(LISTED, input_tokens=200_000).chosen.as_dict()
    assert (model["context_window_tokens"], model["exceeds_context_window"]) == (128_000, True)
    assert model["price_checked_on"] == "2026-10-14"
    assert ask(LISTED, input_tokens=128_000).chosen.exceeds_context_window is False


def test_the_check_of_a_price_file_counts_for_its_own_prices_only() -> None:
    prices = "prices: [{provider: openai, match: gpt-4o, rates: {input: '5', output: '15'}, checked: 2026-11-03}]"
    lines = ask(LISTED, prices=prices, compare=["gpt-4o-mini", "grok-4"]).lines
    assert [line.checked_on for line in lines] == ["2026-11-03", "2026-10-14", None]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-4o", "general"),
        ("gpt-4o-mini", "throughput"),
        ("claude-opus-4-5", "general"),
        ("claude-sonnet-4-5", "balanced"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "throughput"),
        ("gemini-2.5-flash-lite", "throughput"),
        ("gemini-2.5-pro", "general"),
        ("mistral-medium-latest", "balanced"),
        ("o3", "general"),
        ("text-embedding-3-small", None),
        ("whisper-large-v3", None),
        ("our-own", None),
    ],
)
def test_classes_follow_what_makers_call_their_sizes(name: str, expected: str | None) -> None:
    assert tier_class(name) == expected


@pytest.mark.parametrize(
    ("asked", "provider", "model"),
    [
        ("gpt-4o", "openai", "gpt-4o"),
        ("GPT-4o ", "openai", "gpt-4o"),
        ("azure/gpt-4o", "azure", "gpt-4o"),
        ("openrouter/openai/gpt-4o", "openrouter", "openai/gpt-4o"),
        ("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("mistral-large-latest", "mistral", "mistral-large-latest"),
    ],
)
def test_a_bare_name_is_its_makers_and_a_provider_may_stand_before_it(asked: str, provider: str, model: str) -> None:
    found = ask(LISTED, model=asked).chosen.model
    assert (found.provider, found.name) == (provider, model)


def test_a_name_of_ones_own_is_known_by_what_it_stands_for() -> None:
    prices = """
    aliases:
      - {provider: azure, model: prod-chat, is: {model: gpt-4.1}}
    prices: []
    """
    for name in ("prod-chat", "azure/prod-chat"):
        line = ask(LISTED, prices=prices, model=name, compare=["azure/gpt-4.1"]).lines
        assert line[0].amounts == line[1].amounts
        assert line[0].amounts is not None
        assert line[0].model.context_window_tokens == line[1].model.context_window_tokens
    with pytest.raises(UnknownModelError, match="prod-chta") as raised:
        ask(LISTED, prices=prices, model="prod-chta")
    assert "prod-chat" in str(raised.value.hint)


# ── shares ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cached", "batch", "per_call"),
    [
        ("0", "0", "0.0075"),  # 1,000 x 2.50 + 500 x 10
        ("1", "0", "0.00625"),  # 1,000 x 1.25 + 500 x 10
        ("0.6", "0", "0.00675"),
        ("0", "1", "0.00375"),  # half of everything
        ("0", "0.5", "0.005625"),
        ("0.6", "0.5", "0.00525"),  # cached input costs the same by batch: 0.5 x 0.00675 + 0.5 x 0.00375
    ],
)
def test_shares_are_weighted_means_of_what_the_kinds_of_calls_cost(cached: str, batch: str, per_call: str) -> None:
    assert amounts(ask(LISTED, cached_share=cached, batch_share=batch).chosen)["per_call_usd"] == per_call


def test_a_share_need_not_be_whole_tokens() -> None:
    line = ask(LISTED, input_tokens=1, output_tokens=0, cached_share="0.333333").chosen
    assert line.amounts is not None
    assert line.amounts.per_call == Decimal("0.666667") * Decimal("0.0000025") + Decimal("0.333333") * Decimal(
        "0.00000125"
    )


def test_a_number_in_json_is_read_as_it_was_written() -> None:
    assert ask(LISTED, cached_share=json.loads("0.1")) == ask(LISTED, cached_share="0.1")


def test_a_model_without_a_price_by_batch_is_unpriced_and_not_free() -> None:
    prices = "prices: [{provider: local, match: our-own, rates: {input: '1', output: '2'}}]"
    by_batch = ask(LISTED, prices=prices, model="gpt-4o", compare=["our-own"], batch_share="0.5").lines[1]
    assert (by_batch.unpriced_reason, by_batch.amounts, by_batch.difference) == ("no_price_for_tier", None, None)
    assert by_batch.as_dict()["cost"] is None
    chosen, other = ask(LISTED, prices=prices, model="our-own", compare=["gpt-4o"], batch_share="0.5").lines
    assert (chosen.amounts, other.difference) == (None, None)
    assert amounts(ask(LISTED, prices=prices, model="our-own").chosen)["per_call_usd"] == "0.002"


# ── properties ─────────────────────────────────────────────────────────────────────────────────────────────────

MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-pro", "gpt-5-mini", "o3")
shares = st.integers(0, 1_000_000).map(lambda n: Decimal(n) / 1_000_000)
workloads = st.fixed_dictionaries(
    {
        "model": st.sampled_from(MODELS),
        "input_tokens": st.integers(0, 3_000_000),
        "output_tokens": st.integers(0, 1_000_000),
        "calls_per_day": st.integers(0, 10**12),
        "cached_share": shares.map(str),
        "batch_share": shares.map(str),
    }
)


@given(workloads)
def test_a_day_is_its_calls_a_month_thirty_days_and_a_year_365(workload: dict[str, Any]) -> None:
    line = calculate(workload, LISTED, NOON).chosen
    assert line.amounts is not None
    assert line.components is not None
    call, day, month, year = (Fraction(getattr(line.amounts, name)) for name in Amounts.__slots__)
    assert call == sum(map(Fraction, line.components.values()))
    assert (day, month, year) == (call * workload["calls_per_day"], day * 30, day * 365)


@given(workloads, st.sampled_from(MODELS))
def test_a_difference_is_what_is_missing_to_the_other_models_amount(workload: dict[str, Any], other: str) -> None:
    chosen, beside = calculate({**workload, "compare": [other, "haiku-3.5"]}, ILLUSTRATIVE, NOON).lines[:2]
    for name in Amounts.__slots__:
        usd, beside_usd, difference = (
            Fraction(getattr(a, name)) for a in (chosen.amounts, beside.amounts, beside.difference)
        )
        assert usd + difference == beside_usd


@given(workloads, st.integers(0, 1_000), st.integers(0, 1_000))
def test_more_tokens_never_cost_less(workload: dict[str, Any], more_in: int, more_out: int) -> None:
    more = {
        **workload,
        "input_tokens": workload["input_tokens"] + more_in,
        "output_tokens": workload["output_tokens"] + more_out,
    }
    less_usd, more_usd = (calculate(one, LISTED, NOON).chosen.amounts for one in (workload, more))
    assert less_usd is not None
    assert more_usd is not None
    assert less_usd.per_call <= more_usd.per_call


@given(workloads)
def test_the_ends_of_a_share_are_the_calls_themselves(workload: dict[str, Any]) -> None:
    for cached in (0, 1):
        for batch in (0, 1):
            line = calculate({**workload, "cached_share": cached, "batch_share": batch}, LISTED, NOON).chosen
            read = workload["input_tokens"] * cached
            usage = Usage(
                input_tokens=workload["input_tokens"], cache_read_tokens=read, output_tokens=workload["output_tokens"]
            )
            call = Priceable(
                line.model.provider, workload["model"], NOON, usage, service_tier="batch" if batch else None
            )
            cost = LISTED.price(call)
            assert not isinstance(cost, Unpriced)
            assert line.amounts is not None
            assert line.amounts.per_call == cost.total


@given(workloads)
def test_caching_more_or_batching_more_never_costs_more_on_these_models(workload: dict[str, Any]) -> None:
    for share in ("cached_share", "batch_share"):
        most = calculate({**workload, share: "1"}, LISTED, NOON).chosen.amounts
        some = calculate(workload, LISTED, NOON).chosen.amounts
        none = calculate({**workload, share: "0"}, LISTED, NOON).chosen.amounts
        assert most is not None
        assert some is not None
        assert none is not None
        assert most.per_call <= some.per_call <= none.per_call


def floats_in(value: object) -> list[object]:
    if isinstance(value, dict):
        return [found for one in value.values() for found in floats_in(one)]
    if isinstance(value, list):
        return [found for one in value for found in floats_in(one)]
    return [value] if isinstance(value, float) else []


@given(workloads)
def test_no_amount_is_ever_a_float(workload: dict[str, Any]) -> None:
    comparison = calculate({**workload, "compare": ["gpt-4o-mini"]}, LISTED, NOON)
    assert floats_in(json.loads(json.dumps(comparison.as_dict()))) == []
    assert all(isinstance(usd, Decimal) for line in comparison.lines for usd in (line.components or {}).values())


# ── bad requests ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model": None}, "model"),
        ({"model": 4}, "model"),
        ({"compare": 4}, "compare"),
        ({"compare": ["gpt-4o-mini"] + [f"m{n}" for n in range(MOST_MODELS)]}, "compare"),
        ({"input_tokens": -1}, "input_tokens"),
        ({"input_tokens": 10.5}, "input_tokens"),
        ({"output_tokens": True}, "output_tokens"),
        ({"calls_per_day": None}, "calls_per_day"),
        ({"calls_per_day": 10**13}, "calls_per_day"),
        ({"cached_share": "60"}, "cached_share"),
        ({"cached_share": "-0.1"}, "cached_share"),
        ({"cached_share": "0.1234567"}, "cached_share"),
        ({"batch_share": "half"}, "batch_share"),
        ({"batch_share": "NaN"}, "batch_share"),
        ({"at": "someday"}, "at"),
        ({"prices": 4}, "prices"),
        ({"prices": "prices: [{provider: openai, match: gpt-4o, rates: {input: '-1'}}]"}, "prices"),
        ({"prises": "x"}, "prises"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError) as raised:
        ask(**changes)
    assert raised.value.facts["field"] == field


def test_a_price_file_in_a_request_has_a_limit() -> None:
    with pytest.raises(TooLargeError):
        ask(prices="#" * 300_000)


@pytest.mark.parametrize(
    ("name", "near"),
    [("gtp-4o", "gpt-4o"), ("claude-sonet-4-5", "claude-sonnet-4-5"), ("openai/gtp-4o", "openai/gpt-4o")],
)
def test_an_unknown_model_is_refused_with_names_that_look_like_it(name: str, near: str) -> None:
    with pytest.raises(UnknownModelError, match=name) as raised:
        ask(LISTED, compare=[name])
    assert near in str(raised.value.hint)
    assert raised.value.facts["field"] == "compare"
    assert (raised.value.http_status, raised.value.exit_code) == (422, 1)


def test_a_model_that_looks_like_nothing_is_refused_too() -> None:
    with pytest.raises(TaximeterError, match="no price is known for the model 'zzzzzzzzzzzz'"):
        ask(LISTED, model="zzzzzzzzzzzz")


def test_between_hosts_of_the_same_model_one_has_to_choose() -> None:
    with pytest.raises(UnknownModelError, match="several providers") as raised:
        ask(LISTED, model="deepseek-ai/deepseek-v3.1")
    one = raised.value.facts["similar"]
    assert isinstance(one, list)
    assert ask(LISTED, model=one[0]).chosen.model.full_name == one[0]


@pytest.mark.parametrize(
    ("bare", "whose"),
    [
        ("gpt-5.1", "openai"),  # of Azure only the prices in certain regions are known by this name
        ("o3-mini", "openai"),
        ("text-embedding-3-small", "openai"),
        ("kimi-k2.7-code", "moonshotai"),
        ("glm-5.2", "zhipuai"),
        ("mistral-nemo", "mistral"),
        ("apac.anthropic.claude-opus-5", "aws"),
        ("deepseek-r1:free", "openrouter"),
        ("gpt-35-turbo-0125", "azure"),
    ],
)
def test_a_bare_name_is_its_makers_unless_it_is_a_hosts_own(bare: str, whose: str) -> None:
    assert ask(LISTED, model=bare).chosen.model.full_name == f"{whose}/{bare}"
