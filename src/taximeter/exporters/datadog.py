"""Datadog: metrics of the type count, at its intake for series.

A point of the same metric, tags and second replaces the one before it there, so a parcel that is sent again counts
once: its stamp is fixed, and no other parcel has it. Points older than an hour are not taken.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec
from pydantic import Field, SecretStr

from taximeter.config.section import Section
from taximeter.core.usage import TOKEN_CLASSES
from taximeter.exporters.http import post
from taximeter.exporters.port import ExportError, NotTakenError, Parcel
from taximeter.exporters.series import series_values

COUNT: Final = 1
"""The number of the type count in the intake's protocol."""

POINTS_AT_ONCE: Final = 1000
"""Of one request: below the intake's 500 kB."""

NAMES: Final = {
    "cost_usd": "llm.cost_usd",
    "calls": "llm.calls",
    "failed_calls": "llm.failed_calls",
    "refused": "llm.refused_calls",
    "retries": "llm.retries",
    "retry_cost_usd": "llm.retry_cost_usd",
    "unpriced_calls": "llm.unpriced_calls",
    **dict.fromkeys(TOKEN_CLASSES, "llm.tokens"),
}
"""Measure → metric. Tokens have the tag `token_class`."""

TAGS: Final = {"environment": "env", "user_id": "llm_user"}
"""Labels that are called otherwise there."""

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class DatadogSettings(Section):
    """`exporters.to.<name>` with the kind `datadog`."""

    kind: str
    api_key: SecretStr
    url: str = Field(default="https://api.datadoghq.com", description="The site's address.")
    tags: dict[str, str] = Field(default_factory=dict, description="Further tags of every point.")


class Datadog:
    tells_latencies = False

    def __init__(self, settings: DatadogSettings) -> None:
        self._url = settings.url.rstrip("/") + "/api/v2/series"
        self._headers = {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "DD-API-KEY": settings.api_key.get_secret_value(),
        }
        self._tags = [f"{name}:{value}" for name, value in settings.tags.items()]

    def send(self, parcel: Parcel) -> None:
        points = list(self._points(parcel))
        for start in range(0, len(points), POINTS_AT_ONCE):
            body = gzip.compress(_encode({"series": points[start : start + POINTS_AT_ONCE]}), mtime=0)
            try:
                post(self._url, body, self._headers, service="Datadog")
            except NotTakenError as error:
                if start:
                    raise ExportError(error.message) from error
                raise

    def _points(self, parcel: Parcel) -> Iterator[dict[str, Any]]:
        for key, amounts in parcel.amounts.items():
            labels = zip(parcel.labels, series_values(key), strict=True)
            tags = [*self._tags, *(f"{TAGS.get(label, label)}:{value}" for label, value in labels if value)]
            for measure, metric in NAMES.items():
                if measure in amounts:
                    yield _point(parcel, metric, amounts[measure], [*tags, *_class_of(measure)])


def _class_of(measure: str) -> list[str]:
    return [f"token_class:{measure.removesuffix('_tokens')}"] if measure in TOKEN_CLASSES else []


def _point(parcel: Parcel, metric: str, amount: Decimal, tags: list[str]) -> dict[str, Any]:
    point = {"timestamp": parcel.at_us // 1_000_000, "value": amount}
    return {"metric": metric, "type": COUNT, "points": [point], "tags": tags}
