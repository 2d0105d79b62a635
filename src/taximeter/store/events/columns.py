"""What a stored record has beyond the event: the current derivation of its cost, and when it was stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from taximeter.core.cost import COMPONENTS
from taximeter.core.event import FIELDS, Field
from taximeter.core.outcome import OUTCOME_FIELDS

INGESTED_AT: Final = Field("ingested_at", "timestamp", "when the collector took it in")
DERIVED: Final = (
    Field("cost_usd", "money", "what the call cost; null when unpriced"),
    Field("cost", "json", "the cost in components: " + ", ".join(COMPONENTS)),
    Field("cache_read_saving_usd", "money", "what the tokens read from a cache would have cost more as plain input"),
    Field("cache_write_surcharge_usd", "money", "what the tokens written to a cache cost more than plain input"),
    Field("unpriced_reason", "text", "why there is no cost"),
    Field("price_version", "text", "the price book that was applied"),
    Field("price_rule", "text", "the entry of it"),
    INGESTED_AT,
)
COLUMNS: Final = (*FIELDS, *DERIVED)
COLUMN_NAMES: Final = tuple(field.name for field in COLUMNS)


@dataclass(frozen=True, slots=True)
class Facts:
    """A table that facts come into as lines: its columns, and which of them is the id that makes a repeated fact the
    same one, and which its moment."""

    table: str
    key: str
    moment: str
    columns: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.columns)


EVENT_FACTS: Final = Facts("events", "event_id", "started_at", COLUMNS)
OUTCOME_FACTS: Final = Facts("outcome_facts", "outcome_id", "occurred_at", (*OUTCOME_FIELDS, INGESTED_AT))
