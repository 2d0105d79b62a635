"""Every amount explains itself: the lines add up to the cost, and each names the layer and rule it is from."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from golden import CASES, call_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taximeter.core.cost import COMPONENTS, Cost, Unpriced
from taximeter.core.money import exact, format_usd
from taximeter.core.usage import Usage
from taximeter.pricing import Priceable, PriceBook, load_price_book
from taximeter.pricing.explain import Explanation, Line
from taximeter.pricing.priceable import parse_instant
from taximeter.pricing.showing import shown

TODAY = parse_instant("2026-11-20T12:00:00Z")
THOUSAND_AND_HALF = Usage(input_tokens=1_000, output_tokens=500)


def sums(explanation: Explanation) -> dict[str, Decimal]:
    found = dict.fromkeys(COMPONENTS, Decimal(0))
    for line in explanation.lines:
        assert line.amount_usd is not None
        found[line.component] += line.amount_usd
    return {name: exact(usd) for name, usd in found.items()}


def said(line: Line) -> tuple[str, str, str | None, int, str | None]:
    """What a line counts, how many, at which price, for how many, and what that comes to."""
    usd, amount = (None if value is None else format_usd(value) for value in (line.usd, line.amount_usd))
    return line.name, format_usd(line.quantity), usd, line.per, amount


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_lines_of_a_golden_case_add_up_to_its_components(book: PriceBook, case: dict[str, Any]) -> None:
    explanation = book.explain(call_of(case))
    assert isinstance(explanation.cost, Cost)
    assert sums(explanation) == {name: getattr(explanation.cost, name) for name in COMPONENTS}
    assert all(line.trail for line in explanation.lines)


counts = st.integers(0, 300_000)


@st.composite
def odd_usages(draw: st.DrawFn) -> Usage:
    """Usages with a little of everything, above and below the steps of contexts."""
    read, short, long, plain = (draw(counts) for _ in range(4))
    audio = draw(st.integers(0, read + plain))
    wrote = draw(counts)
    return Usage(
        input_tokens=read + short + long + plain,
        cache_read_tokens=read,
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
        input_audio_tokens=audio,
        cache_read_audio_tokens=draw(st.integers(0, min(audio, read))),
        input_image_tokens=draw(st.integers(0, plain)),
        output_tokens=wrote,
        reasoning_tokens=draw(st.integers(0, wrote)),
        output_audio_tokens=draw(st.integers(0, wrote)),
        units={"web_searches": draw(st.integers(0, 3))},
    )


MODELS = [
    ("anthropic", "claude-sonnet-4-5", None, "us"),
    ("anthropic", "claude-opus-4-6", "batch", "us"),
    ("openai", "gpt-realtime", None, None),
    ("openai", "gpt-5.6-sol", "flex", "eu"),
    ("google", "gemini-2.5-flash", "priority", None),
    ("perplexity", "sonar-deep-research", None, None),
    ("google-vertex", "claude-haiku-4-5", "batch", "europe-west1"),
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(model=st.sampled_from(MODELS), usage=odd_usages())
def test_lines_and_cost_are_the_same_amount(
    book: PriceBook, model: tuple[str, str, str | None, str | None], usage: Usage
) -> None:
    provider, name, tier, region = model
    call = Priceable(provider, name, TODAY, usage, service_tier=tier, region=region)
    explanation = book.explain(call)
    assert explanation.cost == book.price(call)
    if isinstance(explanation.cost, Unpriced):
        assert any(line.amount_usd is None for line in explanation.lines)
    else:
        assert sums(explanation) == {component: getattr(explanation.cost, component) for component in COMPONENTS}
        tokens = sum(line.quantity for line in explanation.lines if line.unit == "tokens")
        assert tokens == (usage.input_tokens or 0) + (usage.output_tokens or 0)


def test_a_line_names_quantity_rate_layer_rule_source_and_period(book: PriceBook) -> None:
    usage = Usage(input_tokens=1_000, output_tokens=500, units={"web_searches": 2})
    call = Priceable(
        "anthropic", "claude-opus-4-6", parse_instant("2026-08-01T00:00:00Z"), usage, service_tier="batch", region="us"
    )
    explanation = book.explain(call)
    line = explanation.lines[0]
    assert said(line) == ("input", "1000", "2.75", 1_000_000, "0.00275")
    listed, surcharge = line.trail
    assert (listed.layer, listed.rule) == ("genai-prices", "genai-prices:anthropic/claude-opus-4-6 batch")
    assert (surcharge.layer, surcharge.factor) == ("corrections", Decimal("1.1"))
    assert surcharge.source is not None
    assert isinstance(surcharge.checked, date)
    fee = explanation.lines[-1]
    assert said(fee) == ("web_searches", "2", "0.01", 1, "0.02")
    assert explanation.from_us == parse_instant("2026-03-13T00:00:00Z")
    assert explanation.until_us == parse_instant("2026-10-14T00:00:00Z")


def test_a_unit_is_explained_by_what_is_charged_for(book: PriceBook) -> None:
    call = Priceable("groq", "whisper-large-v3-turbo", TODAY, Usage(units={"audio_seconds": 3}))
    (line,) = book.explain(call).lines
    assert (line.quantity, line.billed) == (Decimal(3), Decimal(10))
    assert said(line)[2:4] == ("0.04", 3600)


def test_what_has_no_price_is_a_line_too(book: PriceBook) -> None:
    usage = Usage(input_tokens=10, output_tokens=1, units={"holograms": 2})
    explanation = book.explain(Priceable("openai", "gpt-4o", TODAY, usage))
    assert isinstance(explanation.cost, Unpriced)
    missing = [line for line in explanation.lines if line.amount_usd is None]
    assert [said(line) for line in missing] == [("holograms", "2", None, 1, None)]


def test_a_long_request_names_its_step(book: PriceBook) -> None:
    call = Priceable("google", "gemini-2.5-pro", TODAY, Usage(input_tokens=200_001, output_tokens=1))
    assert {line.over_tokens for line in book.explain(call).lines} == {200_000}


def test_a_call_of_several_models_explains_each(book: PriceBook) -> None:
    shares = (("claude-sonnet-4-5", THOUSAND_AND_HALF), ("claude-opus-4-5", THOUSAND_AND_HALF))
    usage = Usage(input_tokens=2_000, output_tokens=1_000, units={"web_searches": 1})
    explanation = book.explain(Priceable("anthropic", "claude-sonnet-4-5", TODAY, usage, by_model=shares))
    assert [line.model for line in explanation.lines] == [
        "claude-sonnet-4-5",
        "claude-sonnet-4-5",
        "claude-opus-4-5",
        "claude-opus-4-5",
        "claude-sonnet-4-5",
    ]
    assert sum(line.amount_usd or 0 for line in explanation.lines) == Decimal("0.038")


@pytest.mark.parametrize("given", [{"not_billed": True}, {"status": "cached"}, {"status": "error", "usage": Usage()}])
def test_a_free_call_has_no_lines(book: PriceBook, given: dict[str, Any]) -> None:
    call = Priceable(**{"provider": "openai", "model": "gpt-4o", "at_us": TODAY, "usage": THOUSAND_AND_HALF, **given})
    explanation = book.explain(call)
    assert isinstance(explanation.cost, Cost)
    assert explanation.cost.total == 0
    assert not explanation.lines


def test_the_json_of_an_explanation_has_money_as_text(book: PriceBook) -> None:
    told = book.explain(Priceable("openai", "gpt-4o", TODAY, THOUSAND_AND_HALF)).as_dict()
    assert told["cost_usd"] == "0.0075"
    assert told["lines"][1]["amount_usd"] == "0.005"
    assert told["lines"][0]["trail"][0]["rule"] == "genai-prices:openai/gpt-4o"


# ── all rates of a model ───────────────────────────────────────────────────────────────────────────────────────


def test_a_listing_tells_all_rates_and_where_each_is_from(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    entry = '{provider: openai, match: gpt-4o, from: 2026-11-01, adjust: {output: "8"}, source: our contract}'
    path.write_text(f"prices:\n  - {entry}\n")
    (row,) = shown(load_price_book(path), "gpt-4o", TODAY)
    rates = {rate["rate"]: rate for rate in row["rates"]}
    assert {name: rate["usd"] for name, rate in rates.items()} == {
        "input": "2.5",
        "cache_read": "1.25",
        "output": "8",
        "web_searches": "0.01",
        "file_searches": "0.0025",
        "container_sessions": "0.03",
        "code_interpreter_calls": "0",
    }
    assert [origin["layer"] for origin in rates["input"]["trail"]] == ["genai-prices"]
    assert rates["output"]["trail"] == [
        {
            "layer": "override",
            "rule": "override:openai/gpt-4o@2026-11-01",
            "source": "our contract",
            "checked": None,
            "from": "2026-11-01T00:00:00.000000Z",
            "to": None,
            "factor": None,
        }
    ]
    assert (row["provider"], row["from"]) == ("openai", "2026-11-01T00:00:00.000000Z")


@pytest.mark.parametrize(
    ("model", "given", "expected"),
    [
        ("gpt-4o", {}, ["openai"]),
        ("azure/gpt-4o", {}, ["azure"]),
        ("claude-opus-5", {"provider": "google-vertex"}, ["google-vertex"]),
        ("gpt-unheard-of", {}, [None]),
    ],
)
def test_a_name_is_shown_for_the_hosts_it_means(
    book: PriceBook, model: str, given: dict[str, Any], expected: list[str | None]
) -> None:
    assert [row["provider"] for row in shown(book, model, TODAY, **given)] == expected
