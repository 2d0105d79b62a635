"""The price changes of summer 2026, over a month of calls, against a ledger kept by hand.

OpenAI cut gpt-5.6-luna and -terra on 2026-07-30 and gpt-5.6-sol on 2026-08-21; DeepSeek raised its prices on 2026-08-16
at 16:00 UTC, with twice the price in peak hours, at weekends only until the 22nd. Tools that price by today's list
rewrote the weeks before. The ledger here is written in whole calls and prices, without any code of the price book.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from editions import doctored, edition_of

from taximeter.clock import to_datetime, to_unix_us
from taximeter.core.cost import Cost
from taximeter.core.usage import Usage
from taximeter.pricing import Priceable, PriceBook
from taximeter.pricing.priceable import parse_instant
from taximeter.pricing.snapshot import Snapshots

FIRST, LAST = date(2026, 7, 27), date(2026, 8, 30)
USAGE = Usage(input_tokens=3_000, cache_read_tokens=1_000, output_tokens=500)
"""Every call: 2,000 tokens read anew, 1,000 from a cache, 500 written."""

MODELS = (
    ("openai", "gpt-5.6-luna"),
    ("openai", "gpt-5.6-terra"),
    ("openai", "gpt-5.6-sol"),
    ("deepseek", "deepseek-v4-pro"),
)

A_CALL = {
    # (2,000 x input + 1,000 x cached + 500 x output) / 1,000,000
    "luna at 1, 0.1, 6": "0.0051",
    "luna at 0.2, 0.02, 1.2": "0.00102",
    "terra at 2.5, 0.25, 15": "0.01275",
    "terra at 2, 0.2, 12": "0.0102",
    "sol at 5, 0.5, 30": "0.0255",
    "sol at 4, 0.4, 20": "0.0184",
    "pro at 0.435, 0.003625, 0.87": "0.001308625",
    "pro at 0.66, 0.022, 1.98": "0.002332",
    "pro at 1.32, 0.044, 3.96 (peak)": "0.004664",
}

LEDGER = {
    # one call an hour of each model: 24 a day
    "gpt-5.6-luna": {
        "2026-07-29": 24 * Decimal(A_CALL["luna at 1, 0.1, 6"]),
        "2026-07-30": 24 * Decimal(A_CALL["luna at 0.2, 0.02, 1.2"]),
    },
    "gpt-5.6-terra": {
        "2026-07-29": 24 * Decimal(A_CALL["terra at 2.5, 0.25, 15"]),
        "2026-07-30": 24 * Decimal(A_CALL["terra at 2, 0.2, 12"]),
    },
    "gpt-5.6-sol": {
        "2026-08-20": 24 * Decimal(A_CALL["sol at 5, 0.5, 30"]),
        "2026-08-21": 24 * Decimal(A_CALL["sol at 4, 0.4, 20"]),
    },
    "deepseek-v4-pro": {
        "2026-08-15": 24 * Decimal(A_CALL["pro at 0.435, 0.003625, 0.87"]),
        # sixteen hours at the old price, eight at the new one, which have no peak
        "2026-08-16": 16 * Decimal(A_CALL["pro at 0.435, 0.003625, 0.87"])
        + 8 * Decimal(A_CALL["pro at 0.66, 0.022, 1.98"]),
        # seven hours of peak: 1, 2, 3 and 6, 7, 8, 9 o'clock
        "2026-08-17": 17 * Decimal(A_CALL["pro at 0.66, 0.022, 1.98"])
        + 7 * Decimal(A_CALL["pro at 1.32, 0.044, 3.96 (peak)"]),
        # a Saturday that still has a peak, and a Sunday that has none
        "2026-08-22": 17 * Decimal(A_CALL["pro at 0.66, 0.022, 1.98"])
        + 7 * Decimal(A_CALL["pro at 1.32, 0.044, 3.96 (peak)"]),
        "2026-08-23": 24 * Decimal(A_CALL["pro at 0.66, 0.022, 1.98"]),
        "2026-08-24": 17 * Decimal(A_CALL["pro at 0.66, 0.022, 1.98"])
        + 7 * Decimal(A_CALL["pro at 1.32, 0.044, 3.96 (peak)"]),
        "2026-08-29": 24 * Decimal(A_CALL["pro at 0.66, 0.022, 1.98"]),
    },
}
"""What a day costs, on the days around each change."""

MONTH = {
    # whole days at each price, from the 27th of July to the 30th of August: 35 days
    "gpt-5.6-luna": 3 * 24 * Decimal("0.0051") + 32 * 24 * Decimal("0.00102"),
    "gpt-5.6-terra": 3 * 24 * Decimal("0.01275") + 32 * 24 * Decimal("0.0102"),
    "gpt-5.6-sol": 25 * 24 * Decimal("0.0255") + 10 * 24 * Decimal("0.0184"),
    # 20 days and 16 hours; then 14 days and 8 hours, with seven hours of peak on the 17th to 22nd and 24th to 28th
    "deepseek-v4-pro": (20 * 24 + 16) * Decimal("0.001308625")
    + (14 * 24 + 8 - 11 * 7) * Decimal("0.002332")
    + 11 * 7 * Decimal("0.004664"),
}


def calls() -> list[Priceable]:
    """A call of every model in every hour, at an odd minute."""
    days = (LAST - FIRST).days + 1
    start = datetime(FIRST.year, FIRST.month, FIRST.day, 0, 37, 11, tzinfo=UTC)
    hours = [to_unix_us(start + timedelta(hours=hour)) for hour in range(24 * days)]
    return [Priceable(provider, model, at_us, USAGE) for at_us in hours for provider, model in MODELS]


def spent(book: PriceBook, asked: Iterable[Priceable]) -> Iterator[tuple[str, str, Decimal]]:
    for call in asked:
        cost = book.price(call)
        assert isinstance(cost, Cost), cost
        yield str(call.model), to_datetime(call.at_us).date().isoformat(), cost.total


def by_day(book: PriceBook, asked: Iterable[Priceable]) -> dict[tuple[str, str], Decimal]:
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for model, day, usd in spent(book, asked):
        sums[model, day] += usd
    return sums


def test_the_days_around_the_changes_are_as_in_the_ledger(book: PriceBook) -> None:
    found = by_day(book, calls())
    assert {(m, d): found[m, d] for m, days in LEDGER.items() for d in days} == {
        (model, day): usd for model, days in LEDGER.items() for day, usd in days.items()
    }


def test_the_month_is_as_in_the_ledger(book: PriceBook) -> None:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for model, _, usd in spent(book, calls()):
        sums[model] += usd
    assert sums == MONTH


def test_the_order_in_which_calls_arrive_does_not_matter(book: PriceBook) -> None:
    shuffled = calls()
    random.Random(20260816).shuffle(shuffled)
    assert by_day(book, shuffled) == by_day(book, calls())


# ── newer data that tell the past otherwise, as the lists of that summer did ───────────────────────────────────


def undated(provider: dict[str, Any]) -> None:
    """Only today's prices, for ever: what a list without dates says after the cuts."""
    for model in provider["models"]:
        if model["id"] in ("gpt-5.6-luna", "gpt-5.6-terra", "gpt-5.6-sol"):
            model["prices"] = {"input_mtok": "0.2", "cache_read_mtok": "0.02", "output_mtok": "1.2"}


@pytest.mark.parametrize("adopted_at", ["2026-08-31T00:00:00Z", "2026-11-20T12:00:00Z"])
def test_the_month_does_not_move_when_newer_data_rewrite_it(book: PriceBook, adopted_at: str) -> None:
    adopted_us = parse_instant(adopted_at)
    rewritten = edition_of(doctored("openai", undated), adopted_us)
    after = PriceBook(book.layers, Snapshots([*book.snapshots.editions, rewritten]))
    assert by_day(after, calls()) == by_day(book, calls())
    late = replace(calls()[2], at_us=adopted_us)
    assert [usd for _, _, usd in spent(after, [late])] == [Decimal(A_CALL["luna at 0.2, 0.02, 1.2"])]


def test_without_editions_the_same_data_would_have_moved_it(book: PriceBook) -> None:
    naive = PriceBook(book.layers, Snapshots([edition_of(doctored("openai", undated), None)]))
    assert by_day(naive, calls()) != by_day(book, calls())
