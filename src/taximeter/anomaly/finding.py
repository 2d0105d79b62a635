"""A finding: what a detector saw, from its first minute to its last. Detectors make it, alerts act on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

Severity = Literal["warning", "critical"]
SEVERITIES: Final = ("warning", "critical")

FindingKind = Literal[
    "volume_spike",
    "cost_per_request",
    "cache_hit_rate",
    "model_drift",
    "retry_storm",
    "slow_creep",
    "error_rate",
    "new_spender",
    "z_score",
]


CALLS: Final = "calls"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What was seen beside what was expected, in `unit`: `expected 212 calls, 90% between 160 and 271`.

    `basis` says in words what the expectation rests on: `6 Tuesdays`.
    """

    unit: str
    actual: float
    expected: float
    low: float
    high: float
    basis: str

    @property
    def seen(self) -> str:
        """`420 calls`, `1 call`."""
        unit = "call" if self.unit == CALLS and self.actual == 1 else self.unit
        return f"{self.actual:g} {unit}"


@dataclass(frozen=True, slots=True)
class Contributor:
    """A part of the change: `share` of it, between 0 and 1, fell to `value` of `dimension`."""

    dimension: str
    value: str | None
    share: float
    change_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One incident at the scope that explains it. All times are microseconds since the epoch, UTC.

    `finding_id` stays the same from the first minute to the last, over restarts too. `scope` is dimension → value;
    empty is the whole deployment. `excess_usd` is the money beyond what was expected, so far; None when unknown.
    `ended_at_us` is None while it lasts.
    """

    finding_id: str
    kind: FindingKind
    scope: Mapping[str, str]
    severity: Severity
    started_at_us: int
    detected_at_us: int
    updated_at_us: int
    ended_at_us: int | None = None
    expectation: Expectation
    excess_usd: Decimal | None = None
    excess_usd_per_hour: Decimal | None = None
    contributors: Sequence[Contributor] = ()
    summary: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        return self.ended_at_us is None
