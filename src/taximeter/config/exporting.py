"""The section `exporters`: what is told to other platforms, and which of them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from taximeter.config.section import Section

LABELS: Final = ("provider", "model", "feature", "team", "environment")


def _no_name_twice(labels: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(labels)) < len(labels):
        raise ValueError("should name each dimension once")
    return labels


class ExporterSettings(Section):
    """Spend for other platforms. Everything is bounded: what is not named is told as `other`, never left out."""

    labels: Annotated[tuple[str, ...], AfterValidator(_no_name_twice)] = Field(
        default=LABELS, min_length=1, max_length=8, description="Dimensions that spend is told by."
    )
    series: int = Field(
        default=200, ge=1, le=10_000, description="Combinations of labels that are named, those with most cost first."
    )
    user_series: int = Field(default=100, ge=0, le=10_000, description="Users named in `/metrics`; 0: none are told.")
    every_seconds: float = Field(default=15.0, gt=0, description="How often is looked for what changed.")
    send_seconds: float = Field(default=60.0, gt=0, description="How often what changed is sent to each of `to`.")
    to: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Exporters by name; `kind` says which, the rest is the exporter's own."
    )
