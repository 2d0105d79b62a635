"""Cursor: the CSV of usage that its dashboard exports. A row is a request of an agent, or of somebody who types.

`Input (w/o Cache Write)` is what was neither read from the cache nor written to it, `Input (w/ Cache Write)` what was
written. Where the total says that the second holds the first, it does. Requests that are part of a plan have a word
instead of a cost; what their tokens cost is computed all the same.
"""

from __future__ import annotations

import re
from typing import Final

from taximeter.core.attribution import Attribution
from taximeter.core.event import UsageEvent
from taximeter.core.usage import Usage, clamped
from taximeter.ingest.imports.cells import first, instant_us, known, text, usd, whole
from taximeter.ingest.imports.row import Options, PlainReader, Skipped, Values, import_id
from taximeter.ingest.otlp.emitters import provider_of

PLAIN: Final = "Input (w/o Cache Write)"
WRITTEN: Final = "Input (w/ Cache Write)"
_FREE: Final = re.compile(r"no charge|not charged", re.IGNORECASE)


class Cursor:
    name = "cursor"
    title = "Cursor usage"

    def recognises(self, values: Values) -> bool:
        return {"Date", "Model", PLAIN, WRITTEN} <= values.keys()

    def reader(self, options: Options) -> PlainReader:
        return PlainReader(event_of, options)


def event_of(values: Values, _options: Options) -> UsageEvent:
    start_us = instant_us(values, "Date")
    model, kind = text(values, "Model"), text(values, "Kind")
    usage, conflict = clamped(_usage(values))
    if not usage.input_tokens and not usage.output_tokens:
        raise Skipped("nothing was used")
    counts = (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_5m_tokens, usage.output_tokens)
    return UsageEvent(
        event_id=import_id(start_us, "cursor", model, *counts),
        started_at_us=start_us,
        source="import",
        status="ok",
        provider=provider_of(None, None, model),
        request_model=model,
        operation="chat",
        attribution=Attribution(
            user_id=text(values, "User"),
            service="cursor",
            tags=known(agent="cursor", kind=kind, max_mode="true" if text(values, "Max Mode") == "Yes" else None),
        ),
        usage=usage,
        usage_conflict=conflict,
        not_billed=bool(kind and _FREE.search(kind)),
        reported_cost_usd=usd(values, "Cost") if any(map(str.isdigit, str(first(values, "Cost")))) else None,
    )


def _usage(values: Values) -> Usage:
    plain, written, read = whole(values, PLAIN) or 0, whole(values, WRITTEN) or 0, whole(values, "Cache Read") or 0
    output = whole(values, "Output Tokens") or 0
    if plain and whole(values, "Total Tokens") == written + read + output:
        written -= plain
    return Usage(
        input_tokens=plain + written + read,
        cache_read_tokens=read,
        cache_write_5m_tokens=written,
        output_tokens=output,
    )
