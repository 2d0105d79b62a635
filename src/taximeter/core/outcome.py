"""An outcome: what calls were made for, and what it was worth: a ticket solved, a document summarised. A fact, as an
event is, and no event: it is no call, has no tokens and no cost.

On disk, on the wire and in the stores it is a flat JSON object with the keys of `OUTCOME_FIELDS`, after
`"record": "outcome"`. Its id and its moment have names that no event has, so that whoever knows events only refuses it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from taximeter.clock import rfc3339
from taximeter.core.attribution import DIMENSIONS, NOBODY, Attribution
from taximeter.core.event import FIELDS, Field, Source
from taximeter.core.facts import fact
from taximeter.core.money import format_usd

OUTCOME: Final = "outcome"
"""What `record` says in such a line."""

_OF_EVENTS: Final = {field.name: field for field in FIELDS} | {
    "service": Field("service", "text", "service that reports it")
}
"""What outcomes share with events is described once."""

OUTCOME_FIELDS: Final = (
    Field("outcome_id", "text", "UUID made by the sender; the idempotency key"),
    Field("occurred_at", "timestamp", "when it was reached; RFC 3339, UTC, microseconds"),
    Field("name", "text", "what was reached: ticket_solved, document_summarised, ..."),
    Field("value_usd", "money", "what it is worth; null when that is not known; negative for what was taken back"),
    Field("source", "text", "which road it came by"),
    *(_OF_EVENTS[name] for name in (*DIMENSIONS, "api_key_id", "tags")),
)

_BEGINNING: Final = b'{"record":"outcome"'
"""How every such line of a spool begins: those who write them put it first."""


def is_outcome(line: bytes) -> bool:
    """Whether a line of a spool tells of an outcome."""
    return line.startswith(_BEGINNING)


@fact(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`occurred_at_us` is microseconds since the epoch, UTC; `value_usd` None is "not known"."""

    outcome_id: str
    occurred_at_us: int
    name: str
    value_usd: Decimal | None = None
    source: Source
    attribution: Attribution = NOBODY


def outcome_record(outcome: Outcome) -> dict[str, Any]:
    """The flat JSON-ready record of an outcome, without what is not known."""
    record: dict[str, Any] = {
        "record": OUTCOME,
        "outcome_id": outcome.outcome_id,
        "occurred_at": rfc3339(outcome.occurred_at_us),
        "name": outcome.name,
        "source": outcome.source,
    }
    if outcome.value_usd is not None:
        record["value_usd"] = format_usd(outcome.value_usd)
    for name in DIMENSIONS:
        value = getattr(outcome.attribution, name)
        if value is not None:
            record[name] = value
    if outcome.attribution.tags:
        record["tags"] = dict(outcome.attribution.tags)
    return record
