"""Any table of calls: CSV, JSON or JSON lines, whose columns are named by `--map FIELD=COLUMN` or guessed.

A row without an id of its own is known by all that is taken from it; of rows that are equal in all of it, which
happens, each further one is another call.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from taximeter.clock import rfc3339
from taximeter.core.event import FIELDS
from taximeter.core.usage import TOKEN_CLASSES
from taximeter.errors import UsageError
from taximeter.ingest.imports.buckets import USAGE
from taximeter.ingest.imports.cells import first, instant_us, milliseconds, text, usd, whole
from taximeter.ingest.imports.row import Draft, Options, Outcome, Row, RowError, Skipped, Values, import_id
from taximeter.ingest.otlp.emitters import provider_of

GUESSES: Final[Mapping[str, tuple[str, ...]]] = {
    "started_at": ("timestamp", "time", "datetime", "date", "created_at", "created", "start_time", "starttime"),
    "request_model": ("model", "model_name", "model_id", "request_model", "model_permaslug"),
    "provider": ("provider", "vendor", "llm_provider", "custom_llm_provider", "provider_name"),
    "input_tokens": ("input_tokens", "prompt_tokens", "tokens_prompt", "tokens_in", "tokens_input"),
    "output_tokens": ("output_tokens", "completion_tokens", "tokens_completion", "tokens_out", "tokens_output"),
    "cache_read_tokens": ("cache_read_tokens", "cached_tokens", "cache_read_input_tokens", "tokens_cached"),
    "cache_write_5m_tokens": ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens"),
    "reasoning_tokens": ("reasoning_tokens", "tokens_reasoning"),
    "reported_cost_usd": ("cost", "cost_usd", "total_cost", "cost_total", "spend", "amount_usd"),
    "duration_ms": ("duration_ms", "latency_ms", "latency", "generation_time_ms"),
    "time_to_first_token_ms": ("time_to_first_token_ms",),
    "user_id": ("user", "user_id", "end_user", "userid"),
    "session_id": ("session", "session_id", "conversation_id"),
    "team": ("team", "team_id"),
    "tenant": ("tenant", "customer", "customer_id", "tenant_id", "organization"),
    "feature": ("feature", "app", "app_name", "use_case"),
    "environment": ("environment", "env"),
    "response_id": ("request_id", "generation_id", "response_id", "id"),
    "requests": ("requests", "num_requests", "request_count", "calls", "api_requests"),
}
"""Our fields → names of columns that mean them, in lower case with `_` for what is between words."""

REQUESTS: Final = "requests"
MAPPABLE: Final = tuple(
    [field.name for field in FIELDS if field.kind in ("text", "timestamp", "count", "milliseconds", "money")]
    + [REQUESTS]
)
"""What `--map` can name."""

MOST_REPEATED: Final = 50_000
"""Rows that are remembered to tell equal ones apart."""

_REQUIRED: Final = ("started_at", "request_model")
_COUNTED: Final = ("input_tokens", "output_tokens", "reported_cost_usd")
_WORDS: Final = re.compile(r"[^a-z0-9]+")


class Generic:
    name = "generic"
    title = "table of calls"

    def recognises(self, values: Values) -> bool:
        columns = guessed(values)
        return all(name in columns for name in _REQUIRED) and any(name in columns for name in _COUNTED)

    def reader(self, options: Options) -> _Reader:
        return _Reader(options)


def checked_columns(mapped: Mapping[str, str]) -> dict[str, str]:
    """A map of columns whose fields there are. Raises UsageError."""
    columns: dict[str, str] = {}
    for name, column in mapped.items():
        field = _SHORT.get(name, name)
        if field not in MAPPABLE:
            raise UsageError(f"--map {name}=...: there is no field '{name}'", hint="fields: " + ", ".join(MAPPABLE))
        columns[field] = column
    return columns


_SHORT: Final = {
    "model": "request_model",
    "user": "user_id",
    "session": "session_id",
    "time": "started_at",
    "cost_usd": "reported_cost_usd",
}


def guessed(values: Values) -> dict[str, str]:
    """Field → column, for the columns whose names are understood."""
    plain: dict[str, str] = {}
    for column in values:
        plain.setdefault(_WORDS.sub("_", str(column).lower()).strip("_"), column)
    found = {}
    for field, names in GUESSES.items():
        named = next((plain[name] for name in (field, *names) if name in plain), None)
        if named is not None:
            found[field] = named
    return found


class _Reader:
    def __init__(self, options: Options) -> None:
        self._mapped = options.columns
        self._repeated: OrderedDict[tuple[Any, ...], int] = OrderedDict()

    def read(self, row: Row) -> Iterable[Outcome]:
        columns = {**guessed(row.values), **self._mapped}
        values = {field: row.values.get(column) for field, column in columns.items()}
        record = _record(values)
        if "input_tokens" not in record and "output_tokens" not in record and "reported_cost_usd" not in record:
            raise RowError("neither tokens nor cost")
        if not record.get("request_model") and not any(Decimal(record.get(name) or 0) for name in _COUNTED):
            raise Skipped("neither a model nor usage, as rows of tools have it")
        start_us = instant_us(values, "started_at")
        identity = text(values, "response_id")
        known_by = (identity,) if identity else self._told_apart(record)
        return (Draft(row.place, {"event_id": import_id(start_us, "generic", *known_by), **record}),)

    def finish(self) -> Iterable[Outcome]:
        return ()

    def _told_apart(self, record: Mapping[str, Any]) -> tuple[Any, ...]:
        content = tuple(sorted((name, _as_known(name, value)) for name, value in record.items()))
        number = self._repeated.pop(content, 0) + 1
        self._repeated[content] = number
        if len(self._repeated) > MOST_REPEATED:
            self._repeated.popitem(last=False)
        return (*content, number)


def _as_known(name: str, value: Any) -> str:
    """An amount is the same with fewer zeros at its end, as JSON has it."""
    return f"{Decimal(value).normalize():f}" if name == "reported_cost_usd" else str(value)


def _record(values: Values) -> dict[str, Any]:
    """The record without its id. Raises RowError."""
    record: dict[str, Any] = {"started_at": rfc3339(instant_us(values, "started_at")), "source": "import"}
    for field in FIELDS:
        if field.name in values and field.name not in record and first(values, field.name) is not None:
            record[field.name] = _read(field.kind, field.name, values)
    record["provider"] = provider_of(record.get("provider"), None, record.get("request_model"))
    requests = whole(values, REQUESTS)
    if requests is not None and requests != 1:
        record["units"], record["tags"] = {"requests": requests}, dict(USAGE)
    record.setdefault("status", "ok")
    return record


def _read(kind: str, name: str, values: Values) -> Any:
    if kind == "count" or name in TOKEN_CLASSES:
        return whole(values, name)
    if kind == "money":
        return str(usd(values, name))
    if kind == "milliseconds":
        return milliseconds(values, name)
    return text(values, name)
