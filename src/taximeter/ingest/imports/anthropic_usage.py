"""Anthropic: the usage and cost reports of the Admin API, and the CSV that the console exports of usage.

Input is told in classes that exclude each other; ours is their sum. The reports do not say how many calls they add
up: their number is bounded from below by how many the context window makes necessary, which also keeps each mean
within its window, so that the rates of long contexts are taken where they were charged.
https://docs.claude.com/en/api/admin-api/usage-cost/get-messages-usage-report
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from taximeter.core.attribution import Attribution
from taximeter.core.event import UsageEvent
from taximeter.core.usage import Usage
from taximeter.ingest.imports.buckets import AT_LEAST, BILL, USAGE, check_is_over
from taximeter.ingest.imports.cells import instant_us, known, nested, text, usd, whole
from taximeter.ingest.imports.row import LeftOut, Options, Outcome, Row, RowError, Skipped, Values, draft, import_id

SHORT_WINDOW: Final = 200_000
LONG_WINDOW: Final = 1_000_000

_CENTS: Final = Decimal("0.01")
_DAY_US: Final = 86_400_000_000
_GROUPS: Final = (
    *("api_key_id", "api_key", "workspace_id", "workspace", "model", "model_version", "service_tier", "usage_type"),
    *("context_window", "inference_geo", "speed", "account_id", "service_account_id"),
)
_BILLED_BY: Final = (
    *("workspace_id", "description", "cost_type", "model", "service_tier", "token_type", "context_window"),
    "inference_geo",
)


class AnthropicUsage:
    name = "anthropic-usage"
    title = "Anthropic usage and cost"

    def recognises(self, values: Values) -> bool:
        if "usage_date_utc" in values:
            return "usage_output_tokens" in values
        return "starting_at" in values and "results" in values

    def reader(self, options: Options) -> _Reader:
        return _Reader(options)


class _Reader:
    def __init__(self, options: Options) -> None:
        self._options = options

    def read(self, row: Row) -> Iterator[Outcome]:
        if "results" not in row.values:
            start_us = instant_us(row.values, "usage_date_utc")
            yield draft(row.place, self._event(row.values, start_us, start_us + _DAY_US))
            return
        start_us, end_us = instant_us(row.values, "starting_at"), instant_us(row.values, "ending_at")
        results = row.values["results"]
        for result in results if isinstance(results, list) else ():
            try:
                yield draft(row.place, self._event(result, start_us, end_us))
            except RowError as error:
                yield LeftOut(row.place, str(error), wrong=not isinstance(error, Skipped))

    def finish(self) -> Iterable[Outcome]:
        return ()

    def _event(self, result: object, start_us: int, end_us: int) -> UsageEvent:
        if not isinstance(result, dict):
            raise RowError("a result that is no object")
        check_is_over(end_us, self._options)
        return _bill(result, start_us, end_us) if "amount" in result else _usage(result, start_us, end_us)


def _bill(result: Values, start_us: int, end_us: int) -> UsageEvent:
    currency = text(result, "currency") or "USD"
    cents = usd(result, "amount")
    if currency.upper() != "USD":
        raise RowError(f"an amount in {currency}: only US dollars are taken")
    if cents is None:
        raise Skipped("nothing was spent")
    return UsageEvent(
        event_id=import_id(start_us, "anthropic-cost", end_us, *(text(result, name) for name in _BILLED_BY)),
        started_at_us=start_us,
        source="import",
        status="ok",
        provider="anthropic",
        request_model=text(result, "model"),
        operation="bill",
        service_tier=text(result, "service_tier"),
        attribution=Attribution(
            tags=BILL | known(line_item=text(result, "description"), workspace=text(result, "workspace_id"))
        ),
        not_billed=True,
        reported_cost_usd=cents * _CENTS,
    )


def _usage(result: Values, start_us: int, end_us: int) -> UsageEvent:
    usage = _counts(result)
    if not any((usage.input_tokens, usage.output_tokens, *usage.units.values())):
        raise Skipped("nothing was used")
    tags = USAGE | AT_LEAST
    tags |= known(
        workspace=text(result, "workspace_id", "workspace"), anthropic_key=text(result, "api_key_id", "api_key")
    )
    return UsageEvent(
        event_id=import_id(start_us, "anthropic-usage", end_us, *(text(result, name) for name in _GROUPS)),
        started_at_us=start_us,
        source="import",
        status="ok",
        provider="anthropic",
        response_model=text(result, "model", "model_version"),
        operation="chat",
        service_tier=text(result, "service_tier", "usage_type"),
        region=text(result, "inference_geo"),
        attribution=Attribution(tags=tags),
        usage=usage,
    )


def _counts(result: Values) -> Usage:
    written = nested(result, "cache_creation")
    plain = whole(result, "uncached_input_tokens", "usage_input_tokens_no_cache") or 0
    read = whole(result, "cache_read_input_tokens", "usage_input_tokens_cache_read") or 0
    short = whole({**result, **written}, "ephemeral_5m_input_tokens", "usage_input_tokens_cache_write_5m") or 0
    hour = whole({**result, **written}, "ephemeral_1h_input_tokens", "usage_input_tokens_cache_write_1h") or 0
    searches = whole({**result, **nested(result, "server_tool_use")}, "web_search_requests", "web_search_count")
    whole_input = plain + read + short + hour
    units = {"requests": -(-whole_input // _window(result))} if whole_input else {}
    return Usage(
        input_tokens=whole_input,
        cache_read_tokens=read,
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=hour,
        output_tokens=whole(result, "output_tokens", "usage_output_tokens"),
        units=units | ({"web_searches": searches} if searches else {}),
    )


def _window(result: Values) -> int:
    """Tokens that one call of this row can have read."""
    said = text(result, "context_window") or ""
    return LONG_WINDOW if said.startswith((">", "200k")) else SHORT_WINDOW
