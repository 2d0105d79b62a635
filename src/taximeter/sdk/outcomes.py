"""An outcome reported by hand: what calls were made for, and what it was worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from taximeter.clock import SystemClock
from taximeter.core.attribution import LONGEST_VALUE
from taximeter.core.members import encode
from taximeter.core.money import LARGEST_USD, exact
from taximeter.core.outcome import Outcome, outcome_record
from taximeter.errors import UsageError
from taximeter.sdk import meter as meters
from taximeter.sdk.context import current, said
from taximeter.sdk.given import given_id, given_moment_us, given_usd, refuse_misspelt
from taximeter.sdk.guard import GUARD

_CLOCK: Final = SystemClock()


def outcome(
    name: str,
    /,
    *,
    value_usd: str | int | Decimal | None = None,
    occurred_at: datetime | None = None,
    outcome_id: str | None = None,
    tags: Mapping[str, object] | None = None,
    **attributes: Any,
) -> str:
    """Report what calls were made for: `outcome("ticket_solved", user="user_123", value_usd="4.00")`. Returns its id.

    `value_usd` is what it is worth; left out, that is unknown, which is not zero. A negative one takes back. Other
    names are attributes, as in `attribute`, on top of the surrounding ones: the outcome is set against the cost of the
    calls that have them in common with it. `occurred_at` defaults to now and needs a time zone. The same `outcome_id`
    (a UUID) reported twice counts once.

    Raises UsageError for what cannot be true: no name, a float as money, a time without a zone. Nothing that happens
    after that raises.
    """
    refuse_misspelt(attributes, ("value_usd",))
    now_us = _CLOCK.now_us()
    reached = Outcome(
        outcome_id=given_id(outcome_id, now_us, "outcome_id"),
        occurred_at_us=given_moment_us(occurred_at, now_us, "occurred_at"),
        name=_name(name),
        value_usd=_value(value_usd),
        source="sdk",
        attribution=said(tags, attributes).over(current()),
    )
    GUARD.run("outcome", _append, reached)
    return reached.outcome_id


def _append(reached: Outcome) -> None:
    meter = meters.meter()
    known = replace(reached, attribution=reached.attribution.over(meter.settings.base))
    meter.append(encode(outcome_record(known)))


def _name(given: object) -> str:
    if not isinstance(given, str) or not given.strip():
        raise UsageError(f"an outcome needs a name, not {given!r}", hint="for instance ticket_solved", field="name")
    return given.strip()[:LONGEST_VALUE]


def _value(given: str | int | Decimal | None) -> Decimal | None:
    value = given_usd(given, "value_usd")
    if value is not None and abs(value) > LARGEST_USD:
        raise UsageError(f"value_usd is beyond {LARGEST_USD}", field="value_usd")
    return None if value is None else exact(value)
