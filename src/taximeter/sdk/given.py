"""What a host says by hand, read: ids, moments, amounts. Each raises UsageError naming the `field` that is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from taximeter.clock import to_unix_us
from taximeter.core.ids import RANDOM_BYTES, parse_event_id, uuid7
from taximeter.core.money import parse_usd
from taximeter.errors import UsageError


def given_id(given: str | None, now_us: int, field: str) -> str:
    """In canonical form; a new one when none is given."""
    if given is None:
        return uuid7(now_us // 1000, os.urandom(RANDOM_BYTES))
    try:
        return parse_event_id(given)
    except (ValueError, AttributeError, TypeError) as error:
        raise UsageError(f"{field} must be a UUID, not {given!r}", field=field) from error


def given_moment_us(moment: datetime | None, now_us: int, field: str) -> int:
    """Microseconds since the epoch; now when none is given."""
    if moment is None:
        return now_us
    if moment.tzinfo is None:
        raise UsageError(f"{field} needs a time zone", hint="datetime.now(timezone.utc)", field=field)
    return to_unix_us(moment)


def given_usd(given: str | int | Decimal | None, field: str) -> Decimal | None:
    """A float is refused: it has lost digits already."""
    try:
        return None if given is None else parse_usd(given)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error), field=field) from error


def refuse_misspelt(attributes: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """An unknown name is a tag, but nobody tags with tokens or money: that is a slip, and would go unseen."""
    for name in attributes:
        if name.endswith(("_tokens", "_token", "_usd")):
            raise UsageError(f"unknown count {name}", hint="known are " + ", ".join(known), field=name)
