"""Spend as Prometheus metrics: counters over everything that the store has, by the labels of a feed.

A counter is the highest that its sum ever was, so it never goes back, not across restarts and not when calls are priced
anew at less or deleted. By how much counters are ahead of the store after that is a metric of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from taximeter.core.usage import TOKEN_CLASSES
from taximeter.exporters.feed import Feed, State
from taximeter.exporters.latencies import HISTOGRAMS, cumulative, histogram
from taximeter.exporters.series import Amounts, series_values

USER_MEASURES: Final = ("cost_usd", "calls", "input_tokens", "output_tokens", "unpriced_calls")
"""What is counted by user."""


@dataclass(frozen=True, slots=True)
class SpendMetric:
    """A counter: one measure, or one for each value of `part`."""

    name: str
    about: str
    measures: Mapping[str, str]
    """Measure → the value of the label `part`."""
    part: str | None = None


def _one(name: str, measure: str, about: str) -> SpendMetric:
    return SpendMetric(name, about, {measure: ""})


TOKENS: Final = {name: name.removesuffix("_tokens") for name in TOKEN_CLASSES}
"""Measure → `token_class`."""

SPEND: Final = (
    _one("taximeter_cost_usd_total", "cost_usd", "cost of the priced calls"),
    SpendMetric(
        "taximeter_cost_component_usd_total",
        "the same by what it was for: input, cache_read, cache_write, output, other",
        {f"cost_{part}_usd": part for part in ("input", "cache_read", "cache_write", "output", "other")},
        "component",
    ),
    SpendMetric(
        "taximeter_tokens_total",
        "tokens; input and output are wholes, every other class is a part of one of them",
        TOKENS,
        "token_class",
    ),
    _one("taximeter_calls_total", "calls", "calls; every attempt is one"),
    _one("taximeter_failed_calls_total", "failed_calls", "calls that did not bring their answer"),
    _one("taximeter_cancelled_calls_total", "cancelled_calls", "calls that the caller abandoned"),
    _one("taximeter_refused_calls_total", "refused", "calls refused by a limit"),
    _one("taximeter_cached_calls_total", "cached_calls", "calls answered from the response cache"),
    _one("taximeter_retries_total", "retries", "attempts after the first"),
    _one("taximeter_retry_cost_usd_total", "retry_cost_usd", "cost of attempts after the first"),
    _one("taximeter_failed_cost_usd_total", "failed_cost_usd", "cost of the failed calls"),
    _one("taximeter_unpriced_calls_total", "unpriced_calls", "calls without a known cost when they came"),
    _one("taximeter_estimated_calls_total", "estimated_calls", "calls whose usage was counted by us"),
)
BY_USER: Final = (
    _one("taximeter_user_cost_usd_total", "cost_usd", "cost of the priced calls, by user"),
    _one("taximeter_user_calls_total", "calls", "calls by user"),
    SpendMetric(
        "taximeter_user_tokens_total",
        "input and output tokens by user",
        {name: TOKENS[name] for name in ("input_tokens", "output_tokens")},
        "token_class",
    ),
)
GAUGES: Final = {
    "taximeter_unpriced_calls": "calls that have no known cost now, by the labels of spend",
    "taximeter_counters_ahead_usd": "by how much the counters of cost are above the store, after calls were priced "
    "anew at less or deleted",
    "taximeter_told_until_timestamp_seconds": "until when the counters of spend have what the store has",
    "taximeter_latency_seconds": "duration of the calls of the last five minutes, by model and quantile",
    "taximeter_limit_used_ratio": "what is spent of a limit, by limit and the value it is counted for",
    "taximeter_limit_held_ratio": "what calls under way hold of it",
    "taximeter_open_incidents": "incidents that are open, by severity",
    "taximeter_export_lag_seconds": "for how long changes have waited to be told, by exporter; 0 when none do",
    "taximeter_task_runs_total": "turns of the periodic work",
    "taximeter_task_failures_total": "those that failed",
    "taximeter_task_last_success_timestamp_seconds": "when a task last succeeded",
}
"""What is told besides the counters of spend."""


def _begun(feed: Feed) -> State | None:
    """How a feed stands; None when it has not begun."""
    state = feed.state
    return None if state is None or state.until_us == 0 else state


class SpendCollector(Collector):
    """The counters of a feed, as they stand when they are asked for. A feed that has not begun has none."""

    def __init__(self, feed: Feed, metrics: Sequence[SpendMetric]) -> None:
        self._feed, self._metrics = feed, metrics

    def collect(self) -> Iterator[Metric]:
        state = _begun(self._feed)
        if state is None:
            return
        for metric in self._metrics:
            yield _counter(metric, state)


class LatencyCollector(Collector):
    """The histograms of a feed of latencies. A series in which nothing was timed has none."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def collect(self) -> Iterator[Metric]:
        state = _begun(self._feed)
        if state is None:
            return
        for name, (timing, about) in HISTOGRAMS.items():
            family = HistogramMetricFamily(name, about, labels=state.labels)
            for key, amounts in state.peaks.items():
                if (told := histogram(amounts, timing)) is not None:
                    counts, seconds = told
                    family.add_metric(series_values(key), list(cumulative(counts)), seconds)
            yield family


class StandingCollector(Collector):
    """What the feed of spend says besides: calls without a price, corrections, until when it is."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def collect(self) -> Iterator[Metric]:
        state = _begun(self._feed)
        if state is None:
            return
        unpriced = _gauge("taximeter_unpriced_calls", state.labels)
        for key, amounts in state.totals.items():
            if waiting := amounts.get("unpriced_calls"):
                unpriced.add_metric(series_values(key), float(waiting))
        yield unpriced
        ahead = _gauge("taximeter_counters_ahead_usd")
        ahead.add_metric([], float(_cost(state.peaks) - _cost(state.totals)))
        yield ahead
        until = _gauge("taximeter_told_until_timestamp_seconds")
        until.add_metric([], state.until_us / 1_000_000)
        yield until


@dataclass(frozen=True, slots=True)
class Reading:
    """A gauge, a counter or quantiles as others see them: (label values, value)."""

    name: str
    labels: tuple[str, ...]
    values: Sequence[tuple[tuple[str, ...], float]]


class ReadingsCollector(Collector):
    """What is read elsewhere at every scrape."""

    def __init__(self, readings: Callable[[], Sequence[Reading]]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        for reading in self._readings():
            yield _quantiles(reading) if "quantile" in reading.labels else _read(reading)


def _read(reading: Reading) -> Metric:
    kind = CounterMetricFamily if reading.name.endswith("_total") else GaugeMetricFamily
    family = kind(reading.name, GAUGES[reading.name], labels=reading.labels)
    for labels, value in reading.values:
        family.add_metric(labels, value)
    return family


def _quantiles(reading: Reading) -> Metric:
    """Prometheus has the label `quantile` for summaries alone."""
    family = SummaryMetricFamily(reading.name, GAUGES[reading.name])
    for labels, value in reading.values:
        family.add_sample(reading.name, dict(zip(reading.labels, labels, strict=True)), value)
    return family


def _counter(metric: SpendMetric, state: State) -> Metric:
    labels = [*state.labels, *([metric.part] if metric.part else [])]
    family = CounterMetricFamily(metric.name, metric.about, labels=labels)
    for key, amounts in state.peaks.items():
        values = series_values(key)
        for measure, part in metric.measures.items():
            if measure in amounts or _always_told(measure):
                family.add_metric([*values, *([part] if metric.part else [])], float(amounts.get(measure, 0)))
    return family


def _always_told(measure: str) -> bool:
    """A counter that begins when its first event comes hides that event from `rate`: those that rules rest on are
    there from zero."""
    return measure in ("cost_usd", "calls", "failed_calls", "refused", "retries", "input_tokens", "output_tokens")


def _gauge(name: str, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, GAUGES[name], labels=list(labels))


def _cost(sums: Mapping[str, Amounts]) -> Decimal:
    return sum((amounts.get("cost_usd", Decimal(0)) for amounts in sums.values()), Decimal(0))
