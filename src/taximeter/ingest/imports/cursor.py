"""Cursor: the CSV of usage that its dashboard exports. A row is a request of an agent, or of somebody who types.

`Input (w/o Cache Write)` is what was neither read from the cache nor written to it, `Input (w/ Cache Write)` what was
written. Where the total says that the second holds the first, it does. Requests that are part of a plan have a word
instead of a cost; what their tokens cost is computed all the same.

What Cursor adds to the name of a model (how hard it thinks, that it is fast) is told apart from the maker's name of it.
A prompt may take many calls, of which a row is the sum; where it read more than one of them can, it says how many they
were at least, so that none is taken for a long context that it is not.
"""

from __future__ import annotations

import re
from typing import Final

from taximeter.core.attribution import Attribution
from taximeter.core.event import UsageEvent
from taximeter.core.usage import Usage, clamped
from taximeter.ingest.imports.buckets import AT_LEAST, USAGE
from taximeter.ingest.imports.cells import first, instant_us, known, text, usd, whole
from taximeter.ingest.imports.row import Options, PlainReader, Skipped, Values, import_id
from taximeter.ingest.otlp.emitters import UNKNOWN_PROVIDER, provider_of

PLAIN: Final = "Input (w/o Cache Write)"
WRITTEN: Final = "Input (w/ Cache Write)"
WINDOW: Final = 200_000
MAX_WINDOW: Final = 1_000_000
"""Tokens that one call can read, without Cursor's Max Mode and with it."""

PREVIEWS: Final = frozenset({"gemini-3-pro", "gemini-3-flash", "gemini-3.1-pro"})
"""Models whose makers have `-preview` at the end of their names."""

_FREE: Final = re.compile(r"no charge|not charged", re.IGNORECASE)
_SPED_UP: Final = re.compile(r"-fast(?:-mode)?$")
_CLAUDES_EFFORT: Final = re.compile(r"(?:-(?:thinking|low|medium|high|xhigh|max|1m))+$")
_GPTS_EFFORT: Final = re.compile(r"-(?:none|minimal|low|medium|high|xhigh|extra-high)$")
_VERSION_FIRST: Final = re.compile(r"claude-([4-9]|\d\d)(?:\.(\d+))?-(opus|sonnet|haiku)$")


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
    makers_name, tier = meant_by(model or "")
    usage, conflict = clamped(_usage(values))
    if not usage.input_tokens and not usage.output_tokens:
        raise Skipped("nothing was used")
    counts = (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_5m_tokens, usage.output_tokens)
    return UsageEvent(
        event_id=import_id(start_us, "cursor", model, *counts),
        started_at_us=start_us,
        source="import",
        status="ok",
        provider=_provider(model),
        request_model=model,
        response_model=makers_name if makers_name != model else None,
        service_tier=tier,
        operation="chat",
        attribution=Attribution(
            user_id=text(values, "User"),
            service="cursor",
            tags=(USAGE | AT_LEAST if usage.units else {})
            | known(agent="cursor", kind=kind, max_mode="true" if _max_mode(values) else None),
        ),
        usage=usage,
        usage_conflict=conflict,
        not_billed=bool(kind and _FREE.search(kind)),
        reported_cost_usd=usd(values, "Cost") if any(map(str.isdigit, str(first(values, "Cost")))) else None,
    )


def meant_by(name: str) -> tuple[str, str | None]:
    """The maker's name of a model that Cursor calls so, and the tier in which it is served."""
    if name.startswith("claude-"):
        sped_up, plain = _SPED_UP.search(name) is not None, _SPED_UP.sub("", name)
        return _as_anthropic_has_it(_CLAUDES_EFFORT.sub("", plain)), "fast" if sped_up else None
    if name.startswith(("gpt-", "o3", "o4")):
        sped_up, plain = _SPED_UP.search(name) is not None, _SPED_UP.sub("", name)
        return _GPTS_EFFORT.sub("", plain), "priority" if sped_up else None
    return f"{name}-preview" if name in PREVIEWS else name, None


def _as_anthropic_has_it(name: str) -> str:
    """claude-4.5-sonnet → claude-sonnet-4-5"""
    found = _VERSION_FIRST.match(name)
    return "-".join(filter(None, ("claude", found[3], found[1], found[2]))) if found else name


def _provider(model: str | None) -> str:
    """The model's maker; Cursor itself for its own models and what it chooses (`auto`)."""
    found = provider_of(None, None, model)
    return "cursor" if found == UNKNOWN_PROVIDER else found


def _max_mode(values: Values) -> bool:
    return text(values, "Max Mode") == "Yes"


def _usage(values: Values) -> Usage:
    plain, written, read = whole(values, PLAIN) or 0, whole(values, WRITTEN) or 0, whole(values, "Cache Read") or 0
    output = whole(values, "Output Tokens") or 0
    if plain and whole(values, "Total Tokens") == written + read + output:
        written -= plain
    whole_input = plain + written + read
    calls = -(-whole_input // (MAX_WINDOW if _max_mode(values) else WINDOW))
    return Usage(
        input_tokens=whole_input,
        cache_read_tokens=read,
        cache_write_5m_tokens=written,
        output_tokens=output,
        units={"requests": calls} if calls > 1 else {},
    )
