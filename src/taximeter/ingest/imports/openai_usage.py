"""OpenAI: the pages of the Usage and Costs API (`/v1/organization/usage/...`, `/v1/organization/costs`), and the CSV
that the dashboard exports of activity and cost. A CSV row is a result with its bucket's times beside it; of which kind,
its columns say.

`input_tokens` holds the cached ones, `input_audio_tokens` does not. https://platform.openai.com/docs/api-reference/usage
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from taximeter.core.attribution import Attribution
from taximeter.core.event import UsageEvent
from taximeter.core.usage import Usage, clamped
from taximeter.ingest.imports.buckets import BILL, USAGE, check_is_over
from taximeter.ingest.imports.cells import first, instant_us, known, nested, text, usd, whole
from taximeter.ingest.imports.row import LeftOut, Options, Outcome, Row, RowError, Skipped, Values, draft, import_id

_PREFIX: Final = "organization.usage."
_TOLD_BY: Final = (
    ("images", "images"),
    ("characters", "audio_speeches"),
    ("seconds", "audio_transcriptions"),
    ("num_sessions", "code_interpreter_sessions"),
    ("usage_bytes", "vector_stores"),
    ("vector_store_id", "file_searches"),
    ("context_level", "web_searches"),
    ("output_tokens", "completions"),
    ("input_tokens", "embeddings"),
)
"""Columns that say something in one kind only, or in the first of several. Moderations have those of embeddings."""

_EMPTY_FILE: Final = frozenset(("start_time", "end_time", "start_time_iso", "end_time_iso"))
"""The columns of a file of a time in which nothing was used."""

_COSTS: Final = "organization.costs.result"
_OPERATIONS: Final = {
    "completions": "chat",
    "embeddings": "embeddings",
    "moderations": "moderations",
    "images": "image_generation",
    "audio_speeches": "text_to_speech",
    "audio_transcriptions": "speech_to_text",
    "code_interpreter_sessions": "code_interpreter",
    "web_searches": "web_search",
    "file_searches": "file_search",
}
_SEARCHES: Final = ("web_searches", "file_searches")
"""Kinds whose `num_requests` are what is billed; the requests of models beside them are in the completions as well."""

_UNITS: Final = {
    "images": "images",
    "characters": "characters",
    "seconds": "audio_seconds",
    "num_sessions": "code_interpreter_calls",
}
_GROUPS: Final = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "source", "size")
"""What usage can be grouped by: together with its bucket it is what a result is known by."""

_SEARCH_GROUPS: Final = ("context_level", "vector_store_id")
"""What searches can be grouped by besides."""

_BILLED_BY: Final = ("line_item", "project_id", "api_key_id")
_NO_GROUPS: Final = frozenset(
    ("object", "start_time", "end_time", "start_time_iso", "end_time_iso", "amount_currency", "quantity_unit")
)
"""Texts of a result that say nothing of whose it is."""

_NUMBER: Final = re.compile(r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?")
_DAY_US: Final = 86_400_000_000


class OpenAIUsage:
    name = "openai-usage"
    title = "OpenAI usage and cost"

    def recognises(self, values: Values) -> bool:
        if values.get("object") == "bucket":
            return "results" in values and "start_time" in values
        if values.keys() == _EMPTY_FILE:
            return True
        return "start_time" in values and ("num_model_requests" in values or "amount_value" in values)

    def reader(self, options: Options) -> _Reader:
        return _Reader(options)


class _Reader:
    def __init__(self, options: Options) -> None:
        self._options = options

    def read(self, row: Row) -> Iterator[Outcome]:
        if "results" not in row.values:
            yield draft(row.place, self._event(row.values, row.values))
            return
        results = row.values["results"]
        for result in results if isinstance(results, list) else ():
            try:
                yield draft(row.place, self._event(row.values, result))
            except RowError as error:
                yield LeftOut(row.place, str(error), wrong=not isinstance(error, Skipped))

    def finish(self) -> Iterable[Outcome]:
        return ()

    def _event(self, bucket: Values, result: object) -> UsageEvent:
        if not isinstance(result, dict):
            raise RowError("a result that is no object")
        start_us = instant_us(bucket, "start_time", "start_time_iso")
        end_us = instant_us({"end_time": start_us + _DAY_US, **bucket}, "end_time", "end_time_iso")
        check_is_over(end_us, self._options)
        if "amount" in result or "amount_value" in result:
            return _bill(result, start_us, end_us)
        return _usage(result, start_us, end_us)


def _bill(result: Values, start_us: int, end_us: int) -> UsageEvent:
    amount = nested(result, "amount")
    currency = text(amount, "currency") or text(result, "amount_currency") or "usd"
    if currency.lower() != "usd":
        raise RowError(f"an amount in {currency}: only US dollars are taken")
    cost = usd(amount, "value") if amount else usd(result, "amount_value")
    if cost is None:
        raise Skipped("nothing was spent")
    item, project, key = (text(result, name) for name in _BILLED_BY)
    further = _further_groups(result, _BILLED_BY)
    return UsageEvent(
        event_id=import_id(start_us, "openai-cost", end_us, item, project, key, *further),
        started_at_us=start_us,
        source="import",
        status="ok",
        provider="openai",
        request_model=item.partition(",")[0].strip() if item else None,
        operation="bill",
        attribution=Attribution(tags=BILL | known(line_item=item, project_id=project)),
        not_billed=True,
        reported_cost_usd=cost,
    )


def _further_groups(result: Values, named: tuple[str, ...]) -> list[str]:
    """What else a result is grouped by: none of it may be missed, or two results are taken for one.

    The name beside an id says nothing more, nor does the organization of a project; numbers are amounts.
    """
    said = {name: value for name in result if name not in named and (value := _in_words(result, name))}
    known_by_id = {name for name in said if text(result, f"{name.rpartition('_')[0]}_id") not in (None, said[name])}
    if text(result, "project_id"):
        known_by_id |= {name for name in said if name.startswith("organization_")}
    return sorted(f"{name}={value}" for name, value in said.items() if name not in known_by_id)


def _in_words(result: Values, name: str) -> str | None:
    value = text(result, name) if isinstance(result[name], str) and name not in _NO_GROUPS else None
    return None if value is None or _NUMBER.fullmatch(value) else value


def _usage(result: Values, start_us: int, end_us: int) -> UsageEvent:
    kind = _kind(result)
    if kind not in _OPERATIONS:
        raise Skipped(f"{kind} is no call of a model")
    counts, conflict = _counts(result, kind)
    if not any((counts.input_tokens, counts.output_tokens, *counts.units.values())):
        raise Skipped("nothing was used")
    groups = [_as_json_has_it(text(result, name)) for name in _GROUPS]
    groups += [f"{name}={value}" for name in _SEARCH_GROUPS if (value := text(result, name))]
    further = _further_groups(result, _GROUPS + _SEARCH_GROUPS)
    return UsageEvent(
        event_id=import_id(start_us, "openai-usage", kind, end_us, *groups, *further),
        started_at_us=start_us,
        source="import",
        status="ok",
        provider="openai",
        response_model=text(result, "model"),
        operation=_OPERATIONS[kind],
        service_tier=_tier(result),
        attribution=Attribution(
            user_id=text(result, "user_id"),
            tags=USAGE | known(project_id=text(result, "project_id"), openai_key=text(result, "api_key_id")),
        ),
        usage=counts,
        usage_conflict=conflict,
        not_billed=kind == "moderations",
    )


def _kind(result: Values) -> str:
    said = text(result, "object")
    if said is not None:
        return said.removeprefix(_PREFIX).removesuffix(".result")
    told = next((kind for column, kind in _TOLD_BY if first(result, column) is not None), "completions")
    return "moderations" if told == "embeddings" and "moderation" in (text(result, "model") or "") else told


def _as_json_has_it(value: str | None) -> str | None:
    return value.lower() if value in ("True", "False") else value


def _counts(result: Values, kind: str) -> tuple[Usage, bool]:
    if kind in _SEARCHES:
        searches = whole(result, "num_requests")
        return Usage(units={kind: searches} if searches else {}), False
    units = {ours: number for theirs, ours in _UNITS.items() if (number := whole(result, theirs))}
    requests = whole(result, "num_model_requests", "num_requests")
    audio, cached_audio = whole(result, "input_audio_tokens"), whole(result, "input_cached_audio_tokens")
    return clamped(
        Usage(
            input_tokens=whole(result, "input_tokens"),
            cache_read_tokens=whole(result, "input_cached_tokens"),
            cache_write_5m_tokens=whole(result, "input_cache_write_tokens"),
            input_audio_tokens=audio if cached_audio is None else (audio or 0) + cached_audio,
            cache_read_audio_tokens=cached_audio,
            input_image_tokens=whole(result, "input_image_tokens"),
            output_tokens=whole(result, "output_tokens"),
            output_audio_tokens=whole(result, "output_audio_tokens"),
            output_image_tokens=whole(result, "output_image_tokens"),
            units=units | ({"requests": requests} if requests else {}),
        )
    )


def _tier(result: Values) -> str | None:
    if str(first(result, "batch")).lower() == "true":
        return "batch"
    return text(result, "service_tier")
