"""Where observations come from: open findings, rules of one's own, prices that lack or differ, limits, the meter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Protocol

from taximeter.alerts.alert import THRESHOLD_LABEL, Labels, Observation
from taximeter.alerts.message import counted, dollars, short_name
from taximeter.alerts.states import SECOND_US
from taximeter.alerts.thresholds import Threshold, observed
from taximeter.anomaly.finding import Contributor, Finding
from taximeter.config.limits import shown_amount
from taximeter.store.events import EventStore, Query
from taximeter.store.metadata.limits import LimitCrossing

UNPRICED_US: Final = 3600 * SECOND_US
"""How far back calls without a price are looked for."""

MOST_MODELS: Final = 20
"""Models without a price that are told one by one."""


class Source(Protocol):
    """Something that is watched."""

    @property
    def rules(self) -> Sequence[str]:
        """The rules it observes for: they are unknown when it cannot be asked."""
        ...

    def observe(self, now_us: int) -> list[Observation] | None:
        """What holds now; None when that is not known. Raises StoreError."""
        ...


class Seldom:
    """A source that is asked once in `every_us`, and says the same in between."""

    def __init__(
        self,
        rule: str,
        ask: Callable[[int], list[Observation] | None],
        every_us: int,
    ) -> None:
        self._rule, self._ask, self._every_us = rule, ask, every_us
        self._asked_us: int | None = None
        self._found: list[Observation] | None = None

    @property
    def rules(self) -> Sequence[str]:
        return [self._rule]

    def observe(self, now_us: int) -> list[Observation] | None:
        if self._asked_us is None or now_us - self._asked_us >= self._every_us:
            self._found = self._ask(now_us)
            self._asked_us = now_us
        return self._found


# ── findings ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Findings:
    """Findings that are open. Each kind is a rule of its own: two kinds of trouble of a feature are two alerts."""

    open_findings: Callable[[], Sequence[Finding]]
    kinds: Sequence[str]

    @property
    def rules(self) -> Sequence[str]:
        return [finding_rule(kind) for kind in self.kinds]

    def observe(self, now_us: int) -> list[Observation] | None:
        del now_us
        return [of_finding(finding) for finding in self.open_findings() if finding.open]


def finding_rule(kind: str) -> str:
    return f"anomalies/{kind}"


def of_finding(finding: Finding) -> Observation:
    return Observation(
        rule=finding_rule(finding.kind),
        kind=finding.kind,
        labels=dict(finding.scope),
        severity=finding.severity,
        summary=finding.summary,
        started_at_us=finding.started_at_us,
        facts={
            "shown": list(_shown(finding)),
            "usd_per_hour": _per_hour(finding),
            "mostly": _mostly(finding),
            "contributors": [_in_words(one) for one in finding.contributors],
            "details": {"finding_id": finding.finding_id},
        },
    )


def _shown(finding: Finding) -> Iterator[tuple[str, str]]:
    seen = finding.expectation
    yield "Seen", seen.seen
    yield "Expected", f"{seen.expected:g} (90% between {seen.low:g} and {seen.high:g}), from {seen.basis}"
    if finding.excess_usd is not None:
        yield "So far", f"{dollars(finding.excess_usd)} more than expected"
    if finding.excess_usd_per_hour is not None:
        yield "If it goes on", f"{dollars(finding.excess_usd_per_hour * 24)} a day"


def _in_words(one: Contributor) -> str:
    amount = dollars(one.change_usd) if abs(one.change_usd) >= CENT else "less than a cent"
    return f"{_named(one)}: {one.share:.0%} of the change, {amount}"


def _named(one: Contributor) -> str:
    value = one.value or "(not said)"
    return f"{short_name(one.dimension)} {value.replace('_', ' ') if one.dimension == 'cause' else value}"


def _per_hour(finding: Finding) -> str | None:
    return None if finding.excess_usd_per_hour is None else dollars(finding.excess_usd_per_hour).removeprefix("$")


CENT: Final = Decimal("0.01")
MOSTLY: Final = 0.6
"""Who has more than this share of a change is named in the first line."""

_WHO: Final = ("user_id", "api_key_id", "tenant", "team", "feature", "prompt_version", "model")
"""Dimensions that can be named there, the most telling first."""

NEARLY_ALL: Final = 0.9
_OF_ALL: Final = frozenset({"cost_per_request", "cache_hit_rate", "slow_creep"})
"""What a new prompt does to everybody's calls: somebody has to have more than `NEARLY_ALL` to be named before it."""


def _mostly(finding: Finding) -> str | None:
    """Who is behind most of it, when the scope does not say it already."""
    behind = {one.dimension: one for one in finding.contributors if one.share > MOSTLY and one.value}
    named = [behind[name] for name in _WHO if name in behind and name not in finding.scope]
    if finding.kind in _OF_ALL:
        named.sort(key=lambda one: one.dimension != "prompt_version" and one.share <= NEARLY_ALL)
    return f"mostly {_named(named[0])}" if named else None


# ── rules of one's own ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class OwnRule:
    rule: Threshold
    store: EventStore

    @property
    def rules(self) -> Sequence[str]:
        return [self.rule.name]

    def observe(self, now_us: int) -> list[Observation] | None:
        return observed(self.rule, self.store, now_us)


# ── calls without a price ──────────────────────────────────────────────────────────────────────────────────

UNPRICED_RULE: Final = "unpriced"


@dataclass(frozen=True, slots=True)
class UnpricedCalls:
    """Models whose calls of the last hour have no price: their cost is missing from every total."""

    store: EventStore

    @property
    def rules(self) -> Sequence[str]:
        return [UNPRICED_RULE]

    def observe(self, now_us: int) -> list[Observation] | None:
        answer = self.store.query(
            Query(
                from_us=now_us - UNPRICED_US,
                to_us=now_us,
                measures=("unpriced_calls", "total_tokens"),
                group_by=("provider", "model"),
                limit=MOST_MODELS,
            )
        )
        return [_unpriced(row) for row in answer.rows if row["unpriced_calls"] and not row.get("other")]


def _not_priced(calls: int, model: str) -> str:
    have, they, are = ("has", "it", "is") if calls == 1 else ("have", "they", "are")
    return f"{counted(calls, 'call')} of {model} in the last hour {have} no price; {they} {are} in no total"


def _unpriced(row: Mapping[str, object]) -> Observation:
    model = f"{row['provider']}/{row['model']}"
    return Observation(
        rule=UNPRICED_RULE,
        kind="unpriced_model",
        labels=_labels_of_model(row),
        severity="warning",
        summary=_not_priced(int(str(row["unpriced_calls"])), model),
        facts={
            "amount": counted(int(str(row["unpriced_calls"])), "call"),
            "shown": [("Calls", str(row["unpriced_calls"])), ("Tokens", str(row["total_tokens"]))],
            "action": f"Set a price: taximeter prices set {model} --input ... --output ...",
        },
    )


def _labels_of_model(row: Mapping[str, object]) -> dict[str, str]:
    """What is known of provider and model."""
    return {name: str(row[name]) for name in ("provider", "model") if row[name] is not None}


# ── amounts of the provider's own ──────────────────────────────────────────────────────────────────────────

DIFFERENCES_RULE: Final = "price_differences"
DIFFERENCES_US: Final = 3600 * SECOND_US
"""How far back amounts are compared."""

DIFFERENCES_EVERY_US: Final = 600 * SECOND_US
"""How often: every call with an amount of its provider's is priced for it."""


class DifferingAmounts(Seldom):
    """Models whose provider names other amounts than the price book gives: a price that changed, a discount, a tier.

    `differences` gives the rows of `taximeter.reports.differences` for the calls between two instants, None when these
    are too many.
    """

    def __init__(self, differences: Callable[[int, int], Sequence[Mapping[str, object]] | None]) -> None:
        def ask(now_us: int) -> list[Observation] | None:
            rows = differences(now_us - DIFFERENCES_US, now_us)
            return None if rows is None else [_differing(row) for row in rows if row["differing_calls"]]

        super().__init__(DIFFERENCES_RULE, ask, DIFFERENCES_EVERY_US)


def _differing(row: Mapping[str, object]) -> Observation:
    model = f"{row['provider']}/{row['model']}"
    return Observation(
        rule=DIFFERENCES_RULE,
        kind="price_difference",
        labels=_labels_of_model(row),
        severity="warning",
        summary=(
            f"{row['differing_calls']} of {row['calls']} calls of {model} in the last hour cost something else by "
            f"their provider's own word: {row['reported_cost_usd']} USD in all, "
            f"{row['computed_cost_usd']} by the price book"
        ),
        facts={
            "amount": f"{row['difference_usd']} USD in an hour",
            "shown": [
                ("Difference", f"{row['difference_usd']} USD ({row['difference_percent'] or '–'} %)"),
                ("Largest", f"{row['largest_difference_usd']} USD: call {row['largest_event_id']}"),
            ],
            "action": "See taximeter prices differences; set the price, or prefer the provider's amounts",
        },
    )


# ── limits ─────────────────────────────────────────────────────────────────────────────────────────────────

LIMITS_RULE: Final = "limits"
CROSSING_TOLD_US: Final = 900 * SECOND_US
"""A threshold that was crossed is a trouble for so long: it is crossed once a window, and has to be seen."""

_BURNS: Final = frozenset({"burn_fast", "burn_slow"})


@dataclass(frozen=True, slots=True)
class Crossings:
    """Limits of which a threshold was just crossed, or which are burnt too fast.

    `whose` are the attributes of the calls that a crossing is about; None: its limit is gone.
    """

    since: Callable[[int], Sequence[LimitCrossing]]
    whose: Callable[[LimitCrossing], Labels | None] = lambda _crossing: {}

    @property
    def rules(self) -> Sequence[str]:
        return [LIMITS_RULE]

    def observe(self, now_us: int) -> list[Observation] | None:
        crossed = ((one, self.whose(one)) for one in self.since(now_us - CROSSING_TOLD_US))
        return [of_crossing(one, whose) for one, whose in crossed if whose is not None]


def of_crossing(one: LimitCrossing, whose: Labels) -> Observation:
    """Each threshold is an alert of its own: that all is spent is told also where most of it has just been told."""
    full = one.kind not in _BURNS and one.percent >= 100
    kind = "burn_rate" if one.kind in _BURNS else "limit_reached" if full else "limit_warning"
    grave = (full and one.mode == "hard") or one.kind == "burn_fast"
    spent, amount = (shown_amount(one.measure, number) for number in (one.spent, one.amount))
    told = f"${spent} of ${amount}" if one.measure == "cost_usd" else f"{spent} of {amount} {one.measure}"
    named = f" of {one.value}" if one.value else ""
    pace = ", and burns too fast to last" if kind == "burn_rate" else ""
    return Observation(
        rule=LIMITS_RULE,
        kind=kind,
        labels={"limit": one.name, **({THRESHOLD_LABEL: str(one.percent)} if one.percent else {}), **whose},
        severity="critical" if grave else "warning",
        summary=f"limit {one.name}{named}: {spent} of {amount} {one.measure} is spent{pace}",
        started_at_us=one.at_us,
        facts={"amount": told, "shown": [("Spent", told), ("Mode", one.mode)]},
    )


# ── the meter itself ───────────────────────────────────────────────────────────────────────────────────────

METER_RULE: Final = "meter"


@dataclass(frozen=True, slots=True)
class MeterHealth:
    """What a process says of itself. `losses` are by reason, ever growing; `failing_jobs` are name → last error;
    `lag_bytes` wait in the spools to be stored; `late_letters` are channel → notifications that wait for long to be
    tried again."""

    problems: Sequence[str] = ()
    losses: Mapping[str, int] | None = None
    lag_bytes: int = 0
    failing_jobs: Mapping[str, str] | None = None
    dead_letters: int = 0
    late_letters: Mapping[str, int] | None = None


class Meter:
    """The meter's own trouble. Records that were lost are told for an hour after the last one; events that wait when so
    many did at each look of some minutes."""

    LOSS_TOLD_US: Final = 3600 * SECOND_US
    LAG_BYTES: Final = 16 * 1024 * 1024
    LAG_US: Final = 300 * SECOND_US

    def __init__(self, health: Callable[[], MeterHealth]) -> None:
        self._health = health
        self._losses: dict[str, int] = {}
        self._lost_at_us: dict[str, int] = {}
        self._lagging_since_us: int | None = None

    @property
    def rules(self) -> Sequence[str]:
        return [METER_RULE]

    def observe(self, now_us: int) -> list[Observation] | None:
        health = self._health()
        found = [_trouble("store_unavailable", "critical", problem) for problem in health.problems]
        found += [
            _trouble("job_failed", "warning", f"{name}: {error}", job=name)
            for name, error in (health.failing_jobs or {}).items()
        ]
        if health.dead_letters:
            lost = counted(health.dead_letters, "notification")
            told = f"{lost} could not be delivered; see `taximeter alerts list --dead`"
            found.append(_trouble("delivery_failed", "critical", told))
        for channel, count in (health.late_letters or {}).items():
            told = (
                f"{counted(count, 'notification')} could not be delivered to {channel} so far, and will be tried again"
            )
            found.append(_trouble("delivery_failed", "critical", told, channel=channel))
        return [*found, *self._lagging(health.lag_bytes, now_us), *self._lost(health.losses or {}, now_us)]

    def _lagging(self, lag_bytes: int, now_us: int) -> Iterator[Observation]:
        if lag_bytes < self.LAG_BYTES:
            self._lagging_since_us = None
            return
        since_us = self._lagging_since_us = now_us if self._lagging_since_us is None else self._lagging_since_us
        if now_us - since_us >= self.LAG_US:
            told = f"{lag_bytes / 1024**2:,.0f} MiB of events wait to be stored, and do not get fewer than that"
            yield _trouble("collector_lag", "critical", told)

    def _lost(self, losses: Mapping[str, int], now_us: int) -> Iterator[Observation]:
        for reason, count in losses.items():
            if count > self._losses.get(reason, 0):
                self._lost_at_us[reason] = now_us
            self._losses[reason] = count
        for reason, at_us in self._lost_at_us.items():
            if now_us - at_us < self.LOSS_TOLD_US:
                yield _trouble(
                    "pipeline_loss",
                    "critical",
                    f"{counted(self._losses[reason], 'record')} lost: {reason}",
                    reason=reason,
                )


def _trouble(kind: str, severity: str, summary: str, **labels: str) -> Observation:
    return Observation(
        rule=METER_RULE,
        kind=kind,
        labels={"trouble": kind, **labels},
        severity="critical" if severity == "critical" else "warning",
        summary=summary,
    )
