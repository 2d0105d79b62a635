"""What payers are charged, and at which mark-ups."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field

from taximeter.config.section import Section


class MarkupSettings(Section):
    """A mark-up for one value of `chargeback.by`, in place of the one for all."""

    percent: Decimal = Field(default=Decimal(0), ge=-100, le=100_000, description="Percent of the cost.")
    per_call_usd: Decimal = Field(default=Decimal(0), ge=0, le=1_000, description="USD for each call, besides.")


class ChargebackSettings(Section):
    """See docs/chargeback.md."""

    by: str = Field(default="team", description="Who is charged: a field that calls are grouped by, or `tags.NAME`.")
    percent: Decimal = Field(default=Decimal(0), ge=-100, le=100_000, description="The mark-up in percent of the cost.")
    per_call_usd: Decimal = Field(default=Decimal(0), ge=0, le=1_000, description="The mark-up for each call, USD.")
    markups: dict[str, MarkupSettings] = Field(
        default={}, description="Other mark-ups, by the value of `by`. Settings below."
    )
    unattributed: Literal["line", "shared"] = Field(
        default="line",
        description="What cannot be attributed is a `line` of its own, or `shared` among the others by their costs.",
    )
