"""Rules of one's own: a measure over the last minutes, by group, against a bound or against an earlier time."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

from taximeter.alerts.alert import Observation
from taximeter.alerts.message import dollars
from taximeter.alerts.states import SECOND_US
from taximeter.anomaly.finding import Severity
from taximeter.config.alerting import RuleSettings
from taximeter.core.money import format_usd
from taximeter.errors import UsageError
from taximeter.store.events import EventStore, Query
from taximeter.store.events.filters import parse_filters
from taximeter.store.events.vocabulary import MOMENTS, dimension, measure

_COMPARISONS: Final[Mapping[str, Callable[[Decimal, Decimal], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_BOUND: Final = re.compile(r"\s*(>=|<=|>|<)\s*(\d+(?:\.\d+)?)\s*(%?)\s*")
_DIVISION: Final = Context(prec=20, rounding=ROUND_HALF_EVEN)
WEEK_US: Final = 7 * 24 * 3600 * SECOND_US

Group = tuple[Any, ...]
"""The values of a rule's dimensions."""

Rows = Sequence[Mapping[str, Any]]

KIND: Final = "threshold"
NO_DATA: Final = "no_data"


@dataclass(frozen=True, slots=True)
class Bound:
    """`> 50`, `<= 0.6`, `>= 150%`."""

    comparison: str
    number: Decimal
    percent: bool

    def holds(self, value: Decimal) -> bool:
        return _COMPARISONS[self.comparison](value, self.number)

    def __str__(self) -> str:
        return f"{self.comparison} {format_usd(self.number)}{'%' if self.percent else ''}"


def parse_bound(text: str, *, field: str) -> Bound:
    """Raises UsageError naming `field`."""
    found = _BOUND.fullmatch(text)
    if found is None:
        raise UsageError(f"{field} is no bound: {text!r}", hint="such as > 50, <= 0.6 or >= 150%", field=field)
    return Bound(found[1], Decimal(found[2]), found[3] == "%")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A rule that is ready to be asked."""

    settings: RuleSettings
    query: Query
    bounds: tuple[tuple[Severity, Bound], ...]

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def measure(self) -> str:
        return self.query.measures[0]


def threshold(settings: RuleSettings) -> Threshold:
    """Raises UsageError naming what is wrong: an unknown measure, dimension or filter, a bound that is none, a bound
    in percent without a time to compare with."""
    bounds: list[tuple[Severity, Bound]] = []
    if settings.critical is not None:
        bounds.append(("critical", parse_bound(settings.critical, field="critical")))
    if settings.warning is not None:
        bounds.append(("warning", parse_bound(settings.warning, field="warning")))
    for severity, bound in bounds:
        if bound.percent is (settings.against is None):
            hint = "a bound in percent goes with `against`, and only with it"
            raise UsageError(f"{severity} of rule {settings.name!r} cannot be compared", hint=hint, field=severity)
    measured = measure(settings.measure, field="measure").name
    if measured in MOMENTS:
        hint = "a rule wants a number: `calls` with `< 1` says that nothing came"
        raise UsageError(f"{measured} of rule {settings.name!r} is an instant", hint=hint, field="measure")
    query = Query(
        from_us=0,
        to_us=settings.over * SECOND_US,
        measures=(measured, "calls"),
        group_by=tuple(dimension(name, field="each") for name in settings.each),
        filters=parse_filters(settings.where),
    )
    return Threshold(settings, query, tuple(bounds))


def observed(rule: Threshold, store: EventStore, now_us: int) -> list[Observation] | None:
    """What holds now; None when that is not known, because there is no data and the rule says to leave it as it was.

    Raises StoreError.
    """
    earlier_us = shift_us(rule)
    return judged(
        rule, _rows(rule, store, now_us), [] if earlier_us is None else _rows(rule, store, now_us - earlier_us)
    )


def judged(rule: Threshold, rows: Rows, earlier: Rows) -> list[Observation] | None:
    """The same, from the rows of the rule's time and of the time that it is compared with."""
    if not any(row["calls"] for row in rows) and rule.settings.no_data != "ok":
        return None if rule.settings.no_data == "keep" else [_nothing_came(rule)]
    before = {group_of(rule, row): _number(row[rule.measure]) for row in earlier}
    return [one for row in rows for one in _observations(rule, row, before)]


def shift_us(rule: Threshold) -> int | None:
    """How far back the time is that a rule compares with; None when it compares with nothing."""
    against = rule.settings.against
    if against is None:
        return None
    return WEEK_US if against == "week_before" else rule.settings.over * SECOND_US


def _rows(rule: Threshold, store: EventStore, to_us: int) -> Rows:
    length_us = rule.settings.over * SECOND_US
    asked = Query(
        from_us=max(0, to_us - length_us),
        to_us=to_us,
        measures=rule.query.measures,
        group_by=rule.query.group_by,
        filters=rule.query.filters,
    )
    return store.query(asked).rows


def group_of(rule: Threshold, row: Mapping[str, Any]) -> Group:
    return tuple(row[name] for name in rule.query.group_by)


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _observations(
    rule: Threshold, row: Mapping[str, Any], before: Mapping[Group, Decimal | None]
) -> Iterator[Observation]:
    value = _number(row[rule.measure])
    reference = before.get(group_of(rule, row))
    compared = value if rule.settings.against is None else _percent(value, reference)
    if compared is None:
        return
    for severity, bound in rule.bounds:
        if bound.holds(compared):
            yield _observation(rule, row, severity, bound, reference)
            return


def _percent(value: Decimal | None, reference: Decimal | None) -> Decimal | None:
    """Nothing can be said against nothing: the first calls ever are no rise."""
    return None if value is None or not reference else _DIVISION.divide(value * 100, reference)


def _observation(
    rule: Threshold, row: Mapping[str, Any], severity: Severity, bound: Bound, reference: Decimal | None
) -> Observation:
    over = _span(rule.settings.over)
    compared = "" if reference is None else f", {rule.settings.against} {format_usd(reference)}"
    value = row[rule.measure]
    return Observation(
        rule=rule.name,
        kind=KIND,
        labels=_labels(rule, row),
        severity=severity,
        summary=f"{rule.name}: {rule.measure} over {over} is {value}{compared} ({bound})",
        facts={
            "amount": f"{_amount(rule, value)} in {over}, rule {rule.name}",
            "shown": [(rule.measure, f"{value}{compared}"), ("Bound", str(bound)), ("Calls", str(row["calls"]))],
            "runbook": rule.settings.runbook,
        },
    )


def _span(seconds: int) -> str:
    """In the largest unit of which it is a whole number, but a day as its hours: `10 minutes`, `24 hours`, `7 days`."""
    units = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
    name, length = next(
        (name, length) for name, length in units if seconds % length == 0 and (name, seconds) != ("day", length)
    )
    return f"{seconds // length} {name}{'' if seconds == length else 's'}"


def _amount(rule: Threshold, value: Any) -> str:
    return dollars(Decimal(value)) if rule.measure.endswith("_usd") else f"{rule.measure} {value}"


def _labels(rule: Threshold, row: Mapping[str, Any]) -> dict[str, str]:
    named = {name: str(row[name]) for name in rule.query.group_by if row[name] is not None}
    return {**named, **rule.settings.labels}


def _nothing_came(rule: Threshold) -> Observation:
    severity = rule.bounds[0][0]
    return Observation(
        rule=rule.name,
        kind=NO_DATA,
        labels=dict(rule.settings.labels),
        severity=severity,
        summary=f"{rule.name}: no calls in {_span(rule.settings.over)}",
        facts={"runbook": rule.settings.runbook},
    )
