"""One price book for the whole folder: loading it reads the library's data."""

from __future__ import annotations

import pytest

from taximeter.pricing import PriceBook, load_price_book


@pytest.fixture(scope="session")
def book() -> PriceBook:
    return load_price_book()
