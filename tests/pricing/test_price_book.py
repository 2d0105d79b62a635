"""The price book: the same usage costs what it cost on its day."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from taximeter.clock import to_unix_us
from taximeter.core.cost import Cost, Unpriced
from taximeter.core.usage import Usage
from taximeter.pricing import Priceable, PriceBook, load_price_book

THOUSAND_AND_HALF = Usage(input_tokens=1_000, output_tokens=500)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return load_price_book()


def at(instant: str) -> int:
    """Noon of a day, or an instant, in UTC."""
    moment = datetime.fromisoformat(instant if "T" in instant else f"{instant}T12:00:00+00:00")
    return to_unix_us(moment.astimezone(UTC))


@pytest.mark.parametrize(
    ("model", "day", "usd"),
    [
        ("gpt-4o", "2024-06-01", "0.0125"),
        ("gpt-4o", "2024-10-01", "0.0125"),
        ("gpt-4o", "2024-10-02", "0.0075"),
        ("gpt-4o", "2026-11-20", "0.0075"),
        ("gpt-4o-2024-08-06", "2024-09-01", "0.0075"),
    ],
)
def test_a_call_costs_what_it_cost_on_its_day(book: PriceBook, model: str, day: str, usd: str) -> None:
    cost = book.price(Priceable("openai", model, at(day), THOUSAND_AND_HALF))
    assert isinstance(cost, Cost)
    assert cost.total == Decimal(usd)


@pytest.mark.parametrize(
    ("provider", "model", "reason"),
    [
        ("openai", "gpt-unheard-of", "unknown_model"),
        ("openai", None, "unknown_model"),
        ("my-vllm", "gpt-oss-120b", "unknown_provider"),
        (None, None, "unknown_provider"),
    ],
)
def test_what_is_not_known_is_not_free(book: PriceBook, provider: str | None, model: str | None, reason: str) -> None:
    assert book.price(Priceable(provider, model, at("2026-11-20"), THOUSAND_AND_HALF)) == Unpriced(
        reason,  # type: ignore[arg-type]
        book.version,
    )
