"""When a deviation is a finding: thresholds by kind, for everything or for a scope."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

SCORE: Final = 5.0
"""Standard scores a window must be off: one in 3.5 million if the noise is as learnt. Some 100 scopes are looked at in
ten windows a minute, a million looks a day, of which few are independent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Sizes that matter. Ratios are multiples of what is expected; shares are between 0 and 1."""

    volume_warning: float = 1.5
    volume_critical: float = 2.5
    cost_warning: float = 1.5
    cost_critical: float = 2.05
    cache_warning: float = 0.60
    cache_critical: float = 0.40
    retries_warning: float = 0.5
    """Retries per first attempt."""
    retries_critical: float = 1.6
    share_warning: float = 0.08
    share_critical: float = 0.4
    dear_model: float = 2.0
    """A model this many times as expensive makes drift towards it critical."""
    creep_warning: float = 1.15
    creep_critical: float = 2.1
    score: float = SCORE
    minimum_excess_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Rules:
    thresholds: Thresholds = field(default_factory=Thresholds)
