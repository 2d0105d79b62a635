"""Silences and maintenance windows: incidents that are watched and not told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from taximeter.alerts.alert import Labels
from taximeter.alerts.matching import Matchers, match


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """What its matchers take is not told from `starts_at_us` (included) to `ends_at_us` (not included)."""

    silence_id: str
    matchers: Matchers
    starts_at_us: int
    ends_at_us: int
    author: str
    comment: str

    def holds(self, labels: Labels, at_us: int) -> bool:
        return self.starts_at_us <= at_us < self.ends_at_us and match(self.matchers, labels)


def silenced_by(silences: Iterable[Silence], labels: Labels, at_us: int) -> Silence | None:
    """The silence that holds longest, None when there is none."""
    holding = [silence for silence in silences if silence.holds(labels, at_us)]
    return max(holding, key=lambda silence: silence.ends_at_us, default=None)
