"""The sections `rules` and `alerts`: what is watched, who is told. Durations are written `90s`, `5m`, `4h`, `2d`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from taximeter.config.section import Section

_UNITS: Final[Mapping[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(\d{1,6})([smhdw])")
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _seconds(written: object) -> object:
    found = _DURATION.fullmatch(written.strip()) if isinstance(written, str) else None
    if found is None:
        raise ValueError("should be a duration such as 90s, 5m, 4h or 2d")
    return int(found[1]) * _UNITS[found[2]]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("should be an IANA time zone such as Europe/Berlin") from None
    return name


def _days(written: object) -> object:
    """`mon-fri`, `sat`, or a list of both."""
    listed = written if isinstance(written, list) else [written]
    return frozenset(day for one in listed for day in _days_of(str(one).strip().lower()))


def _days_of(written: str) -> list[int]:
    first, dash, last = written.partition("-")
    if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
        raise ValueError(f"should be days such as mon, sat or mon-fri, not {written!r}")
    start, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
    return [day % 7 for day in range(start, end + 1 if end >= start else end + 8)]


def duration(seconds: int) -> str:
    """As it is written: `5m`, `90s`."""
    units = ((name, length) for name, length in reversed(tuple(_UNITS.items())) if name != "w")
    return next(f"{seconds // length}{name}" for name, length in units if seconds % length == 0)


Seconds = Annotated[int, BeforeValidator(_seconds)]
Days = Annotated[frozenset[int], BeforeValidator(_days)]
Zone = Annotated[str, AfterValidator(_zone)]
Matching = dict[str, str | list[str]]


class Written(Section):
    """A part of the file in which some settings have names that Python keeps for itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class HoursSettings(Written):
    """Times of the week. An end that is not after the start is on the next day."""

    days: Days = Field(default=frozenset(range(7)), description="`mon-fri`, `sat`, or a list of such.")
    from_: time = Field(default=time(0), alias="from", description="On the clock of the zone, `09:00`.")
    to: time = Field(default=time(0), description="Not included; `00:00` is midnight.")
    timezone: Zone = Field(default="UTC", description="An IANA name.")


class EscalationSettings(Written):
    """Who is told too when nobody acknowledges."""

    after: Seconds = Field(description="Since the incident was first told.")
    channels: list[str] = Field(min_length=1, description="Names of channels.")


class RouteSettings(Written):
    """A branch of the tree of routes. What it leaves out it has from the branch above."""

    match: Matching = Field(
        default_factory=dict,
        description="Labels an incident must have: `severity`, `kind`, `rule`, `family`, and dimensions (`feature`, "
        "`team`, ...); a value, a list of them, or `!value` for any other. All have to hold.",
    )
    channels: list[str] | None = Field(default=None, description="Names of channels that are told.")
    continue_: bool = Field(default=False, alias="continue", description="Whether the next branches are tried too.")
    group_wait: Seconds | None = Field(default=None, description="Wait after an incident opened; `0s`.")
    group_interval: Seconds | None = Field(
        default=None, description="Least time between two messages when alerts join an incident; `5m`."
    )
    repeat: Seconds | None = Field(default=None, description="Told again while nobody acknowledges; `4h`.")
    send_resolved: bool | None = Field(default=None, description="Whether the end is told; true.")
    escalate: list[EscalationSettings] | None = Field(default=None, description="The chain when nobody acknowledges.")
    active: list[HoursSettings] | None = Field(default=None, description="Only at these times.")
    muted: list[HoursSettings] | None = Field(default=None, description="Not at these times.")
    routes: list[RouteSettings] = Field(default_factory=list, description="Branches of this one.")

    @model_validator(mode="after")
    def _steps_in_order(self) -> RouteSettings:
        waits = [step.after for step in self.escalate or []]
        if waits != sorted(waits):
            raise ValueError("the steps of escalate should come in the order of their times")
        return self


class ChecksSettings(Written):
    """Rules that need nothing learnt."""

    error_share: float | None = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Tell of a feature of which so large a share of the calls fails, when it is three times that of "
        "the day before; `null` for never.",
    )
    new_spender_usd: Decimal | None = Field(
        default=None,
        gt=0,
        description="Tell of a user who spends so much within an hour and did not call in the week before.",
    )
    z_score: float | None = Field(
        default=None,
        gt=0,
        description="Tell when an hour costs more than so many standard deviations over the mean of a week's hours; "
        "2 is common, and often wrong by day and night.",
    )


class AutomationSettings(Written):
    """What the escalation of the runbooks does by itself. A step without a time is off."""

    rate_limit_after: Seconds | None = Field(
        default=None,
        description="Hold whom an incident is about to a number of calls a minute when calls still grow so long after "
        "it opened and nobody has taken it.",
    )
    rate_limit_percent: int = Field(
        default=150, gt=0, le=10_000, description="To how much of the calls of the hour before they are held."
    )
    roll_back_after: Seconds | None = Field(
        default=None, description="Name the version to roll back to when no cause was marked so long after it opened."
    )
    caching_off_after: Seconds | None = Field(
        default=None,
        ge=600,
        description="Advise to switch caching off when the cache hit rate was below `caching_off_below` so long.",
    )
    caching_off_below: float = Field(default=0.5, gt=0, le=1, description="A share of the input.")


LinkPurpose = Literal["acknowledge", "silence", "act"]


class AlertSettings(Written):
    """Who is told of what."""

    channels: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Channels by name; `kind` says which, the rest is the channel's own."
    )
    routes: list[RouteSettings] = Field(
        default_factory=list, description="The tree of routes. Without any, every channel is told everything."
    )
    links: list[LinkPurpose] = Field(
        default=["acknowledge", "silence", "act"],
        description="What whoever has a message may do by its links, without signing in; an empty list for nothing.",
    )
    links_last: Seconds = Field(default=86_400, description="How long such a link works; `24h`.")
    checks: ChecksSettings = Field(
        default_factory=ChecksSettings,
        description="Rules that need nothing learnt: `error_share` (0.2), `new_spender_usd`, `z_score`.",
    )
    automation: AutomationSettings = Field(
        default_factory=AutomationSettings,
        description="What the escalation of the runbooks does by itself: `rate_limit_after`, `roll_back_after`, "
        "`caching_off_after`; all off.",
    )
    runbooks: Path | None = Field(
        default=None, description="A folder of runbooks of your own; one with the name of a shipped one replaces it."
    )


_DURATIONS: Final = ("over", "for", "keep_firing_for")


class RuleSettings(Written):
    """A rule of one's own: a measure over a time, by group, against a bound."""

    name: str = Field(min_length=1, max_length=100, description="Unique.")
    measure: str = Field(description="A measure of the query API, such as `cost_usd`.")
    over: Seconds = Field(default=600, description="The length of the time that is added up; `10m`.")
    where: dict[str, Any] = Field(default_factory=dict, description="Filters, as in a query.")
    each: list[str] = Field(default_factory=list, description="Dimensions: one alert for each value of them.")
    warning: str | None = Field(default=None, description="A bound such as `> 50`, `>= 150%` or `< 0.6`.")
    critical: str | None = Field(default=None, description="The same.")
    against: Literal["previous", "week_before"] | None = Field(
        default=None, description="Compare with the time just before, or the same time a week earlier: in percent."
    )
    for_: Seconds = Field(default=0, alias="for", description="How long it has to hold; `0s`.")
    keep_firing_for: Seconds = Field(default=120, description="How long it has to be over; `2m`.")
    no_data: Literal["ok", "alert", "keep"] = Field(
        default="ok", description="When there are no calls: all is well, that is an alert, or as it was."
    )
    labels: dict[str, str] = Field(default_factory=dict, description="Further labels, to route by.")
    runbook: str | None = Field(default=None, description="Name of the runbook.")

    def as_definition(self) -> dict[str, Any]:
        """What it was read from: only what differs from the defaults, durations as text."""
        said = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {name: duration(value) if name in _DURATIONS else value for name, value in said.items()}

    @model_validator(mode="after")
    def _has_a_bound(self) -> RuleSettings:
        if self.warning is None and self.critical is None:
            raise ValueError("needs a bound: warning, critical or both")
        return self
