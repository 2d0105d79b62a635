"""Exports of a server, put together: the feeds that follow the store, what `/metrics` shows of them, who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from prometheus_client.registry import Collector

from taximeter.anomaly.finding import SEVERITIES
from taximeter.clock import Clock
from taximeter.compose.jobs import WHILE_FIRST_QUESTIONS_SECONDS, Jobs
from taximeter.config.settings import Settings
from taximeter.errors import Mistake, UsageError
from taximeter.exporters.feed import Feed, Grouping
from taximeter.exporters.filing import Filing
from taximeter.exporters.latencies import LATENCY_FEED, latency_grouping
from taximeter.exporters.port import Exporter
from taximeter.exporters.prometheus import (
    BY_USER,
    SPEND,
    USER_MEASURES,
    LatencyCollector,
    Reading,
    ReadingsCollector,
    SpendCollector,
    StandingCollector,
)
from taximeter.exporters.registry import open_exporters, open_places
from taximeter.exporters.shipping import Shipping
from taximeter.exporters.tracing import Tracing
from taximeter.store.events import EventStore, parse_query
from taximeter.store.events.vocabulary import dimension
from taximeter.store.metadata import Alerting, Exports

SPEND_FEED: Final = "spend"
DONE_ONCE: Final = "export"
TIDY_SECONDS: Final = 600.0
"""How often is deleted what every exporter has."""

LATENCY_MODELS: Final = 20
"""Models whose latencies are told; the rest together is `other`."""

QUANTILES: Final = {"0.5": "latency_ms_p50", "0.95": "latency_ms_p95", "0.99": "latency_ms_p99"}


@dataclass(frozen=True, slots=True)
class Exporting:
    """What a process tells others. `collectors` are for `/metrics`.

    Of several servers on the same metadata one does the jobs whose names begin with `DONE_ONCE`; the others `follow`
    what it keeps, so that each shows the same at `/metrics` and any of them can take over.
    """

    feeds: Sequence[Feed]
    ways: Sequence[Shipping | Tracing]
    collectors: Sequence[Collector]

    def follow(self) -> None:
        """Take up what another server kept. Raises StoreError."""
        for feed in self.feeds:
            feed.follow()
        for way in self.ways:
            way.follow()


def mistakes(settings: Settings) -> list[Mistake]:
    """Everything wrong in `exporters` that its form alone does not tell."""
    chosen = settings.exporters
    named = {"exporters.labels": chosen.labels}
    named |= {f"exporters.files.{name}.labels": files.labels for name, files in chosen.files.items()}
    found = [mistake for where, labels in named.items() for mistake in _no_dimensions(where, labels)]
    return [*found, *open_exporters(chosen.to)[1], *open_places(chosen.files)[1]]


def _no_dimensions(where: str, labels: Sequence[str]) -> Iterator[Mistake]:
    for number, label in enumerate(labels):
        try:
            dimension(label, field="labels")
        except UsageError as error:
            yield Mistake(f"{where}.{number}", error.message)


def open_exporting(
    settings: Settings,
    store: EventStore,
    kept: Exports,
    clock: Clock,
    jobs: Jobs,
    limits: Callable[[], Sequence[Mapping[str, Any]]],
    alerting: Alerting,
) -> Exporting:
    """Raises StoreError. `limits` are as `GET /api/v1/limits` tells them."""
    chosen = settings.exporters
    exporters, _ = open_exporters(chosen.to)

    def feed(job: str, grouping: Grouping, *, windows: bool = False) -> Feed:
        one = Feed(grouping, store, kept, clock, kept_days=_kept_days(settings), keep_windows=windows)
        jobs.every(job, chosen.every_seconds, one.turn, WHILE_FIRST_QUESTIONS_SECONDS)
        return one

    spend = feed("exports", Grouping(SPEND_FEED, chosen.labels, chosen.series), windows=bool(exporters))
    feeds = [spend]
    ways = _ways(spend, exporters, kept, clock, jobs, chosen.send_seconds)
    collectors: list[Collector] = [SpendCollector(spend, SPEND), StandingCollector(spend)]
    if chosen.latency_series:
        timed = {f"{name} {LATENCY_FEED}": one for name, one in exporters.items() if one.tells_latencies}
        by_time = feed("exports of latencies", latency_grouping(chosen.latency_series), windows=bool(timed))
        feeds.append(by_time)
        ways += _ways(by_time, timed, kept, clock, jobs, chosen.send_seconds)
        collectors.append(LatencyCollector(by_time))
    if chosen.user_series:
        by_user = feed("exports by user", Grouping("users", ("user_id",), chosen.user_series, USER_MEASURES))
        feeds.append(by_user)
        collectors.append(SpendCollector(by_user, BY_USER))
    for name, place in open_places(chosen.files)[0].items():
        wanted = chosen.files[name]
        filing = Filing(name, wanted, place, store, kept, clock, _kept_days(settings))
        jobs.every(f"export files {name}", wanted.every_seconds, filing.turn, WHILE_FIRST_QUESTIONS_SECONDS)
    traced = [Tracing(name, spans, store, kept, clock) for name, spans in chosen.spans.items()]
    for tracing in traced:
        tracing.begin()
        job = jobs.every(f"export {tracing.name}", chosen.send_seconds, tracing.turn)
        job.lag_seconds = partial(_lag_of, tracing)
    latencies = Latencies(store, clock)
    jobs.every("latencies", chosen.every_seconds, latencies.turn, WHILE_FIRST_QUESTIONS_SECONDS)

    def readings() -> list[Reading]:
        lags = {way.shipping.name: way.lag_seconds for way in ways} | {one.name: one.lag_seconds for one in traced}
        told = [_lag_read(lags), *_jobs_read(jobs)]
        return [latencies.reading, *_limits_read(limits()), _incidents_read(alerting), *told]

    followers: list[Shipping | Tracing] = [*(way.shipping for way in ways), *traced]
    return Exporting(feeds, followers, [*collectors, ReadingsCollector(readings)])


@dataclass(frozen=True, slots=True)
class Way:
    """What a feed tells, on its way to an exporter."""

    feed: Feed
    shipping: Shipping

    @property
    def lag_seconds(self) -> float:
        state = self.feed.state
        return self.shipping.lag_seconds(0 if state is None else state.number)


def _ways(
    feed: Feed, exporters: Mapping[str, Exporter], kept: Exports, clock: Clock, jobs: Jobs, every_seconds: float
) -> list[Way]:
    """Begin a feed, and what it tells to each of these."""
    state, name = feed.begin(), feed.grouping.name
    shippings = [Shipping(way, exporter, name, kept, clock) for way, exporter in exporters.items()]
    ways = [Way(feed, shipping) for shipping in shippings]
    for way in ways:
        way.shipping.begin(state)
        job = jobs.every(f"export to {way.shipping.name}", every_seconds, way.shipping.turn)
        job.lag_seconds = partial(_lag_of, way)
    if shippings:
        done = "exported" if name == SPEND_FEED else f"exported {name}"
        jobs.every(done, TIDY_SECONDS, lambda: kept.forget_windows(name, min(one.after for one in shippings)))
    return ways


def _lag_of(told: Way | Tracing) -> float:
    return told.lag_seconds


def _kept_days(settings: Settings) -> int | None:
    """For how long everything is there that a feed may ask for."""
    kept = settings.retention
    days = [days for days in (kept.events_days, kept.hourly_sums_days, kept.daily_user_sums_days) if days is not None]
    return min(days, default=None)


class Latencies:
    """How long the calls of the last minutes took."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self.reading = Reading("taximeter_latency_seconds", ("model", "quantile"), ())

    def turn(self) -> None:
        asked = {
            "measures": ["calls", *QUANTILES.values()],
            "group_by": ["model"],
            "from": "5m",
            "limit": LATENCY_MODELS,
        }
        rows = self._store.query(parse_query(asked, self._clock.now_us())).rows
        self.reading = Reading(
            self.reading.name,
            self.reading.labels,
            [
                (("other" if row.get("other") else row["model"] or "", quantile), row[measure] / 1000)
                for row in rows
                for quantile, measure in QUANTILES.items()
                if row[measure] is not None
            ],
        )


def _limits_read(limits: Sequence[Mapping[str, Any]]) -> list[Reading]:
    values = [(limit["name"], value) for limit in limits for value in limit["values"]]

    def part(of: str) -> list[tuple[tuple[str, ...], float]]:
        return [
            ((name, value["value"]), float(Decimal(value[of]) / Decimal(value["amount"])))
            for name, value in values
            if Decimal(value["amount"])
        ]

    labels = ("limit", "value")
    return [
        Reading("taximeter_limit_used_ratio", labels, part("spent")),
        Reading("taximeter_limit_held_ratio", labels, part("held")),
    ]


def _lag_read(lags: Mapping[str, float]) -> Reading:
    return Reading("taximeter_export_lag_seconds", ("exporter",), [((name,), lag) for name, lag in lags.items()])


def _incidents_read(alerting: Alerting) -> Reading:
    found = [incident.severity for incident in alerting.incidents(open_only=True, limit=1000)]
    counted = [((severity,), float(found.count(severity))) for severity in SEVERITIES]
    return Reading("taximeter_open_incidents", ("severity",), counted)


def _jobs_read(jobs: Jobs) -> list[Reading]:
    status = jobs.status
    succeeded = {name: job.last_success_at for name, job in status.items() if job.last_success_at is not None}
    return [
        Reading("taximeter_task_runs_total", ("task",), [((name,), job.runs) for name, job in status.items()]),
        Reading("taximeter_task_failures_total", ("task",), [((name,), job.failures) for name, job in status.items()]),
        Reading(
            "taximeter_task_last_success_timestamp_seconds",
            ("task",),
            [((name,), datetime.fromisoformat(at).timestamp()) for name, at in succeeded.items()],
        ),
    ]
