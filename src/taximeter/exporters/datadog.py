"""Datadog: metrics of the type count, through its official client.

A point of the same metric, tags and second replaces the one before it there, so a parcel that is sent again counts
once: its stamp is fixed, and no other parcel has it. Points older than an hour are not taken.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterable, Iterator
from typing import Final

from datadog_api_client import ApiClient, Configuration
from datadog_api_client.exceptions import ApiException, OpenApiException
from datadog_api_client.v2.api.metrics_api import MetricsApi
from datadog_api_client.v2.model.metric_content_encoding import MetricContentEncoding
from datadog_api_client.v2.model.metric_intake_type import MetricIntakeType
from datadog_api_client.v2.model.metric_payload import MetricPayload
from datadog_api_client.v2.model.metric_point import MetricPoint
from datadog_api_client.v2.model.metric_series import MetricSeries
from pydantic import Field, FilePath, SecretStr
from urllib3 import Retry
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError

from taximeter.config.section import Section
from taximeter.exporters.batches import batches as in_batches
from taximeter.exporters.datadog_points import Point, points
from taximeter.exporters.http import REFUSED_BELOW, REFUSED_FROM, SHOWN_CHARACTERS, TIMEOUT_SECONDS
from taximeter.exporters.port import ExportError, NotTakenError, Parcel

POINTS_AT_ONCE: Final = 1000
BYTES_AT_ONCE: Final = 450_000
"""Of one request, before it is packed: below the intake's 512,000 packed and 5,242,880 unpacked."""

NOT_CONNECTED: Final = (NewConnectionError, ConnectTimeoutError, ProxyError, ssl.SSLCertVerificationError)
"""Before these, no byte of a request has left."""


class DatadogSettings(Section):
    """`exporters.to.<name>` with the kind `datadog`."""

    kind: str
    api_key: SecretStr
    site: str = Field(default="datadoghq.com", pattern=r"^[a-z0-9.-]+$", description="The organisation's site.")
    url: str | None = Field(
        default=None, pattern="^https?://", description="Another address of the API than that of the site."
    )
    proxy: SecretStr | None = Field(default=None, description="The address of a proxy on the way there.")
    ca_file: FilePath | None = Field(default=None, description="Certificates to trust instead of the system's.")
    tags: dict[str, str] = Field(default_factory=dict, description="Further tags of every point.")


class Datadog:
    tells_latencies = False

    def __init__(self, settings: DatadogSettings) -> None:
        self._tags = settings.tags
        self._key = settings.api_key.get_secret_value()
        self._client = Configuration(
            host=(settings.url or f"https://api.{settings.site}").rstrip("/"),
            api_key={"apiKeyAuth": self._key},
            ssl_ca_cert=None if settings.ca_file is None else str(settings.ca_file),
            request_timeout=TIMEOUT_SECONDS,
            # What failed comes again as the same parcel, with the next turn.
            retry_policy=Retry(False),
        )
        if settings.proxy is not None:
            self._client.proxy = settings.proxy.get_secret_value()

    def send(self, parcel: Parcel) -> None:
        taken = False
        with ApiClient(self._client) as client:
            metrics = MetricsApi(client)
            for batch in batches(points(parcel, self._tags), parcel.at_us // 1_000_000):
                try:
                    metrics.submit_metrics(MetricPayload(series=batch), content_encoding=MetricContentEncoding.GZIP)
                except (OpenApiException, HTTPError, ValueError) as error:
                    refused = not taken and _refused(error)
                    raise (NotTakenError if refused else ExportError)(self._told(error)) from None
                taken = True

    def _told(self, error: Exception) -> str:
        """What went wrong, in words that show neither the key nor the proxy."""
        if isinstance(error, ApiException) and error.status:
            body = error.body if isinstance(error.body, str) else json.dumps(error.body)
            return f"Datadog answered {error.status}: {body.replace(self._key, '***')[:SHOWN_CHARACTERS]}"
        if isinstance(error, OpenApiException | ValueError) and not isinstance(error, ApiException):
            return f"Datadog's answer is not one of its API: {type(error).__name__}"
        known = next((one for one in _causes(error) if isinstance(one, NOT_CONNECTED)), None)
        if known is not None:
            return f"Datadog cannot be reached: {type(known).__name__}"
        return f"Datadog did not answer: {type(error).__name__}"


def _refused(error: Exception) -> bool:
    """Whether surely nothing was taken."""
    if isinstance(error, ApiException) and error.status:
        return bool(REFUSED_FROM <= error.status < REFUSED_BELOW)
    return any(isinstance(cause, NOT_CONNECTED) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def batches(told: Iterable[Point], at_seconds: int) -> Iterator[list[MetricSeries]]:
    """The points as the client takes them, as many at once as the intake does."""
    series = (_series(point, at_seconds) for point in told)
    return in_batches(series, _bytes, most=POINTS_AT_ONCE, most_bytes=BYTES_AT_ONCE)


def _bytes(series: MetricSeries) -> int:
    return len(json.dumps(series.to_dict()))


def _series(point: Point, at_seconds: int) -> MetricSeries:
    return MetricSeries(
        metric=point.metric,
        type=MetricIntakeType.COUNT,
        points=[MetricPoint(timestamp=at_seconds, value=point.amount)],
        tags=list(point.tags),
    )
