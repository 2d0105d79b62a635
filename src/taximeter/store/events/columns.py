"""What a stored record has beyond the event: the current derivation of its cost, and when it was stored."""

from __future__ import annotations

from typing import Final

from taximeter.core.cost import COMPONENTS
from taximeter.core.event import FIELDS, Field

DERIVED: Final = (
    Field("cost_usd", "money", "what the call cost; null when unpriced"),
    Field("cost", "json", "the cost in components: " + ", ".join(COMPONENTS)),
    Field("cache_read_saving_usd", "money", "what the tokens read from a cache would have cost more as plain input"),
    Field("cache_write_surcharge_usd", "money", "what the tokens written to a cache cost more than plain input"),
    Field("unpriced_reason", "text", "why there is no cost"),
    Field("price_version", "text", "the price book that was applied"),
    Field("price_rule", "text", "the entry of it"),
    Field("ingested_at", "timestamp", "when the collector took it in"),
)
COLUMNS: Final = (*FIELDS, *DERIVED)
COLUMN_NAMES: Final = tuple(field.name for field in COLUMNS)
