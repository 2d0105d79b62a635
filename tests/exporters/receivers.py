"""What exporters talk to, true to each protocol: they add up what came, as the real ones do."""

from __future__ import annotations

import gzip
import json
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from moto.server import ThreadedMotoServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Take = Callable[[str, Mapping[str, str], bytes], int]
"""Takes path, headers (small letters) and body of a POST; the status of the answer, 0 to hang up without one."""


class Quiet(ThreadingHTTPServer):
    """Says nothing of a client that does not trust it."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ssl.SSLError):
            super().handle_error(request, client_address)


@contextmanager
def listening(
    take: Take,
    answer: bytes = b'{"errors":[]}',
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """The address at which `take` answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {**(headers or {}), "content-length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            return

    server = Quiet(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}" if tls is None else f"https://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class DatadogIntake:
    """`POST /api/v2/series`: a point replaces the one of the same metric, tags and second. Tags are written as Datadog
    does it: in small letters, what is no letter, digit or one of `_-:./` as one underscore, 200 characters."""

    KEY = "dd-key"
    LARGEST_BYTES = 512_000
    LARGEST_UNPACKED = 5_242_880

    def __init__(self) -> None:
        self.points: dict[tuple[str, tuple[str, ...], int], Decimal] = {}
        self.requests = 0

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        if headers.get("dd-api-key") != self.KEY:
            return 403
        if path != "/api/v2/series" or headers.get("content-type") != "application/json":
            return 404
        unpacked = gzip.decompress(body)
        if len(body) > self.LARGEST_BYTES or len(unpacked) > self.LARGEST_UNPACKED:
            return 413
        for series in json.loads(unpacked, parse_float=Decimal, parse_int=Decimal)["series"]:
            assert set(series) == {"metric", "type", "points", "tags"}
            assert series["type"] == 1
            tags = tuple(sorted({self.tag(tag) for tag in series["tags"]}))
            for point in series["points"]:
                assert Decimal(repr(float(point["value"]))) == point["value"], "what a double holds"
                self.points[series["metric"], tags, int(point["timestamp"])] = point["value"]
        self.requests += 1
        return 202

    @staticmethod
    def tag(text: str) -> str:
        kept = "".join(one if one.isalnum() or one in "_-:./" else "_" for one in text.lower())
        while "__" in kept:
            kept = kept.replace("__", "_")
        return kept[:200].rstrip("_").rstrip(":")

    def sums(self) -> dict[str, Decimal]:
        sums: dict[str, Decimal] = {}
        for (metric, tags, _), value in self.points.items():
            kinds = [tag.removeprefix("token_class:") for tag in tags if tag.startswith("token_class:")]
            name = f"{kinds[0]}_tokens" if kinds else metric.removeprefix("llm.").replace("refused_calls", "refused")
            sums[name] = sums.get(name, Decimal(0)) + value
        return sums


class WebhookReceiver:
    """Keeps each `Idempotency-Key` once."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.headers: list[Mapping[str, str]] = []

    def take(self, _path: str, headers: Mapping[str, str], body: bytes) -> int:
        self.headers.append(headers)
        known = self.bodies.setdefault(headers["idempotency-key"], body)
        return 204 if known == body else 409

    def sums(self) -> dict[str, Decimal]:
        sums: dict[str, Decimal] = {}
        for body in self.bodies.values():
            for amounts in json.loads(body)["amounts"]:
                for name, value in amounts.items():
                    if name.endswith(("_usd", "_tokens", "calls")) or name in ("refused", "retries"):
                        sums[name] = sums.get(name, Decimal(0)) + Decimal(value)
        return sums


def _unpacked(headers: Mapping[str, str], body: bytes) -> bytes:
    return gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body


class OtlpReceiver:
    """Keeps the last point of each stream of sums."""

    def __init__(self) -> None:
        self.points: dict[tuple[str, tuple[tuple[str, str], ...], int], Decimal] = {}
        self.usage: dict[tuple[tuple[str, str], ...], tuple[int, float]] = {}
        self.histograms: dict[tuple[str, tuple[tuple[str, str], ...]], Any] = {}

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        if path != "/v1/metrics" or headers.get("content-type") != "application/x-protobuf":
            return 404
        request = ExportMetricsServiceRequest.FromString(_unpacked(headers, body))
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self._take(metric)
        return 200

    def _take(self, metric: Any) -> None:
        for point in metric.sum.data_points:
            assert metric.sum.aggregation_temporality == 2
            assert point.start_time_unix_nano <= point.time_unix_nano
            value = Decimal(point.as_int) if point.HasField("as_int") else Decimal(str(point.as_double))
            self.points[metric.name, _attributes(point), point.start_time_unix_nano] = value
        for point in metric.histogram.data_points:
            assert sum(point.bucket_counts) == point.count
            assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
            assert metric.histogram.aggregation_temporality == 2
            self.histograms[metric.name, _attributes(point)] = point
            if metric.name == "gen_ai.client.token.usage":
                self.usage[_attributes(point)] = (point.count, point.sum)

    def sums(self) -> dict[str, Decimal]:
        sums: dict[str, Decimal] = {}
        renamed = {"cost": "cost_usd", "retry_cost": "retry_cost_usd", "refused_calls": "refused"}
        for (metric, attributes, _), value in tuple(self.points.items()):
            short = metric.removeprefix("taximeter.")
            name = f"{dict(attributes)['token_class']}_tokens" if short == "tokens" else renamed.get(short, short)
            sums[name] = sums.get(name, Decimal(0)) + value
        return sums


class SpanReceiver:
    """Keeps every span once by its ids, as those do who go by them; how often each came is counted."""

    def __init__(self) -> None:
        self.spans: dict[tuple[bytes, bytes], tuple[dict[str, Any], Any]] = {}
        """By trace and span id: the attributes of the resource, and the span."""
        self.came: Counter[tuple[bytes, bytes]] = Counter()
        self.scopes: set[str] = set()

    def take(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        if path != "/v1/traces" or headers.get("content-type") != "application/x-protobuf":
            return 404
        request = ExportTraceServiceRequest.FromString(_unpacked(headers, body))
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.scopes.add(scope.scope.name)
                for span in scope.spans:
                    self._take(attributes_of(resource.resource), span)
        return 200

    def _take(self, resource: dict[str, Any], span: Any) -> None:
        assert (len(span.trace_id), len(span.span_id)) == (16, 8)
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        ids = span.trace_id, span.span_id
        assert self.spans.setdefault(ids, (resource, span)) == (resource, span), "what comes again is the same"
        self.came[ids] += 1

    def attributes(self) -> list[dict[str, Any]]:
        return [attributes_of(span) for _, span in self.spans.values()]

    def sums(self) -> dict[str, Decimal]:
        told = self.attributes()
        costs = [Decimal(one["taximeter.cost.decimal_usd"]) for one in told if "taximeter.cost.decimal_usd" in one]
        tokens = {kind: sum(one[f"gen_ai.usage.{kind}_tokens"] for one in told) for kind in ("input", "output")}
        return {
            "calls": Decimal(len(told)),
            "cost_usd": sum(costs, Decimal(0)),
            "unpriced_calls": Decimal(len(told) - len(costs)),
            **{f"{kind}_tokens": Decimal(number) for kind, number in tokens.items()},
        }


def attributes_of(said: Any) -> dict[str, Any]:
    """The attributes of a span, a resource or a scope."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in said.attributes}


def _attributes(point: Any) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((one.key, one.value.string_value) for one in point.attributes))


class CloudWatchLogs:
    """moto's server; the sums of the metrics in the records of the log."""

    def __init__(self, url: str, group: str) -> None:
        self._group = group
        self._logs = boto3.client("logs", region_name="us-east-1", endpoint_url=url)

    def records(self) -> list[dict[str, Any]]:
        pages = self._logs.get_paginator("filter_log_events").paginate(logGroupName=self._group)
        texts = [event["message"] for page in pages for event in page["events"]]
        return [json.loads(text, parse_float=Decimal, parse_int=Decimal) for text in texts]

    def sums(self) -> dict[str, Decimal]:
        sums: dict[str, Decimal] = {}
        for record in self.records():
            for metric in record["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
                name = metric["Name"]
                sums[name] = sums.get(name, Decimal(0)) + record[name]
        return sums


@contextmanager
def aws() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()
