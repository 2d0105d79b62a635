"""The provider's own amount: kept beside ours, and counted where that is configured."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from taximeter.core.cost import Cost, Unpriced
from taximeter.core.usage import Usage
from taximeter.pricing import Priceable, PriceBook, load_price_book, priceable_from_record
from taximeter.pricing.priceable import parse_instant

AT_US = parse_instant("2026-06-01T12:00:00Z")
CALL = Priceable(
    "openrouter",
    "anthropic/claude-sonnet-4.6",
    AT_US,
    Usage(input_tokens=2_000, cache_read_tokens=1_000, output_tokens=100),
    reported_usd=Decimal("0.0049"),
)
"""Computed: 1,000 x 3 + 1,000 x 0.3 + 100 x 15 USD per million = 0.0048."""


@pytest.fixture(scope="module")
def preferring() -> PriceBook:
    return load_price_book(prefer_reported=["open-router", "xai"])


def priced(book: PriceBook, call: Priceable) -> Cost:
    cost = book.price(call)
    assert isinstance(cost, Cost)
    return cost


def test_without_configuration_the_computed_amount_counts(book: PriceBook) -> None:
    assert priced(book, CALL).total == Decimal("0.0048")


def test_a_preferred_amount_counts_and_the_components_still_add_up(preferring: PriceBook) -> None:
    cost = priced(preferring, CALL)
    assert cost.total == Decimal("0.0049")
    assert (cost.input, cost.cache_read, cost.output) == (Decimal("0.003"), Decimal("0.0003"), Decimal("0.0015"))
    assert cost.other == Decimal("0.0001")
    assert cost.price_rule.startswith("reported:openrouter + genai-prices:openrouter/")
    assert cost.cache_saving == Decimal("0.0027")


def test_an_amount_below_ours_leaves_a_negative_rest(preferring: PriceBook) -> None:
    cost = priced(preferring, replace(CALL, reported_usd=Decimal("0.004")))
    assert (cost.total, cost.other) == (Decimal("0.004"), Decimal("-0.0008"))


def test_it_prices_a_model_that_nobody_lists(preferring: PriceBook) -> None:
    cost = priced(preferring, replace(CALL, model="nobody/knows", request_model="nobody/knows"))
    assert (cost.total, cost.other, cost.price_rule) == (Decimal("0.0049"), Decimal("0.0049"), "reported:openrouter")
    assert cost.cache_saving is None


@pytest.mark.parametrize(
    "call",
    [
        replace(CALL, provider="anthropic", model="claude-sonnet-4-6"),
        replace(CALL, reported_usd=None),
        replace(CALL, reported_usd=Decimal(0)),
    ],
    ids=["another provider", "no amount", "somebody else charges"],
)
def test_other_calls_are_computed(preferring: PriceBook, call: Priceable) -> None:
    assert priced(preferring, call).total == Decimal("0.0048")


def test_what_is_free_stays_free(preferring: PriceBook) -> None:
    assert priced(preferring, replace(CALL, status="cached")).total == 0
    assert priced(preferring, replace(CALL, not_billed=True)).total == 0


def test_the_book_says_so_in_its_version(book: PriceBook, preferring: PriceBook) -> None:
    assert book.version != preferring.version
    assert load_price_book(prefer_reported=["openrouter", "x-ai"]).version == preferring.version


def test_prices_alone_can_still_be_asked(preferring: PriceBook) -> None:
    computed = preferring.computed(CALL)
    assert isinstance(computed, Cost)
    assert computed.total == Decimal("0.0048")
    assert isinstance(preferring.computed(replace(CALL, model="nobody/knows")), Unpriced)


def test_the_explanation_has_a_line_for_the_rest(preferring: PriceBook) -> None:
    told = preferring.explain(CALL)
    assert isinstance(told.cost, Cost)
    assert sum(line.amount_usd or 0 for line in told.lines) == told.cost.total
    assert told.lines[-1].name == "as the provider reported"


@pytest.mark.parametrize(("told", "usd"), [("0.5", "0.5"), (1, "1"), (None, None), ("much", None), ("NaN", None)])
def test_an_amount_of_a_record_is_read_or_says_nothing(told: object, usd: str | None) -> None:
    call = priceable_from_record({"started_at": "2026-06-01T12:00:00Z", "reported_cost_usd": told})
    assert call.reported_usd == (None if usd is None else Decimal(usd))
