"""What prompt caching did: what it saved, how often it hit, and what was written for nobody.

    caching({"from": "7d", "group_by": ["feature", "model"], "interval": "day"}, store, now_us)

Savings are sums of what was derived for each call at its own price: cached tokens x (input rate - read rate), less what
writing cost more than plain input. Providers do not say which call reads what another one wrote. So a write counts as
written off when no call with the same provider, model, tenant, feature and prompt version reads from a cache within
its lifetime: an hour where that was paid for, else five minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from taximeter.core.money import add, format_usd, parse_usd
from taximeter.reports import asking
from taximeter.store.events import EventStore, parse_query

DEFAULT_GROUPS: Final = ("feature", "model")
_KEYS: Final = (*asking.RANGE, "group_by", "interval")
_MEASURES: Final = (
    "cache_saving_usd",
    "cache_read_saving_usd",
    "cache_write_surcharge_usd",
    "cache_hit_rate",
    "cache_hit_calls_rate",
    "cache_hits",
    "calls",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
)
_COUNTS: Final = ("written_calls", "written_off_calls", "written_off_tokens")
ASSUMPTION: Final = (
    "a write is written off when no call with the same provider, model, tenant, feature and prompt version reads from "
    "a cache within its lifetime: an hour where that was paid for, else five minutes"
)


def caching(request: Mapping[str, Any], store: EventStore, now_us: int) -> dict[str, Any]:
    """`{"rows", "totals", "coverage", "assumptions"}`; rows by `group_by` (feature and model) and `interval`, with the
    measures and `written_calls`, `written_off_calls`, `written_off_tokens`, `written_off_usd`.

    Raises UsageError, StoreError.
    """
    asking.only(request, _KEYS)
    given = {name: request[name] for name in _KEYS if request.get(name) is not None}
    query = parse_query({"group_by": list(DEFAULT_GROUPS), **given, "measures": list(_MEASURES)}, now_us)
    answer = store.query(query)
    keys = ("time", *query.group_by) if query.interval is not None else query.group_by
    lost = {tuple(row[key] for key in keys): row for row in store.cache_write_offs(query)}
    rows = [{**row, **_written_off(lost.get(tuple(row[key] for key in keys)))} for row in answer.rows]
    return {
        "rows": rows,
        "totals": {**answer.totals, **_total(rows)},
        "coverage": answer.coverage,
        "assumptions": [ASSUMPTION],
    }


def _written_off(row: Mapping[str, Any] | None) -> dict[str, Any]:
    if row is None:
        return {**dict.fromkeys(_COUNTS, 0), "written_off_usd": "0"}
    return {**{name: row[name] for name in _COUNTS}, "written_off_usd": row["written_off_usd"] or "0"}


def _total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    counts = {name: sum(row[name] for row in rows) for name in _COUNTS}
    return {**counts, "written_off_usd": format_usd(add(*(parse_usd(row["written_off_usd"]) for row in rows)))}
