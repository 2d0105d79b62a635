"""Who is told: a tree of routes, gone down from its root, as in Prometheus' Alertmanager.

An incident goes to the first branch of a route that takes its labels, and to further ones while branches say
`continue`; where no branch takes it, the route itself is it. A branch inherits what it does not say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Final
from zoneinfo import ZoneInfo

from taximeter.alerts.alert import Labels
from taximeter.alerts.matching import Matchers, match
from taximeter.alerts.states import SECOND_US
from taximeter.clock import to_datetime

DEFAULT_REPEAT_US: Final = 4 * 3600 * SECOND_US
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Hours:
    """Times of the week on the clock of a zone: from `start` (included) to `end` (not included) on `days` (0 is
    Monday). An `end` that is not after `start` is on the next day."""

    days: frozenset[int]
    start: time
    end: time
    zone: ZoneInfo

    def hold(self, at_us: int) -> bool:
        local = to_datetime(at_us).astimezone(self.zone)
        clock, day = local.time(), local.weekday()
        if self.start < self.end:
            return day in self.days and self.start <= clock < self.end
        return (day in self.days and clock >= self.start) or ((day - 1) % 7 in self.days and clock < self.end)


@dataclass(frozen=True, slots=True)
class Step:
    """Nobody has acknowledged the incident `after_us` after it was first told: these channels are told too."""

    after_us: int
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A branch of the tree. `name` is its place: unique, and the same from one start to the next.

    `channels` are told `group_wait_us` after an incident opened, when it changes at the earliest `group_interval_us`
    after the last time, and every `repeat_us` while nobody has acknowledged it. Outside of `active` and within
    `muted` nothing is told; what still lasts is told afterwards.
    """

    name: str
    matchers: Matchers = ()
    channels: tuple[str, ...] = ()
    goes_on: bool = False
    group_wait_us: int = 0
    group_interval_us: int = 300 * SECOND_US
    repeat_us: int = DEFAULT_REPEAT_US
    send_resolved: bool = True
    escalation: tuple[Step, ...] = ()
    active: tuple[Hours, ...] = ()
    muted: tuple[Hours, ...] = ()
    branches: tuple[Route, ...] = ()

    def may_tell(self, at_us: int) -> bool:
        open_hours = not self.active or any(hours.hold(at_us) for hours in self.active)
        return open_hours and not any(hours.hold(at_us) for hours in self.muted)


def routes_for(root: Route, labels: Labels) -> list[Route]:
    """The routes an incident with these labels takes; the root takes everything."""
    return list(_down(root, labels))


def _down(route: Route, labels: Labels) -> Iterator[Route]:
    taken = False
    for branch in route.branches:
        if match(branch.matchers, labels):
            taken = True
            yield from _down(branch, labels)
            if not branch.goes_on:
                return
    if not taken:
        yield route


def every_route(root: Route) -> Sequence[Route]:
    """The tree as a list, the root first."""
    return [root, *(below for branch in root.branches for below in every_route(branch))]
