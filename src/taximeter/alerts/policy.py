"""From settings to a policy: the tree of routes, with everything a branch inherits filled in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

from taximeter.alerts.matching import parse_matchers
from taximeter.alerts.routing import Hours, Route, Step, every_route
from taximeter.alerts.states import SECOND_US, Patience
from taximeter.config.alerting import AlertSettings, HoursSettings, RouteSettings, RuleSettings
from taximeter.errors import Mistake

ROOT: Final = "all"
"""The name of the root; the third branch of its second one is `all.2.3`."""


def root_of(settings: AlertSettings) -> Route:
    """The tree. The root tells every channel what no branch takes."""
    root = Route(name=ROOT, channels=tuple(settings.channels))
    return _with_branches(root, settings.routes)


def _with_branches(route: Route, branches: Sequence[RouteSettings]) -> Route:
    made = tuple(_branch(one, route, f"{route.name}.{number}") for number, one in enumerate(branches, start=1))
    return _replaced(route, branches=made)


def _branch(settings: RouteSettings, above: Route, name: str) -> Route:
    said = {
        "channels": settings.channels and tuple(settings.channels),
        "group_wait_us": _us(settings.group_wait),
        "group_interval_us": _us(settings.group_interval),
        "repeat_us": _us(settings.repeat),
        "send_resolved": settings.send_resolved,
        "escalation": None if settings.escalate is None else tuple(_steps(settings)),
        "active": None if settings.active is None else _hours(settings.active),
        "muted": None if settings.muted is None else _hours(settings.muted),
    }
    own = {key: value for key, value in said.items() if value is not None}
    route = _replaced(above, name=name, matchers=parse_matchers(settings.match), goes_on=settings.continue_, **own)
    return _with_branches(route, settings.routes)


def _replaced(route: Route, **changed: Any) -> Route:
    return Route(**{name: changed.get(name, getattr(route, name)) for name in Route.__slots__})


def _us(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * SECOND_US


def _steps(settings: RouteSettings) -> Iterator[Step]:
    for step in settings.escalate or []:
        yield Step(step.after * SECOND_US, tuple(step.channels))


def _hours(listed: Sequence[HoursSettings]) -> tuple[Hours, ...]:
    return tuple(Hours(one.days, one.from_, one.to, ZoneInfo(one.timezone)) for one in listed)


def patience_of(rule: RuleSettings) -> Patience:
    return Patience(wait_us=rule.for_ * SECOND_US, keep_us=rule.keep_firing_for * SECOND_US)


def unknown_channels(settings: AlertSettings) -> list[Mistake]:
    """Routes that name channels nobody has described."""
    named = {
        channel: route.name
        for route in every_route(root_of(settings))
        for channel in (*route.channels, *(name for step in route.escalation for name in step.channels))
    }
    known = ", ".join(settings.channels) or "none"
    return [
        Mistake("alerts.routes", f"there is no channel {channel!r} (route {route}); there are: {known}")
        for channel, route in named.items()
        if channel not in settings.channels
    ]
