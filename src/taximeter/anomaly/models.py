"""Which models belong to a feature: those that were allowed, or, where nobody has told, those that it has used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from taximeter.anomaly.calendar import MINUTES_A_DAY
from taximeter.anomaly.detectors import Suspicion, share_severity
from taximeter.anomaly.panel import FEATURE, MODEL, Panel, Role
from taximeter.anomaly.ratios import HOME_SHARE
from taximeter.anomaly.rules import Thresholds

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]

AllowedModels = Mapping[str, Mapping[str, int]]
"""Feature → model → the minute from which it is allowed."""

MIGRATION_DAYS: Final = 10
"""How long after the day from which a model is allowed its share may change by plan."""

HOUR_MINUTES: Final = 60
"""Models are looked through once an hour: what is allowed within the next one is allowed."""

RARE_SHARE: Final = 0.5
"""A model with a smaller share than this is watched for drift towards it."""

ROLLOUT_DAYS: Final = 14
"""How long after its first call a model that nobody was told of, and that is not dear, may take over step by step."""

NEW_MINUTES: Final = MINUTES_A_DAY
"""Where nobody has told which models are allowed, one that a known feature has used for less than this is
unexpected."""


@dataclass(frozen=True, slots=True)
class Standings:
    """How models stand with their features for an hour."""

    home: Floats
    """Of cells: 1 where the model is at home in the feature, else 0."""
    unexpected: Flags
    """Of MIX rows: nobody allowed the model."""
    settled: Flags
    """Of MIX rows: the share is known and not about to change by plan."""


class Models:
    def __init__(self, panel: Panel, allowed: AllowedModels | None, prices: Mapping[str, float]) -> None:
        self._panel, self._allowed, self.prices = panel, allowed, dict(prices)

    def standings(self, share: Floats, minute: int) -> Standings:
        """By the shares that models have, for the hour that begins with `minute`."""
        panel, rows = self._panel, self._panel.rows
        mix = panel.of_role(Role.MIX)
        young = minute - panel.born[panel.parent[:rows]] < MINUTES_A_DAY
        home = mix & ((share >= HOME_SHARE) | young)
        unexpected, settled = np.zeros(rows, bool), mix & ~young & (share < RARE_SHARE)
        for row in np.flatnonzero(mix).tolist():
            self._judge(row, minute, home, unexpected, settled)
        places = np.array(panel.cell_mix, dtype=int)
        at_home = np.where(places >= 0, home[np.maximum(places, 0)], True).astype(float)
        return Standings(at_home, unexpected, settled)

    def _judge(self, row: int, minute: int, home: Flags, unexpected: Flags, settled: Flags) -> None:
        panel = self._panel
        feature_since = int(panel.born[panel.parent[row]])
        since = self._allowed_since(row)
        if since is None or since > minute + HOUR_MINUTES:
            unexpected[row], home[row] = True, False
        elif self.is_told(row) and since > feature_since + MINUTES_A_DAY:
            home[row] = True
            settled[row] &= minute - since > MIGRATION_DAYS * MINUTES_A_DAY
        elif not self.is_told(row):
            unexpected[row] = self._came_later(row) and minute - panel.born[row] < NEW_MINUTES

    def _allowed_since(self, row: int) -> int | None:
        """The minute from which a row's model is allowed; None when it is not."""
        if not self.is_told(row):
            return 0
        scope = dict(self._panel.scopes[row])
        return (self._allowed or {})[scope[FEATURE]].get(scope[MODEL])

    def is_told(self, row: int) -> bool:
        """Whether somebody has told which models a row's feature is allowed."""
        return dict(self._panel.scopes[row])[FEATURE] in (self._allowed or {})

    def is_rollout(self, row: int, minute: int, share: Floats, factor: float) -> bool:
        """Whether a row's model came to a feature that had others and is about as cheap: as far as anyone can tell, the
        feature moves to it, by a few per cent first and by all of its calls within days."""
        age = minute - int(self._panel.born[row])
        came = self._came_later(row) and age < ROLLOUT_DAYS * MINUTES_A_DAY
        return came and not self.is_told(row) and not self.is_dear(row, share, factor)

    def _came_later(self, row: int) -> bool:
        """Whether the feature was known before it used the model."""
        return bool(self._panel.born[row] - self._panel.born[self._panel.parent[row]] > MINUTES_A_DAY)

    def judged(self, suspicion: Suspicion, thresholds: Thresholds, share: Floats) -> Suspicion:
        """Drift is critical when the model is dear and has much of the traffic."""
        much = share_severity(suspicion.first, suspicion.ratio * suspicion.first, thresholds.share_critical)
        dear = much == "critical" and self.is_dear(suspicion.row, share, thresholds.dear_model)
        return replace(suspicion, severity="critical" if dear else "warning")

    def is_dear(self, row: int, share: Floats, factor: float) -> bool:
        """Whether the model costs `factor` times what the feature's main one does; unknown prices may be anything."""
        panel = self._panel
        siblings = np.flatnonzero(panel.of_role(Role.MIX) & (panel.parent[: panel.rows] == panel.parent[row]))
        main = max(siblings, key=lambda sibling: float(share[sibling]) if sibling != row else -1.0)
        price, usual = self._price(row), self._price(int(main))
        return main == row or price is None or usual is None or price > factor * usual

    def _price(self, row: int) -> float | None:
        return self.prices.get(dict(self._panel.scopes[row])[MODEL])
