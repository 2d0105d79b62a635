"""The section `exporters`: what is told to other platforms, and which of them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, SecretStr

from taximeter.config.section import Section

LABELS: Final = ("provider", "model", "feature", "team", "environment")
CHARGED_BY: Final = ("team", "tenant", "feature", "environment")
"""What charges are told apart by, besides what was bought, unless told otherwise."""

S3_SCHEME: Final = "s3://"


def _no_name_twice(labels: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(labels)) < len(labels):
        raise ValueError("should name each dimension once")
    return labels


def _folder_or_bucket(text: str) -> str:
    scheme, there, rest = text.partition("://")
    if there and (scheme + there != S3_SCHEME or not rest.strip("/")):
        raise ValueError("should be a folder or s3://BUCKET/PREFIX")
    return text


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("should begin with http:// or https://")
    return text


class FileSettings(Section):
    """One export of files, one for each day (UTC), written anew as a whole when the day changed."""

    to: Annotated[str, AfterValidator(_folder_or_bucket)] = Field(description="A folder, or `s3://BUCKET/PREFIX`.")
    content: Literal["calls", "focus"] = Field(
        default="calls", description="`calls` with every field, or charges with the columns of FOCUS."
    )
    format: Literal["parquet", "csv", "json"] = Field(default="parquet", description="JSON is one row a line.")
    every_seconds: float = Field(default=3600.0, gt=0, description="How often is looked for days that changed.")
    labels: Annotated[tuple[str, ...], AfterValidator(_no_name_twice)] = Field(
        default=CHARGED_BY, max_length=7, description="With `focus`: dimensions that charges are told apart by."
    )
    billing_account: str = Field(default="default", description="With `focus`: the account that pays the provider.")
    region: str | None = Field(default=None, description="Of the bucket; otherwise that of the AWS configuration.")
    endpoint_url: str | None = Field(default=None, description="Another address that speaks as S3 does.")


class SpanSettings(Section):
    """One export of calls as spans over OTLP."""

    url: Annotated[str, AfterValidator(_address)] = Field(
        description="Where spans go, such as `http://127.0.0.1:4318/v1/traces`."
    )
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="Further headers, such as a token.")
    without_sources: tuple[Literal["gateway", "sdk", "otlp", "api", "import"], ...] = Field(
        default=("otlp", "import"), description="Calls that came by these roads are left out: `otlp` are spans already."
    )
    without_services: tuple[str, ...] = Field(
        default=(), description="Calls of these services are left out, such as those that send spans there themselves."
    )


class ExporterSettings(Section):
    """Spend for other platforms. Everything is bounded: what is not named is told as `other`, never left out."""

    labels: Annotated[tuple[str, ...], AfterValidator(_no_name_twice)] = Field(
        default=LABELS, min_length=1, max_length=8, description="Dimensions that spend is told by."
    )
    series: int = Field(
        default=200, ge=1, le=10_000, description="Combinations of labels that are named, those with most cost first."
    )
    user_series: int = Field(default=100, ge=0, le=10_000, description="Users named in `/metrics`; 0: none are told.")
    latency_series: int = Field(
        default=50,
        ge=0,
        le=1_000,
        description="Combinations of provider, model, operation and status with histograms of how long calls took, "
        "those with most calls first; 0: none are told.",
    )
    every_seconds: float = Field(default=15.0, gt=0, description="How often is looked for what changed.")
    send_seconds: float = Field(default=60.0, gt=0, description="How often what changed is sent to each of `to`.")
    files: dict[str, FileSettings] = Field(default_factory=dict, description="Exports of files by name.")
    spans: dict[str, SpanSettings] = Field(
        default_factory=dict, description="Exports of each call as a span, by name; sent every `send_seconds`."
    )
    to: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Exporters by name; `kind` says which, the rest is the exporter's own."
    )
