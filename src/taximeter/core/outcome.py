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
from taximeter.core.event import Field, Source
from taximeter.core.facts import fact
from taximeter.core.money import format_usd

OUTCOME: Final = "outcome"
"""What `record` says in such a line."""

_ABOUT_DIMENSIONS: Final = {
    "user_id": "end user",
    "team": "team that owns the spend",
    "tenant": "customer or tenant",
    "feature": "product feature",
    "endpoint": "endpoint or route of the calling application",
    "environment": "dev, staging, prod",
    "service": "service that reports it",
    "service_version": "its version",
    "prompt_version": "version of the prompt",
    "session_id": "session or conversation",
}
OUTCOME_FIELDS: Final = (
    Field("outcome_id", "text", "UUID made by the sender; the idempotency key"),
    Field("occurred_at", "timestamp", "when it was reached; RFC 3339, UTC, microseconds"),
    Field("name", "text", "what was reached: ticket_solved, document_summarised, ..."),
    Field("value_usd", "money", "what it is worth; null when that is not known; negative for what was taken back"),
    Field("source", "text", "which road it came by"),
    *(Field(name, "text", _ABOUT_DIMENSIONS[name]) for name in DIMENSIONS),
    Field("api_key_id", "text", "id of the taximeter key used; never the key"),
    Field("tags", "texts", "free tags"),
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
