"""`/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from taximeter.errors import TaximeterError
from taximeter.server.access import Access
from taximeter.server.answers import App, Receive, Scope, Send, answer, answer_error, answer_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What this process counts about itself, since it started; None is what its role does not have.

    Losses, failures and calls are by reason, kind or provider.
    """

    events_accepted: int = 0
    events_duplicate: int = 0
    events_rejected: int = 0
    otlp_spans: Mapping[str, int] = field(default_factory=dict)
    otlp_held_spans: int | None = None
    spool_losses: Mapping[str, int] = field(default_factory=dict)
    spool_waiting_lines: int | None = None
    spool_waiting_bytes: int | None = None
    spool_refused: int | None = None
    set_aside: Mapping[str, int] = field(default_factory=dict)
    stored_events: int | None = None
    told_twice_events: int | None = None
    collector_lag_bytes: int | None = None
    gateway_records: Mapping[str, int] = field(default_factory=dict)
    gateway_lost_records: Mapping[str, int] = field(default_factory=dict)
    gateway_failures: Mapping[str, int] = field(default_factory=dict)
    gateway_refusals: Mapping[str, int] = field(default_factory=dict)
    admissions: Mapping[str, int] = field(default_factory=dict)
    limit_counters_away: int | None = None


@dataclass(frozen=True, slots=True)
class MetricInfo:
    name: str
    about: str
    label: str | None = None


METRICS: Final = (
    MetricInfo("taximeter_events_total", "events that came in at /v1/events: accepted, duplicate, rejected", "result"),
    MetricInfo(
        "taximeter_otlp_spans_total",
        "spans and log records that came in over OTLP: call, aggregate (counted for want of calls), folded (one call "
        "in two spans), twin (the same, told by numbers and time alone), covered (an aggregate of calls), other, "
        "ignored, rejected",
        "result",
    ),
    MetricInfo("taximeter_losses_total", "records the spool lost, by reason", "reason"),
    MetricInfo("taximeter_spool_waiting_lines", "records that wait in memory because the disk refuses them"),
    MetricInfo("taximeter_spool_waiting_bytes", "their size"),
    MetricInfo("taximeter_spool_refused", "1 while the disk refuses records (/readyz says why), 0 while it takes them"),
    MetricInfo("taximeter_set_aside_lines_total", "lines kept in rejected.ndjson and not stored, by reason", "reason"),
    MetricInfo("taximeter_gateway_records_total", "records the gateway wrote, by kind", "kind"),
    MetricInfo("taximeter_gateway_lost_records_total", "records the gateway could not write, by kind", "kind"),
    MetricInfo("taximeter_gateway_failures_total", "what went wrong in the gateway, by reason", "reason"),
    MetricInfo("taximeter_gateway_refusals_total", "requests the gateway refused, by code", "code"),
    MetricInfo(
        "taximeter_admissions_total",
        "calls that limits decided about: admitted, refused, waited, clamped, downgraded, throttled, uncounted (let "
        "through while the counters were away), cut, and overshoots (came to more than was held)",
        "result",
    ),
    MetricInfo(
        "taximeter_limit_counters_away",
        "1 while the counters of limits do not answer or are being filled anew (`admission.fail` holds), otherwise 0",
    ),
    MetricInfo("taximeter_otlp_held_spans", "spans that wait for calls below them"),
    MetricInfo("taximeter_stored_events", "events stored since the start"),
    MetricInfo("taximeter_told_twice_events", "events left out since the start: their calls count by another road"),
    MetricInfo("taximeter_collector_lag_bytes", "bytes in the spool that the store does not have yet"),
)
_ABOUT: Final = {metric.name: metric for metric in METRICS}


class _FromCounts(Collector):
    """Reads the counts anew at every scrape."""

    def __init__(self, counts: Callable[[], Counts]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        now = self._counts()
        results = {"accepted": now.events_accepted, "duplicate": now.events_duplicate, "rejected": now.events_rejected}
        yield _counter("taximeter_events_total", results)
        yield _counter("taximeter_otlp_spans_total", now.otlp_spans)
        yield _counter("taximeter_losses_total", now.spool_losses)
        yield _counter("taximeter_set_aside_lines_total", now.set_aside)
        yield _counter("taximeter_gateway_records_total", now.gateway_records)
        yield _counter("taximeter_gateway_lost_records_total", now.gateway_lost_records)
        yield _counter("taximeter_gateway_failures_total", now.gateway_failures)
        yield _counter("taximeter_gateway_refusals_total", now.gateway_refusals)
        yield _counter("taximeter_admissions_total", now.admissions)
        yield from _gauge("taximeter_limit_counters_away", now.limit_counters_away)
        yield from _gauge("taximeter_spool_waiting_lines", now.spool_waiting_lines)
        yield from _gauge("taximeter_spool_waiting_bytes", now.spool_waiting_bytes)
        yield from _gauge("taximeter_spool_refused", now.spool_refused)
        yield from _gauge("taximeter_otlp_held_spans", now.otlp_held_spans)
        yield from _gauge("taximeter_stored_events", now.stored_events)
        yield from _gauge("taximeter_told_twice_events", now.told_twice_events)
        yield from _gauge("taximeter_collector_lag_bytes", now.collector_lag_bytes)


def _counter(name: str, by_label: Mapping[str, int]) -> Metric:
    metric = _ABOUT[name]
    family = CounterMetricFamily(name, metric.about, labels=[metric.label or "kind"])
    for label, count in sorted(by_label.items()):
        family.add_metric([label], count)
    return family


def _gauge(name: str, value: float | None) -> Sequence[Metric]:
    return [] if value is None else [GaugeMetricFamily(name, _ABOUT[name].about, value=value)]


def exposition(collectors: Iterable[Collector], accepted: str) -> tuple[bytes, bytes]:
    """The metrics in the best form that the header `Accept` takes (OpenMetrics or Prometheus text), and its type."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    encode, content_type = choose_encoder(accepted)
    return encode(registry), content_type.encode()


def metrics_face(access: Access, counts: Callable[[], Counts], further: Sequence[Collector] = ()) -> App:
    """`/metrics`, for whoever may read. `further` is what other rooms tell."""
    collectors = (_FromCounts(counts), *further)

    async def metrics(scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            access.allowed(scope, "read")
        except TaximeterError as error:
            await answer_error(send, error)
            return
        accepted = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        content, content_type = await asyncio.to_thread(exposition, collectors, accepted)
        await answer(send, 200, content, [(b"content-type", content_type)])

    return metrics


async def healthz(_scope: Scope, _receive: Receive, send: Send) -> None:
    """The process answers."""
    await answer_json(send, 200, {"status": "ok"})


def readyz_face(problems: Callable[[], Sequence[str]]) -> App:
    """`/readyz`: 200 when there are no problems, otherwise 503 and what they are."""

    async def readyz(_scope: Scope, _receive: Receive, send: Send) -> None:
        found = list(problems())
        await answer_json(send, 503 if found else 200, {"status": "not ready" if found else "ready", "problems": found})

    return readyz
