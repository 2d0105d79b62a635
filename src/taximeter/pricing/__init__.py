"""Pricing: usage + price book + instant → cost, or the reason why it is not known.

    book = load_price_book(Path("prices.yaml"), data / "prices")
    book.price(call)            Cost or Unpriced
    book.explain(call)          the same with every rate, the layer and rule it is from, and its period
    book.listing(call)          all rates of such a call
    book.cache_saving(call)     what caching saved it, USD
    book.highest_price(call)    a bound for a call without a price, USD

Loading reads files; everything after it is a function of its arguments. `taximeter.pricing.price_file` documents the
format of price files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from taximeter.pricing.priceable import Priceable, priceable_from_event, priceable_from_record

if TYPE_CHECKING:
    from taximeter.pricing.book import PriceBook

__all__ = ["PriceBook", "Priceable", "load_price_book", "priceable_from_event", "priceable_from_record"]


def load_price_book(
    overrides: Path | None = None, directory: Path | None = None, prefer_reported: Sequence[str] = ()
) -> PriceBook:
    """The price book of this release, with what a directory of prices (`shelf`) holds, under the user's price file.
    `prefer_reported` names the providers whose own amount counts more than what is computed.

    Raises ConfigurationError with every mistake in one of the files. The price library is first imported here.
    """
    from taximeter.pricing.shelf import PriceShelf

    return PriceShelf(directory, overrides, prefer_reported).book()


def __getattr__(name: str) -> object:
    """`PriceBook` without importing the price library until somebody asks for it."""
    if name != "PriceBook":
        raise AttributeError(name)
    from taximeter.pricing.book import PriceBook

    return PriceBook
