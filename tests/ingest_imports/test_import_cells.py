"""Numbers as tools and spreadsheets write them, here and elsewhere."""

from __future__ import annotations

from decimal import Decimal

import pytest

from taximeter.ingest.imports.cells import usd, whole
from taximeter.ingest.imports.row import RowError


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("0.0123", "0.0123"),
        ("0,0123", "0.0123"),
        ("0,123", "0.123"),
        ("12,5", "12.5"),
        ("1234,567", "1234.567"),
        ("1,234.56", "1234.56"),
        ("1.234,56", "1234.56"),
        ("123.456,7", "123456.7"),
        ("$1,234", "1234"),
        (" US$0.01 ", "0.01"),
        ("1e-5", "0.00001"),
        ("1,5E-05", "0.000015"),
        ("1.234", "1.234"),
        (0.1, "0.1"),
    ],
)
def test_an_amount_is_read_as_it_was_meant(written: object, amount: str) -> None:
    assert usd({"cost": written}, "cost") == Decimal(amount)


@pytest.mark.parametrize(
    ("written", "mistake"),
    [
        ("1,234", "can be read in two ways"),
        ("1.234.567", "is no number"),
        ("1,23,45", "is no number"),
        ("12,34.5", "is no number"),
        ("0.5 EUR", "is no number"),
        ("-1", "is no amount"),
    ],
)
def test_an_amount_that_may_mean_something_else_is_a_mistake_of_its_row(written: str, mistake: str) -> None:
    with pytest.raises(RowError, match=mistake):
        usd({"cost": written}, "cost")


@pytest.mark.parametrize(
    ("written", "count"),
    [("1,500", 1500), ("1,500,000", 1_500_000), ("12.0", 12), ("1000.000", 1000), ("12,0", 12), (12.0, 12)],
)
def test_a_count_is_read_as_it_was_meant(written: object, count: int) -> None:
    assert whole({"tokens": written}, "tokens") == count


@pytest.mark.parametrize("written", ["1.000", "12.000", " 120.000 "])
def test_a_count_whose_point_may_mark_thousands_is_a_mistake_of_its_row(written: str) -> None:
    """Where a comma begins the fraction, 12.000 tokens are twelve thousand."""
    with pytest.raises(RowError, match="can be read in two ways"):
        whole({"tokens": written}, "tokens")


@pytest.mark.parametrize("written", ["1.500", "1,5", "1.5", "-3", "12,34"])
def test_a_count_with_a_fraction_is_a_mistake_of_its_row(written: str) -> None:
    with pytest.raises(RowError, match="is no count"):
        whole({"tokens": written}, "tokens")
