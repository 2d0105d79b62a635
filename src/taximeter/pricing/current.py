"""The price book of a running server: the same one until its files change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from taximeter.core.cost import Cost, Unpriced
from taximeter.errors import ConfigurationError
from taximeter.pricing.priceable import Priceable
from taximeter.pricing.shelf import PriceShelf

_log = logging.getLogger(__name__)


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
                if self.problem != str(error):
                    _log.warning("prices stay as they were: %s", error)
                self.problem = str(error)
                return False
            self._stamp, self.problem = stamp, None
            changed = book.version != self.book.version
            if changed:
                self.book = book
                _log.info("prices: %s", book.version)
            return changed


def open_prices(
    directory: Path, overrides: Path | None, now_us: int, prefer_reported: Sequence[str] = ()
) -> CurrentPrices:
    """The prices of a server, over what its directory of prices holds. The installed library's data are kept there.

    Raises ConfigurationError with every mistake in one of the files.
    """
    shelf = PriceShelf(directory, overrides, prefer_reported)
    shelf.keep_bundled(now_us)
    return CurrentPrices(shelf)
