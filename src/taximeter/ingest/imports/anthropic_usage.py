"""Anthropic: the usage and cost reports of the Admin API, those of the analytics API, the report on Claude Code, and
the CSV that the console exports of usage and of cost.

Input is told in classes that exclude each other; ours is their sum. Most reports do not say how many calls they add
up: their number is bounded from below by how many the context window makes necessary, which also keeps each mean
within its window, so that the rates of long contexts are taken where they were charged. Amounts are in cents, those of
the console in dollars. The analytics API adds to what is over for up to a day.
https://docs.claude.com/en/api/admin-api/usage-cost/get-messages-usage-report
https://platform.claude.com/docs/en/manage-claude/usage-cost-analytics-api
https://docs.claude.com/en/api/admin-api/claude-code/get-claude-code-usage-report
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Final

from taximeter.core.attribution import Attribution
from taximeter.core.event import UsageEvent
from taximeter.core.usage import Usage
from taximeter.extract.anthropic import FAST
from taximeter.ingest.imports.buckets import AT_LEAST, BILL, DAY_US, HOUR_US, USAGE, check_is_over
from taximeter.ingest.imports.cells import first, instant_us, known, nested, text, usd, whole
from taximeter.ingest.imports.row import LeftOut, Options, Outcome, Row, RowError, Skipped, Values, draft, import_id

SHORT_WINDOW: Final = 200_000
LONG_WINDOW: Final = 1_000_000

_MEASURED: Final = ("usage", "cost")
_CENTS: Final = Decimal("0.01")
_GROUPS: Final = (
    *("api_key_id", "api_key", "workspace_id", "workspace", "model", "model_version", "service_tier", "usage_type"),
    *("context_window", "inference_geo", "speed", "account_id", "service_account_id"),
)
_BILLED_BY: Final = (
    *("workspace_id", "description", "cost_type", "model", "service_tier", "token_type", "context_window"),
    "inference_geo",
)
_CONSOLE_BILLED_BY: Final = (
    *("workspace", "model", "usage_type", "context_window", "token_type", "cost_type", "inference_geo", "speed"),
)
_AMOUNTS: Final = frozenset({"amount", "list_amount", "currency"})
"""Texts of a result that it is not grouped by."""

_WITH_A_STOP: Final = re.compile(r"[\s.]+")
"""Between the words of a model's name in the console: Claude Haiku 4.5."""


class AnthropicUsage:
    name = "anthropic-usage"
    title = "Anthropic usage and cost"

    def recognises(self, values: Values) -> bool:
        if "usage_date_utc" in values:
            return "usage_output_tokens" in values or {"token_type", "cost_usd"} <= values.keys()
        if "model_breakdown" in values:
            return "core_metrics" in values and "date" in values
        return "starting_at" in values and ("results" in values or _is_flat(values))

    def reader(self, options: Options) -> _Reader:
        return _Reader(options)


class _Reader:
    def __init__(self, options: Options) -> None:
        self._options = options

    def read(self, row: Row) -> Iterator[Outcome]:
        if "usage_date_utc" in row.values:
            start_us = instant_us(row.values, "usage_date_utc")
            yield draft(row.place, self._event(row.values, start_us, start_us + DAY_US, HOUR_US))
        elif "model_breakdown" in row.values:
            start_us = instant_us(row.values, "date")
            check_is_over(start_us + DAY_US, self._options)
            yield from self._each(row, "model_breakdown", lambda share: _of_claude_code(row.values, share, start_us))
        else:
            start_us, end_us = instant_us(row.values, "starting_at"), instant_us(row.values, "ending_at")
            if _is_flat(row.values):
                yield draft(row.place, self._event(_flat(row.values), start_us, end_us, DAY_US))
            else:
                yield from self._each(row, "results", lambda result: self._event(result, start_us, end_us, HOUR_US))

    def _each(self, row: Row, name: str, event_of: Callable[[object], UsageEvent]) -> Iterator[Outcome]:
        """What each object of an array leads to; one that is none of ours, or wrong, stops no other."""
        results = row.values[name]
        for result in results if isinstance(results, list) else ():
            try:
                yield draft(row.place, event_of(result))
            except RowError as error:
                yield LeftOut(row.place, str(error), wrong=not isinstance(error, Skipped))

    def finish(self) -> Iterable[Outcome]:
        return ()

    def _event(self, result: object, start_us: int, end_us: int, added_to_us: int) -> UsageEvent:
        if not isinstance(result, dict):
            raise RowError("a result that is no object")
        check_is_over(end_us, self._options, added_to_us)
        if "cost_usd" in result:
            return _bill_of_console(result, start_us)
        return _bill(result, start_us, end_us) if "amount" in result else _usage(result, start_us, end_us)


def _is_flat(values: Values) -> bool:
    """A row of the analytics API."""
    return isinstance(values.get("group"), dict) and any(isinstance(values.get(name), dict) for name in _MEASURED)


def _flat(values: Values) -> Values:
    """The result that such a row is."""
    return {**nested(values, "group"), **nested(values, *_MEASURED)}


def _further_groups(result: Values, named: tuple[str, ...]) -> list[str]:
    """What else a result is grouped by: none of it may be missed, or two results are taken for one."""
    if "usage_date_utc" in result:
        return []
    texts = [f"{name}={value}" for name, value in result.items() if isinstance(value, str) and name not in named]
    actor = nested(result, "actor")
    return sorted(
        [one for one in texts if one.partition("=")[0] not in _AMOUNTS] + ([f"actor={actor}"] if actor else [])
    )


def _actor(values: Values) -> str | None:
    actor = nested(values, "actor")
    return text(actor, "email_address", "email", "user_id", "id", "api_key_name") if actor else text(values, "actor")


def _bill(result: Values, start_us: int, end_us: int) -> UsageEvent:
    currency = text(result, "currency") or "USD"
    cents = usd(result, "amount")
    if currency.upper() != "USD":
        raise RowError(f"an amount in {currency}: only US dollars are taken")
    if cents is None:
        raise Skipped("nothing was spent")
    return UsageEvent(
        event_id=import_id(
            start_us,
            "anthropic-cost",
            end_us,
            *(text(result, name) for name in _BILLED_BY),
            *_further_groups(result, _BILLED_BY),
        ),
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


def _bill_of_console(row: Values, start_us: int) -> UsageEvent:
    """A line of the CSV of cost: what one key spent on one kind of token of one model on a day."""
    cost, name = usd(row, "cost_usd"), text(row, "model")
    if not cost:
        raise Skipped("nothing was spent")
    key, workspace = text(row, "api_key_id", "api_key"), text(row, "workspace")
    line = ", ".join(filter(None, (name, text(row, "token_type") or text(row, "cost_type"))))
    return UsageEvent(
        event_id=import_id(
            start_us, "anthropic-console-cost", key, *(text(row, column) for column in _CONSOLE_BILLED_BY)
        ),
        started_at_us=start_us,
        source="import",
        status="ok",
        provider="anthropic",
        request_model=_WITH_A_STOP.sub("-", name.lower()) if name else None,
        operation="bill",
        attribution=Attribution(
            tags=BILL | known(line_item=line, workspace=workspace, anthropic_key=text(row, "api_key"))
        ),
        not_billed=True,
        reported_cost_usd=cost,
    )


def _usage(result: Values, start_us: int, end_us: int) -> UsageEvent:
    usage = _counts(result)
    if not any((usage.input_tokens, usage.output_tokens, *usage.units.values())):
        raise Skipped("nothing was used")
    tags = USAGE if first(result, "requests") is not None else USAGE | AT_LEAST
    tags = tags | known(
        workspace=text(result, "workspace_id", "workspace"),
        anthropic_key=text(result, "api_key_id", "api_key"),
        product=text(result, "product"),
    )
    return UsageEvent(
        event_id=import_id(
            start_us,
            "anthropic-usage",
            end_us,
            *(text(result, name) for name in _GROUPS),
            *_further_groups(result, _GROUPS),
        ),
        started_at_us=start_us,
        source="import",
        status="ok",
        provider="anthropic",
        response_model=text(result, "model", "model_version"),
        operation="chat",
        service_tier=FAST if text(result, "speed") == FAST else text(result, "service_tier", "usage_type"),
        region=text(result, "inference_geo"),
        attribution=Attribution(user_id=_actor(result), tags=tags),
        usage=usage,
    )


def _of_claude_code(day: Values, share: object, start_us: int) -> UsageEvent:
    """One model of what somebody did with Claude Code on a day."""
    if not isinstance(share, dict):
        raise RowError("a model that is no object")
    tokens, estimated, model = nested(share, "tokens"), nested(share, "estimated_cost"), text(share, "model")
    read, written = whole(tokens, "cache_read") or 0, whole(tokens, "cache_creation") or 0
    whole_input = (whole(tokens, "input") or 0) + read + written
    output = whole(tokens, "output") or 0
    if not whole_input and not output:
        raise Skipped("nothing was used")
    cents = usd(estimated, "amount") if (text(estimated, "currency") or "USD").upper() == "USD" else None
    who, terminal, kind = _actor(day), text(day, "terminal_type"), text(day, "customer_type")
    return UsageEvent(
        event_id=import_id(start_us, "anthropic-claude-code", who, terminal, kind, model, text(day, "organization_id")),
        started_at_us=start_us,
        source="import",
        status="ok",
        provider="anthropic",
        response_model=model,
        operation="chat",
        attribution=Attribution(
            user_id=who,
            service="claude-code",
            tags=USAGE | AT_LEAST | known(agent="claude-code", terminal=terminal, customer_type=kind),
        ),
        usage=Usage(
            input_tokens=whole_input,
            cache_read_tokens=read,
            cache_write_5m_tokens=written,
            output_tokens=output,
            units=_at_least(whole_input, SHORT_WINDOW),
        ),
        reported_cost_usd=None if cents is None else cents * _CENTS,
    )


def _counts(result: Values) -> Usage:
    written = nested(result, "cache_creation")
    plain = whole(result, "uncached_input_tokens", "usage_input_tokens_no_cache") or 0
    read = whole(result, "cache_read_input_tokens", "usage_input_tokens_cache_read") or 0
    short = whole({**result, **written}, "ephemeral_5m_input_tokens", "usage_input_tokens_cache_write_5m") or 0
    hour = whole({**result, **written}, "ephemeral_1h_input_tokens", "usage_input_tokens_cache_write_1h") or 0
    searches = whole({**result, **nested(result, "server_tool_use")}, "web_search_requests", "web_search_count")
    whole_input = plain + read + short + hour
    requests = whole(result, "requests")
    units = _at_least(whole_input, _window(result)) if requests is None else {"requests": requests} if requests else {}
    return Usage(
        input_tokens=whole_input,
        cache_read_tokens=read,
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=hour,
        output_tokens=whole(result, "output_tokens", "usage_output_tokens"),
        units=units | ({"web_searches": searches} if searches else {}),
    )


def _at_least(whole_input: int, window: int) -> dict[str, int]:
    """How many calls so much input needs."""
    return {"requests": -(-whole_input // window)} if whole_input else {}


def _window(result: Values) -> int:
    """Tokens that one call of this row can have read."""
    said = text(result, "context_window") or ""
    return LONG_WINDOW if said.startswith((">", "200k")) else SHORT_WINDOW
