"""The price book of a running server: the same one until its files change."""

from __future__ import annotations

import threading
from typing import Final

from taximeter.core.cost import Cost, Unpriced
from taximeter.errors import ConfigurationError
from taximeter.pricing.priceable import Priceable
from taximeter.pricing.shelf import PriceShelf


class CurrentPrices:
    """Prices calls with the newest good book. Safe to share between threads."""

    def __init__(self, shelf: PriceShelf) -> None:
        """Raises ConfigurationError with every mistake in the shelf's files."""
        self.shelf: Final = shelf
        self._stamp = shelf.stamp()
        self.book = shelf.book()
        self.problem: str | None = None
        """What is wrong with files that changed since; the book before them stays in use."""
        self._reloading = threading.Lock()

    @property
    def version(self) -> str:
        return self.book.version

    def price(self, call: Priceable, /) -> Cost | Unpriced:
        """As `PriceBook.price`."""
        return self.book.price(call)

    def reload(self) -> bool:
        """Read the files again when they changed; whether the book is another one now. Never raises."""
        with self._reloading:
            try:
                stamp = self.shelf.stamp()
                if stamp == self._stamp:
                    return False
                book = self.shelf.book()
            except (ConfigurationError, OSError) as error:
                self.problem = str(error)
                return False
            self._stamp, self.problem = stamp, None
            changed = book.version != self.book.version
            if changed:
                self.book = book
            return changed
