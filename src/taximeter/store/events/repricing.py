"""Re-pricing as a store keeps it: runs, new derivations of stored costs, and those that they replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import reduce
from operator import attrgetter
from typing import Any, Final, Literal

from taximeter.clock import rfc3339
from taximeter.core.cost import COMPONENTS, Cost, Unpriced
from taximeter.core.money import SCALE, plus
from taximeter.core.usage import TOKEN_CLASSES

Kind = Literal["reprice", "backfill"]
State = Literal["waiting", "running", "done", "failed"]
UNFINISHED: Final[tuple[State, ...]] = ("waiting", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repricing:
    """One run of re-pricing: who asked for what, why, and what came of it.

    `request` is `{"from", "to", "filters", "dry_run"}` with RFC 3339 instants. Everything before `cursor_us`
    (microseconds since the epoch) is restated; it is committed together with the costs up to there, so that a run that
    was cut off goes on from it. `outcome` is the difference so far.
    """

    id: str
    kind: Kind
    asked_at_us: int
    asked_by: str
    request: Mapping[str, Any]
    note: str | None = None
    state: State = "waiting"
    price_version: str | None = None
    cursor_us: int | None = None
    outcome: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape."""
        return {
            "id": self.id,
            "kind": self.kind,
            "asked_at": rfc3339(self.asked_at_us),
            "asked_by": self.asked_by,
            "note": self.note,
            "request": dict(self.request),
            "state": self.state,
            "price_version": self.price_version,
            "done_until": None if self.cursor_us is None else rfc3339(self.cursor_us),
            "outcome": dict(self.outcome),
        }


@dataclass(frozen=True, slots=True)
class NewCost:
    """Another derivation of a stored event's cost. `started_us` is the event's, microseconds since the epoch."""

    event_id: str
    started_us: int
    cost: Cost | Unpriced


COST_COLUMNS: Final = (
    "cost_usd",
    "cost",
    "cache_read_saving_usd",
    "cache_write_surcharge_usd",
    "unpriced_reason",
    "price_version",
    "price_rule",
)
"""What re-pricing replaces; the other columns of an event are facts."""

SUPERSEDED: Final = ("event_id", *COST_COLUMNS, "superseded_at", "repricing_id")
"""What is kept of a derivation that was replaced."""

PRICED_BY: Final = (
    "provider",
    "request_model",
    "response_model",
    "operation",
    "service_tier",
    "region",
    "status",
    "team",
    "tenant",
    *TOKEN_CLASSES,
    "units",
    "by_model",
    "not_billed",
    "reported_cost_usd",
)
"""Everything that the price of a call may depend on, beside its start."""

DERIVATION: Final = ("event_id", "started_at", "amounts", "price_rule", "unpriced_reason", *PRICED_BY)
"""The columns of a row of `EventStore.derivations`."""

NO_AMOUNT: Final = "-"
_SCALED: Final = f".{SCALE}f"
_amounts: Final = attrgetter(*COMPONENTS, "cache_read_saving", "cache_write_surcharge")


def amounts_of(cost: Cost) -> str:
    """The amounts of a derivation as one text: the components, what reading from a cache saved, what writing to it cost
    more; each with twelve digits after the point, `-` for what is not known, and a blank between."""
    return " ".join([NO_AMOUNT if amount is None else f"{amount:{_SCALED}}" for amount in _amounts(cost)])


def total_of(amounts: str) -> Decimal | None:
    """The cost in such a text, USD; None when the call was unpriced."""
    components = amounts.split(" ")[: len(COMPONENTS)]
    return None if NO_AMOUNT in components else reduce(plus, map(Decimal, components))
