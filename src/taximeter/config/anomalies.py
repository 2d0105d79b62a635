"""The section `anomalies`: what detection watches, and what it is told beforehand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal

from pydantic import Field, model_validator

from taximeter.config.alerting import Written, Zone
from taximeter.config.section import Section

DetectedKind = Literal["volume_spike", "cost_per_request", "cache_hit_rate", "model_drift", "retry_storm", "slow_creep"]


class ThresholdSettings(Section):
    """Sizes that matter: ratios to what is expected, shares between 0 and 1."""

    volume_warning: float = Field(default=1.5, gt=1, description="Calls, as a multiple of the expected ones.")
    volume_critical: float = Field(default=2.5, gt=1, description="The same, to be critical.")
    cost_warning: float = Field(default=1.5, gt=1, description="Cost per call, as a multiple of the usual one.")
    cost_critical: float = Field(default=2.05, gt=1, description="The same, to be critical.")
    cache_warning: float = Field(
        default=0.60, gt=0, lt=1, description="Cache hit rate that warns, where a feature has earned a higher one."
    )
    cache_critical: float = Field(default=0.40, gt=0, lt=1, description="The same, to be critical.")
    retries_warning: float = Field(default=0.5, gt=0, description="Retries per first attempt.")
    retries_critical: float = Field(default=1.6, gt=0, description="The same, to be critical.")
    share_warning: float = Field(default=0.08, gt=0, lt=1, description="Share of calls that a rare model has.")
    share_critical: float = Field(default=0.4, gt=0, lt=1, description="The same, of a dear model, to be critical.")
    dear_model: float = Field(default=2.0, gt=1, description="Price, as a multiple of the usual model's, that is dear.")
    creep_warning: float = Field(default=1.15, gt=1, description="Steady growth of input tokens per call.")
    creep_critical: float = Field(default=2.1, gt=1, description="The same, to be critical.")
    score: float = Field(default=5.0, gt=2, description="Standard scores that a deviation must have at least.")


class OverrideSettings(Section):
    """A scope of which less is told."""

    scope: dict[str, str] = Field(description="Dimensions and their values, such as `{feature: chat}`.")
    kinds: list[DetectedKind] = Field(default_factory=list, description="Of these kinds only; empty: of all.")
    least_ratio: float | None = Field(
        default=None, gt=1, description="Deviations below this multiple of what is expected are not told."
    )
    minimum_usd_per_hour: Decimal | None = Field(
        default=None, ge=0, description="Deviations that cost less than this are not told."
    )
    off: bool = Field(default=False, description="Nothing is told of it.")


class PlannedEvent(Written):
    """A time in which more calls are no news: a campaign, a load test, a backfill."""

    from_: datetime = Field(alias="from", description="Its beginning, with an offset from UTC.")
    to: datetime = Field(description="Its end.")
    scope: dict[str, str] = Field(default_factory=dict, description="What it concerns; empty: everything.")

    @model_validator(mode="after")
    def _in_order(self) -> PlannedEvent:
        if self.from_.tzinfo is None or self.to.tzinfo is None or self.from_ >= self.to:
            raise ValueError("needs `from` before `to`, both with an offset such as Z or +02:00")
        return self


class AnomalySettings(Section):
    """Learnt detection of what leaves its normal course."""

    enabled: bool = Field(default=True, description="Whether it runs.")
    timezone: Zone = Field(default="UTC", description="The zone in which people work; days and weeks are its.")
    holidays: list[date] = Field(default_factory=list, description="Local dates on which work is off.")
    planned: list[PlannedEvent] = Field(default_factory=list, description="Times in which more calls are no news.")
    allowed_models: dict[str, dict[str, date | None]] = Field(
        default_factory=dict,
        description="By feature: its models, each with the day from which it is allowed (null: ever since). "
        "A model that is not listed is told at once; a feature that is not listed learns its models.",
    )
    dimensions: list[str] = Field(
        default_factory=lambda: ["team", "environment", "api_key_id"],
        description="Watched besides features, their users and their models.",
    )
    minimum_usd_per_hour: Decimal = Field(
        default=Decimal("0.01"), ge=0, description="Deviations that cost less than this are not told."
    )
    thresholds: ThresholdSettings = Field(default_factory=ThresholdSettings, description="Sizes that matter, by kind.")
    overrides: list[OverrideSettings] = Field(default_factory=list, description="Scopes of which less is told.")

    def allowed_minutes(self) -> dict[str, dict[str, int]]:
        """Feature → model → the minute since the epoch from which it is allowed."""
        return {
            feature: {model: _minute(since) for model, since in models.items()}
            for feature, models in self.allowed_models.items()
        }


def _minute(day: date | None) -> int:
    return 0 if day is None else int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) // 60
