"""Reading the requests of reports: JSON values into numbers, names and a price book. All raise UsageError."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from taximeter.core.money import format_usd, parse_usd
from taximeter.errors import ConfigurationError, TooLargeError, UsageError
from taximeter.pricing import PriceBook
from taximeter.pricing.price_file import parse
from taximeter.store.events.instants import parse_instant

Progress = Callable[[int, int], None]
"""Told the calls that are done, and how many there are."""

SHARE_DIGITS: Final = 6
"""Digits after the point of a share or a ratio."""

RANGE: Final = ("filters", "from", "to", "timezone")
"""What says which calls are meant."""

_MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
MOST_TOKEN_RATIO: Final = Decimal(10)
LARGEST_PRICE_FILE_BYTES: Final = 256 * 1024
OVERRIDE: Final = "override"
"""The layer of the user's own prices."""


def only(request: Mapping[str, Any], allowed: Sequence[str]) -> None:
    for name in request:
        if name not in allowed:
            listed = list(allowed)
            raise UsageError(
                f"unknown field {name!r}", hint="allowed: " + ", ".join(listed), field=name, allowed=listed
            )


def text(request: Mapping[str, Any], field: str) -> str | None:
    given = request.get(field)
    if given is None:
        return None
    if not isinstance(given, str) or not given.strip():
        raise UsageError(f"{field} must be a name", field=field)
    return given.strip()


def names(request: Mapping[str, Any], field: str) -> list[str]:
    """A list of names, or names with commas between."""
    given = request.get(field) or []
    listed = given.split(",") if isinstance(given, str) else given
    if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
        raise UsageError(f"{field} must be a list of names", field=field)
    return [name.strip() for name in listed if name.strip()]


def count(request: Mapping[str, Any], field: str, most: int) -> int:
    given = request.get(field)
    if given is None:
        raise UsageError(f"{field} is needed", field=field)
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= most:
        raise UsageError(f"{field} must be a whole number from 0 to {most}, not {given!r}", field=field)
    return given


def share(request: Mapping[str, Any], field: str) -> Decimal | None:
    """A number between 0 and 1."""
    given = _number(request, field)
    if given is not None and not 0 <= given <= 1:
        raise UsageError(f"{field} must be between 0 and 1, not {format_usd(given)}", hint="0.6 is 60%", field=field)
    return given


def ratio(request: Mapping[str, Any], field: str) -> Decimal:
    """A factor above 0; 1 when it is not given."""
    given = _number(request, field)
    if given is not None and not 0 < given <= MOST_TOKEN_RATIO:
        message = f"{field} must be above 0 and at most {MOST_TOKEN_RATIO}, not {format_usd(given)}"
        raise UsageError(message, hint="1.15 is 15% more tokens", field=field)
    return Decimal(1) if given is None else given


def _number(request: Mapping[str, Any], field: str) -> Decimal | None:
    """A JSON number is read by its text, as it was written."""
    given = request.get(field)
    if given is None:
        return None
    try:
        number = parse_usd(str(given))
    except ValueError:
        raise UsageError(f"{field} must be a number, not {given!r}", field=field) from None
    if _digits_after_point(number) > SHARE_DIGITS:
        raise UsageError(f"{field} has more than {SHARE_DIGITS} digits after the point", field=field)
    return number


def _digits_after_point(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def instant(request: Mapping[str, Any], field: str, now_us: int) -> int:
    """Microseconds since the epoch: now when it is not given; a date begins at midnight UTC."""
    given = request.get(field)
    return now_us if given is None else parse_instant(given, now_us, "UTC", field=field)


def period(request: Mapping[str, Any]) -> dict[str, Any]:
    """`from` and `to` of a query, from a `month` such as 2026-10 or from themselves; last month when nothing is
    said."""
    month = text(request, "month")
    if month is None:
        return {"from": request.get("from") or "last_month", "to": request.get("to") or _end(request)}
    if request.get("from") or request.get("to"):
        raise UsageError("a month, or from and to, not both", field="month")
    found = _MONTH.fullmatch(month)
    if found is None:
        raise UsageError(f"{month!r} is no month", hint="such as 2026-10", field="month")
    year, number = int(found[1]), int(found[2])
    return {"from": f"{month}-01", "to": f"{year + number // 12:04d}-{number % 12 + 1:02d}-01"}


def _end(request: Mapping[str, Any]) -> str:
    """What began in the past ends now; last month, quarter or year when this one begins."""
    begin = str(request.get("from") or "last_month")
    return begin.replace("last_", "this_", 1) if begin.startswith("last_") else "now"


def price_book(request: Mapping[str, Any], book: PriceBook) -> PriceBook:
    """The book of the request: its `prices`, the text of a price file, stand in the place of the user's own prices."""
    given = request.get("prices")
    if given is None:
        return book
    if not isinstance(given, str):
        raise UsageError("prices must be the text of a price file", field="prices")
    if len(given.encode()) > LARGEST_PRICE_FILE_BYTES:
        raise TooLargeError(f"a price file in a request has at most {LARGEST_PRICE_FILE_BYTES} bytes", field="prices")
    try:
        own = parse(given, OVERRIDE)
    except ConfigurationError as error:
        mistakes = [str(mistake) for mistake in error.mistakes]
        raise UsageError(f"prices: {'; '.join(mistakes)}", field="prices", mistakes=mistakes) from None
    return PriceBook([*(layer for layer in book.layers if layer.layer != OVERRIDE), own], book.snapshots)
