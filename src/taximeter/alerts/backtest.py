"""When a rule of one's own would have fired, with what: the rule itself and the states of alerts, over stored calls.

A measure that adds up is asked once for every minute of a day and added up here: exact to the minute. One that does not
(a percentile, distinct users) is asked as the rule asks it, at at most `MOST_QUESTIONS` moments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from taximeter.alerts.alert import RANK, Alert, Labels, Observation
from taximeter.alerts.policy import patience_of
from taximeter.alerts.states import SECOND_US, advance
from taximeter.alerts.thresholds import Group, Threshold, group_of, judged, observed, shift_us
from taximeter.anomaly.finding import Severity
from taximeter.clock import rfc3339, to_unix_us
from taximeter.core.money import format_usd
from taximeter.errors import UsageError
from taximeter.store.events import EventStore
from taximeter.store.events.query import TIME
from taximeter.store.events.vocabulary import MEASURES

MINUTE_US: Final = 60 * SECOND_US
DAY_US: Final = 24 * 60 * MINUTE_US
MOST_DAYS: Final = 31
MOST_QUESTIONS: Final = 300
MOST_FIRINGS: Final = 1_000
"""That are told one by one."""

SHORTEST_US: Final = 5 * MINUTE_US
"""The time that is asked at once at the least, when there are very many groups."""

SHARES: Final[Mapping[str, tuple[Sequence[str], str]]] = {
    "error_rate": (("errors",), "calls"),
    "retry_rate": (("retries",), "calls"),
    "cache_hit_rate": (("cache_read_tokens",), "input_tokens"),
    "retry_cost_share": (("retry_cost_usd",), "cost_usd"),
    "input_cost_share": (("cost_input_usd", "cost_cache_read_usd", "cost_cache_write_usd"), "cost_usd"),
}
"""A share → the measures it is made of, above and below the line."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Firing:
    """One time a rule would have fired for a group: at its gravest, with the words of that moment."""

    labels: Labels
    severity: Severity
    summary: str
    from_us: int
    to_us: int | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "labels": dict(self.labels),
            "severity": self.severity,
            "summary": self.summary,
            "from": rfc3339(self.from_us),
            "to": None if self.to_us is None else rfc3339(self.to_us),
        }


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a rule would have done between two instants, looked at every `step_us`."""

    rule: Threshold
    from_us: int
    to_us: int
    step_us: int
    firings: Sequence[Firing]

    def as_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule.settings.as_definition(),
            "from": rfc3339(self.from_us),
            "to": rfc3339(self.to_us),
            "step_seconds": self.step_us // SECOND_US,
            "count": len(self.firings),
            "firings": [one.as_dict() for one in self.firings[:MOST_FIRINGS]],
        }


Look = Callable[[int], list[Observation] | None]
"""What a rule observes at an instant; None when that is not known."""


def tried(rule: Threshold, store: EventStore, from_us: int, to_us: int) -> Backtest:
    """Raises UsageError for a time of no length or more than `MOST_DAYS`, StoreError."""
    from_us, to_us = from_us - from_us % MINUTE_US, to_us - to_us % MINUTE_US
    if not 0 < to_us - from_us <= MOST_DAYS * DAY_US:
        raise UsageError(f"a rule is tried on a minute up to {MOST_DAYS} days of the past", field="from")
    look: Look = partial(observed, rule, store)
    every_us = step_us(to_us - from_us)
    if adds_up(rule):
        look, every_us = Minutes(rule, store, from_us, to_us).look, MINUTE_US
    moments = range(from_us + every_us, to_us + 1, every_us)
    return Backtest(rule, from_us, to_us, every_us, _firings(rule, look, moments))


def adds_up(rule: Threshold) -> bool:
    """Whether the measure of some minutes follows from those of each."""
    return rule.settings.over % 60 == 0 and (rule.measure in SHARES or _is_sum(rule.measure))


def _is_sum(name: str) -> bool:
    parts = MEASURES[name].parts
    return len(parts) == 1 and parts[0].kind == "sum"


def step_us(length_us: int) -> int:
    """Whole minutes, so that no more than `MOST_QUESTIONS` fit."""
    return -(-length_us // (MOST_QUESTIONS * MINUTE_US)) * MINUTE_US


def _firings(rule: Threshold, look: Look, moments: range) -> list[Firing]:
    patience = {rule.name: patience_of(rule.settings)}
    alerts: Mapping[str, Alert] = {}
    firings: list[Firing] = []
    lasting: dict[str, int] = {}
    for now_us in moments:
        observations = look(now_us)
        unknown = [rule.name] if observations is None else []
        alerts = advance(alerts, observations or [], patience, now_us, unknown)
        for alert in alerts.values():
            _follow(alert, firings, lasting, now_us)
    return firings


def _follow(alert: Alert, firings: list[Firing], lasting: dict[str, int], now_us: int) -> None:
    """Note what an alert does. `lasting` has the places of the firings that are not over."""
    place = lasting.get(alert.key)
    if alert.firing and place is None:
        lasting[alert.key] = len(firings)
        firings.append(Firing(alert.labels, alert.severity, alert.summary, now_us, None))
    elif alert.firing and place is not None and RANK[alert.severity] > RANK[firings[place].severity]:
        firings[place] = replace(firings[place], severity=alert.severity, summary=alert.summary)
    elif not alert.firing and place is not None:
        firings[lasting.pop(alert.key)] = replace(firings[place], to_us=now_us)


# ── minutes that are added up ──────────────────────────────────────────────────────────────────────────────


class Minutes:
    """A rule over minutes that are read once, day by day, from `from_us` to `to_us`; asked in the order of time."""

    def __init__(self, rule: Threshold, store: EventStore, from_us: int, to_us: int) -> None:
        self._rule = rule
        self._shift_us = shift_us(rule)
        self._now = _Window(rule, store, from_us, to_us)
        self._then = None
        if self._shift_us is not None:
            self._then = _Window(rule, store, from_us - self._shift_us, to_us - self._shift_us)

    def look(self, now_us: int) -> list[Observation] | None:
        earlier = [] if self._then is None or self._shift_us is None else self._then.rows(now_us - self._shift_us)
        return judged(self._rule, self._now.rows(now_us), earlier)


class _Sums:
    """What the minutes of one group add up to. `unknown` are the minutes whose cost is not known, by measure."""

    __slots__ = ("total", "unknown")

    def __init__(self, names: Sequence[str]) -> None:
        self.total = dict.fromkeys(names, Decimal(0))
        self.unknown = dict.fromkeys(names, 0)

    def add(self, row: Row, sign: int) -> None:
        for name in self.total:
            if row[name] is None:
                self.unknown[name] += sign
            else:
                self.total[name] += sign * Decimal(row[name])

    def of(self, name: str) -> Decimal | None:
        """As the store says it: unknown when nothing is known to cost something, and something is not known."""
        return None if self.unknown[name] and not self.total[name] else self.total[name]


class _Window:
    """The last minutes, as many as the rule adds up, moved on through time."""

    def __init__(self, rule: Threshold, store: EventStore, from_us: int, to_us: int) -> None:
        self._rule, self._store = rule, store
        above, below = SHARES.get(rule.measure, ((rule.measure,), "calls"))
        self._above, self._below = above, below
        self._names = tuple(dict.fromkeys((*above, below, "calls")))
        self._over_us = rule.settings.over * SECOND_US
        self._read_us, self._to_us = max(0, from_us - self._over_us), to_us
        self._coming: deque[tuple[int, Group, Row]] = deque()
        self._inside: deque[tuple[int, Group, Row]] = deque()
        self._sums: dict[Group, _Sums] = {}

    def rows(self, to_us: int) -> list[Row]:
        """The rows that the rule's question about the time until `to_us` would have."""
        self._move(to_us)
        return [self._row(group, sums) for group, sums in self._sums.items()]

    def _move(self, to_us: int) -> None:
        while self._read_us < to_us:
            until_us = min(self._read_us + DAY_US, max(self._to_us, to_us))
            self._coming.extend(self._minutes(self._read_us, until_us))
            self._read_us = until_us
        while self._coming and self._coming[0][0] < to_us:
            self._count(self._coming[0], 1)
            self._inside.append(self._coming.popleft())
        while self._inside and self._inside[0][0] < to_us - self._over_us:
            self._count(self._inside.popleft(), -1)

    def _count(self, entry: tuple[int, Group, Row], sign: int) -> None:
        _minute_us, group, row = entry
        sums = self._sums.setdefault(group, _Sums(self._names))
        sums.add(row, sign)
        if not sums.total["calls"]:
            del self._sums[group]

    def _minutes(self, from_us: int, to_us: int) -> Iterator[tuple[int, Group, Row]]:
        """Minutes with calls, in order."""
        rows = self._asked(from_us, to_us)
        placed = ((to_unix_us(datetime.fromisoformat(row[TIME])), group_of(self._rule, row), row) for row in rows)
        return iter(sorted((one for one in placed if one[2]["calls"]), key=lambda one: one[0]))

    def _asked(self, from_us: int, to_us: int) -> list[Row]:
        query = self._rule.query
        minutes = replace(query, from_us=from_us, to_us=to_us, measures=self._names, interval="minute")
        try:
            return list(self._store.query(minutes).rows)
        except UsageError:  # more groups a minute than one answer has rows
            if to_us - from_us <= SHORTEST_US:
                raise
            middle_us = from_us + (to_us - from_us) // (2 * MINUTE_US) * MINUTE_US
            return [*self._asked(from_us, middle_us), *self._asked(middle_us, to_us)]

    def _row(self, group: Group, sums: _Sums) -> Row:
        named = dict(zip(self._rule.query.group_by, group, strict=True))
        return {**named, "calls": int(sums.total["calls"]), self._rule.measure: self._value(sums)}

    def _value(self, sums: _Sums) -> object:
        """In the form of an answer of the store: money as text, counts as whole numbers, shares as floats."""
        if self._rule.measure in SHARES:
            below = sums.of(self._below)
            return float(sum((sums.total[name] for name in self._above), Decimal(0)) / below) if below else None
        value = sums.of(self._rule.measure)
        if value is None or not MEASURES[self._rule.measure].money:
            return None if value is None else int(value)
        return format_usd(value)
