"""Alerting of a server, put together: what is watched, who is told, and the two jobs that do it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final, Protocol

from taximeter.alerts import runbook
from taximeter.alerts.actions import Wish, limit_for, scope_of
from taximeter.alerts.alert import Alert, Incident
from taximeter.alerts.automation import Hold, with_steps
from taximeter.alerts.channels.registry import open_channels
from taximeter.alerts.checks import CHECK_EVERY_US, ERRORS_RULE, SPENDER_RULE, Z_SCORE_RULE, Errors, NewSpenders, ZScore
from taximeter.alerts.course import Lookout
from taximeter.alerts.delivery import Delivery
from taximeter.alerts.desk import Desk, Policy
from taximeter.alerts.evidence import Investigator
from taximeter.alerts.lifeline import Lifeline
from taximeter.alerts.links import DeedLinks, Signer
from taximeter.alerts.matching import parse_matchers
from taximeter.alerts.policy import root_of, unknown_channels
from taximeter.alerts.rule_desk import RuleDesk
from taximeter.alerts.runbook import Runbook
from taximeter.alerts.silences import Silence
from taximeter.alerts.sources import (
    DifferingAmounts,
    Meter,
    MeterHealth,
    OwnRule,
    Seldom,
    Source,
    UnpricedCalls,
)
from taximeter.alerts.states import SECOND_US
from taximeter.alerts.thresholds import Threshold, threshold
from taximeter.alerts.watch import EVALUATE_SECONDS, Watch
from taximeter.clock import Clock, SystemClock, rfc3339
from taximeter.compose.jobs import Jobs
from taximeter.config.alerting import ChecksSettings
from taximeter.config.settings import Settings
from taximeter.core.ids import uuid7
from taximeter.errors import ConfigurationError, Mistake, TaximeterError, UsageError
from taximeter.limits.counters import CountersAway
from taximeter.pricing import PriceBook
from taximeter.reports.baseline import hourly_baseline
from taximeter.reports.differences import differences
from taximeter.reports.why import parse_why, why
from taximeter.store.events import EventStore
from taximeter.store.metadata import Alerting, Links, RuleBook

DELIVER_SECONDS: Final = 1.0
TIDY_SECONDS: Final = 3600.0

_log = logging.getLogger(__name__)


BY_ITSELF: Final = "taximeter, by itself"
"""Who set a limit that nobody asked for."""

SetLimit = Callable[[Mapping[str, Any], str], object]
"""A definition, and who sets it. Raises UsageError, StoreError."""


class Kept(Protocol):
    """What alerting needs of the metadata store."""

    alerting: Alerting
    links: Links
    rules: RuleBook


@dataclass(frozen=True, slots=True)
class AlertingParts:
    """What routes and commands use."""

    watch: Watch
    delivery: Delivery
    records: Alerting
    links: Links
    signer: Callable[[], Signer]
    rules: RuleDesk
    channel_kinds: Mapping[str, str]
    runbooks: Mapping[str, Runbook]


def mistakes(settings: Settings) -> list[Mistake]:
    """Everything wrong in `rules` and `alerts` that their form alone does not tell."""
    _channels, wrong = open_channels(settings.alerts.channels, SystemClock())
    return [*wrong, *unknown_channels(settings.alerts), *_rules(settings)[1], *_runbooks(settings)]


def _runbooks(settings: Settings) -> Sequence[Mistake]:
    try:
        runbook.load(settings.alerts.runbooks)
    except ConfigurationError as error:
        return error.mistakes
    return ()


def _rules(settings: Settings) -> tuple[list[Threshold], list[Mistake]]:
    ready: list[Threshold] = []
    wrong: list[Mistake] = []
    names: set[str] = set()
    for number, rule in enumerate(settings.rules):
        where = f"rules.{number}"
        if rule.name in names:
            wrong.append(Mistake(f"{where}.name", f"there are two rules named {rule.name!r}"))
        names.add(rule.name)
        try:
            ready.append(threshold(rule))
        except UsageError as error:
            wrong.append(Mistake(f"{where}.{error.facts.get('field', '')}".rstrip("."), str(error)))
    return ready, wrong


def open_alerting(
    settings: Settings,
    store: EventStore,
    kept: Kept,
    health: Callable[[], MeterHealth],
    clock: Clock,
    jobs: Jobs,
    public_url: Callable[[], str],
    further: Sequence[Source] = (),
    draw: Callable[[int], bytes] = os.urandom,
    set_limit: SetLimit = lambda _definition, _by: None,
) -> AlertingParts:
    """Raises ConfigurationError with all mistakes. `further` are sources that other rooms bring; `draw` draws bytes;
    `set_limit` puts a limit in force, for what is done by itself."""
    wrong = mistakes(settings)
    if wrong:
        raise ConfigurationError("configuration", wrong)
    records, links = kept.alerting, kept.links
    channels, _ = open_channels(settings.alerts.channels, clock)
    root = root_of(settings.alerts)
    rules = RuleDesk(_rules(settings)[0], kept.rules, store, clock)
    fixed: list[Source] = [UnpricedCalls(store), Meter(health), *_checks(settings.alerts.checks, store), *further]

    def sources() -> list[Source]:
        return [*(OwnRule(one.rule, store) for one in rules.defined()), *fixed]

    def policy() -> Policy:
        return Policy(root, rules.patience(), _silences(records, clock.now_us()))

    def explain(request: Mapping[str, Any]) -> str:
        return why(parse_why(request, clock.now_us()), store).in_a_line()

    books = runbook.load(settings.alerts.runbooks)
    investigator = Investigator(store, records, explain, books, clock.now_us)
    lookout = Lookout(store, records, explain, settings.alerts.automation)

    def automatic(desk: Desk, silences: Sequence[Silence], now_us: int) -> Desk:
        return with_steps(desk, settings.alerts.automation, silences, lookout, holding(set_limit), now_us)

    watch = Watch(sources, policy, records, clock, public_url=public_url, evidence=investigator, automatic=automatic)
    signer = cache(lambda: Signer(links.key()))
    deeds = DeedLinks(signer, settings.alerts.links, public_url, clock, settings.alerts.links_last * SECOND_US)
    delivery = Delivery(records, channels, clock, deeds)
    lifeline = Lifeline(watch.evaluate, channels, root, clock, f"taximeter/{uuid7(clock.now_us() // 1000, draw(10))}")
    jobs.every("alerts", EVALUATE_SECONDS, lifeline.turn)
    for name in channels:
        jobs.every(f"delivery_{name}", DELIVER_SECONDS, partial(delivery.run, name))
    jobs.every("outbox", TIDY_SECONDS, delivery.tidy)
    kinds = {name: str(written["kind"]) for name, written in settings.alerts.channels.items()}
    return AlertingParts(watch, delivery, records, links, signer, rules, kinds, books)


def holding(set_limit: SetLimit) -> Hold:
    """Calls are held by a limit that bears the incident in its name."""

    def hold(incident: Incident, alert: Alert, calls: int) -> str | None:
        wish = Wish(kind="rate", scope=scope_of(alert.labels), calls=calls)
        try:
            definition = limit_for(incident.incident_id, wish)
            definition["name"] += "-by-itself"  # beside a rate that somebody set, which stays
            set_limit(definition, BY_ITSELF)
        except UsageError as error:
            return f"They were to be held to {calls} a minute, but no limit could be set: {error}."
        except (TaximeterError, CountersAway) as error:  # whatever is away, alerts go on
            _log.warning("alerts: no limit can be set now: %s", error)
            return None
        undo = f"taximeter alerts act {incident.incident_id} --undo {definition['name']}"
        return f"They are held to {calls} a minute from now on. To undo it: {undo}"

    return hold


def _checks(wanted: ChecksSettings, store: EventStore) -> Iterator[Source]:
    """The rules that need nothing learnt, as far as they are switched on."""
    if wanted.error_share is not None:
        yield Seldom(ERRORS_RULE, Errors(store, wanted.error_share), CHECK_EVERY_US)
    if wanted.new_spender_usd is not None:
        yield Seldom(SPENDER_RULE, NewSpenders(store, wanted.new_spender_usd), CHECK_EVERY_US)
    if wanted.z_score is not None:
        yield Seldom(Z_SCORE_RULE, ZScore(partial(_last_hour, store), wanted.z_score), CHECK_EVERY_US)


def _last_hour(store: EventStore, now_us: int) -> Mapping[str, Any] | None:
    rows = hourly_baseline(store, {}, now_us)["rows"]
    whole: list[dict[str, Any]] = [row for row in rows if row["complete"]]
    return whole[-1] if whole else None


def differing_amounts(store: EventStore, book: Callable[[], PriceBook]) -> DifferingAmounts:
    """Models whose provider names other amounts than the price book of now."""

    def between(from_us: int, to_us: int) -> list[dict[str, Any]] | None:
        asked = {"from": rfc3339(from_us), "to": rfc3339(to_us)}
        try:
            rows: list[dict[str, Any]] = differences(asked, store, book(), to_us)["rows"]
        except UsageError:
            return None  # more calls than one report compares
        return rows

    return DifferingAmounts(between)


def _silences(records: Alerting, now_us: int) -> list[Silence]:
    return [
        Silence(
            silence_id=kept.silence_id,
            matchers=parse_matchers(kept.matchers),
            starts_at_us=kept.starts_at_us,
            ends_at_us=kept.ends_at_us,
            author=kept.author,
            comment=kept.comment,
        )
        for kept in records.silences(now_us)
    ]
