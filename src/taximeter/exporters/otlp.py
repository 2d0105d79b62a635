"""OpenTelemetry metrics over OTLP/HTTP: sums since the exporter began, so what is sent again says the same again.

Cost and tokens are sums that may fall, since prices are corrected. `gen_ai.client.token.usage` is the histogram of the
GenAI conventions without buckets: number of calls, and their tokens. How long calls took are its histograms with the
buckets of the conventions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)
from pydantic import Field, SecretStr

from taximeter.config.section import Section
from taximeter.core.usage import TOKEN_CLASSES
from taximeter.exporters.genai import ATTRIBUTES, attribute_value
from taximeter.exporters.http import post
from taximeter.exporters.latencies import BOUNDS_SECONDS, LATENCY_FEED, histogram
from taximeter.exporters.port import Parcel
from taximeter.exporters.series import Amounts, series_values
from taximeter.store.events.durations import DURATION, FIRST_TOKEN
from taximeter.store.events.vocabulary import FAILED

NAMES: Final = {
    "cost_usd": ("taximeter.cost", "USD"),
    "calls": ("taximeter.calls", "{call}"),
    "failed_calls": ("taximeter.failed_calls", "{call}"),
    "refused": ("taximeter.refused_calls", "{call}"),
    "retries": ("taximeter.retries", "{attempt}"),
    "retry_cost_usd": ("taximeter.retry_cost", "USD"),
    "unpriced_calls": ("taximeter.unpriced_calls", "{call}"),
    **dict.fromkeys(TOKEN_CLASSES, ("taximeter.tokens", "{token}")),
}
"""Measure → metric and unit. Tokens have the attribute `token_class`."""

LATENCIES: Final = {
    "gen_ai.client.operation.duration": DURATION,
    "gen_ai.client.operation.time_to_first_chunk": FIRST_TOKEN,
}

TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 - a metric
CUMULATIVE: Final = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


class OtlpSettings(Section):
    """`exporters.to.<name>` with the kind `otlp`."""

    kind: str
    url: str = Field(description="Where metrics go, such as `http://127.0.0.1:4318/v1/metrics`.")
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="Further headers, such as a token.")


class Otlp:
    tells_latencies = True

    def __init__(self, settings: OtlpSettings) -> None:
        self._settings = settings

    def send(self, parcel: Parcel) -> None:
        headers = {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        headers["Content-Type"] = "application/x-protobuf"
        post(self._settings.url, request(parcel).SerializeToString(), headers, service="the OTLP receiver")


def request(parcel: Parcel) -> ExportMetricsServiceRequest:
    """The totals of a parcel as a request for metrics."""
    made = ExportMetricsServiceRequest()
    resource = made.resource_metrics.add()
    resource.resource.attributes.append(_attribute("service.name", "taximeter"))
    scope = resource.scope_metrics.add()
    scope.scope.name = "taximeter"
    metrics: dict[str, Metric] = {}
    for key, amounts in parcel.totals.items():
        labels = dict(zip(parcel.labels, series_values(key), strict=True))
        (_add_latencies if parcel.feed == LATENCY_FEED else _add_spend)(metrics, parcel, labels, amounts)
    scope.metrics.extend(metrics.values())
    return made


def _add_spend(metrics: dict[str, Metric], parcel: Parcel, labels: Mapping[str, str], amounts: Amounts) -> None:
    for measure, (name, unit) in NAMES.items():
        if measure in amounts:
            metric = metrics.setdefault(name, Metric(name=name, unit=unit))
            metric.sum.aggregation_temporality = CUMULATIVE
            metric.sum.data_points.append(_point(parcel, labels, measure, amounts[measure]))
    usage = metrics.setdefault(TOKEN_USAGE, Metric(name=TOKEN_USAGE, unit="{token}"))
    usage.histogram.aggregation_temporality = CUMULATIVE
    usage.histogram.data_points.extend(_usage(parcel, labels, amounts))


def _add_latencies(metrics: dict[str, Metric], parcel: Parcel, labels: Mapping[str, str], amounts: Amounts) -> None:
    for name, timing in LATENCIES.items():
        if (told := histogram(amounts, timing)) is None:
            continue
        counts, seconds = told
        point = HistogramDataPoint(
            start_time_unix_nano=parcel.since_us * 1000,
            time_unix_nano=parcel.at_us * 1000,
            count=sum(counts),
            sum=seconds,
            bucket_counts=counts,
            explicit_bounds=BOUNDS_SECONDS,
        )
        point.attributes.extend(_attributes(labels))
        if labels["status"] in FAILED:
            point.attributes.append(_attribute("error.type", labels["status"]))
        metric = metrics.setdefault(name, Metric(name=name, unit="s"))
        metric.histogram.aggregation_temporality = CUMULATIVE
        metric.histogram.data_points.append(point)


def _point(parcel: Parcel, labels: Mapping[str, str], measure: str, amount: Decimal) -> NumberDataPoint:
    point = NumberDataPoint(start_time_unix_nano=parcel.since_us * 1000, time_unix_nano=parcel.at_us * 1000)
    point.attributes.extend(_attributes(labels))
    if measure in TOKEN_CLASSES:
        point.attributes.append(_attribute("token_class", measure.removesuffix("_tokens")))
    if measure.endswith("_usd"):
        point.as_double = float(amount)
    else:
        point.as_int = int(amount)
    return point


def _usage(parcel: Parcel, labels: Mapping[str, str], amounts: Amounts) -> Iterator[HistogramDataPoint]:
    calls = max(int(amounts.get("calls", 0)), 0)
    for kind in ("input", "output"):
        point = HistogramDataPoint(
            start_time_unix_nano=parcel.since_us * 1000,
            time_unix_nano=parcel.at_us * 1000,
            count=calls,
            sum=float(amounts.get(f"{kind}_tokens", 0)),
            bucket_counts=[calls],
        )
        point.attributes.extend((*_attributes(labels), _attribute("gen_ai.token.type", kind)))
        yield point


def _attributes(labels: Mapping[str, str]) -> list[KeyValue]:
    return [
        _attribute(ATTRIBUTES.get(name, name), attribute_value(name, value)) for name, value in labels.items() if value
    ]


def _attribute(name: str, value: str) -> KeyValue:
    return KeyValue(key=name, value=AnyValue(string_value=value))
