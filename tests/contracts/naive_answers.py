"""What the answer has to be, worked out in plain Python over all records, without SQL and without cleverness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fnmatch import fnmatchcase
from fractions import Fraction
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from taximeter.clock import rfc3339, to_datetime, to_unix_us
from taximeter.core.money import format_usd
from taximeter.core.usage import TOKEN_CLASSES
from taximeter.store.events.bins import bin_of, middle_ms
from taximeter.store.events.families import families
from taximeter.store.events.filters import Condition
from taximeter.store.events.query import EventQuery, Query
from taximeter.store.events.vocabulary import COST_MEASURES

Record = dict[str, Any]


def started_us(record: Record) -> int:
    return to_unix_us(datetime.fromisoformat(record["started_at"]))


def value_of(record: Record, field: str) -> Any:
    if field == "model":
        answered = record.get("response_model")
        return record.get("request_model") if answered is None else answered
    if field == "model_family":
        return family_of(value_of(record, "model"))
    if field.startswith("tags."):
        return record.get("tags", {}).get(field.removeprefix("tags."))
    if field == "usage_estimated":
        return record.get(field, False)
    value = record.get(field)
    return Decimal(value) if field == "cost_usd" and value is not None else value


def family_of(model: str | None) -> str | None:
    if model is None:
        return None
    for family in families():
        if any(fnmatchcase(model.lower(), pattern) for pattern in family.patterns):
            return family.name
    return model


def meets(record: Record, condition: Condition) -> bool:
    value, wanted = value_of(record, condition.field), condition.values[0] if condition.values else None
    if condition.operator == "in":
        return value in condition.values
    if condition.operator == "not":
        return value not in condition.values
    if condition.operator == "exists":
        return (value is not None) == wanted
    if condition.operator == "not_contains":
        return value is None or str(wanted) not in value
    if value is None:
        return False
    tests: dict[str, Callable[[], bool]] = {
        "contains": lambda: str(wanted) in value,
        ">": lambda: value > wanted,
        ">=": lambda: value >= wanted,
        "<": lambda: value < wanted,
        "<=": lambda: value <= wanted,
    }
    return tests[condition.operator]()


# --- measures ------------------------------------------------------------------------------------------------------


def cost_is_known(records: Sequence[Record]) -> bool:
    """Free calls alone say nothing of those whose price is missing."""
    costs = [record.get("cost_usd") for record in records]
    return None not in costs or any(cost is not None and Decimal(cost) != 0 for cost in costs)


def money(records: Sequence[Record], read: Callable[[Record], str | None]) -> str | None:
    if not cost_is_known(records):
        return None
    known = [Decimal(amount) for record in records if (amount := read(record)) is not None]
    return format_usd(sum(known, Decimal(0))) if known else None


def tokens(records: Sequence[Record], *names: str) -> int:
    return sum(record.get(name) or 0 for record in records for name in names)


def nearest_rank(records: Sequence[Record], field: str, percent: int) -> float | None:
    values = sorted(record[field] for record in records if field in record)
    return told(values[ceil(Fraction(percent, 100) * len(values)) - 1]) if values else None


def told(took_ms: float) -> float:
    """A time by its bin, which `tests/store/test_bins.py` holds to be near enough."""
    return middle_ms(bin_of(took_ms))


def per_call(records: Sequence[Record]) -> str | None:
    priced = [record for record in records if "cost_usd" in record]
    if not priced or not cost_is_known(records):
        return None
    with localcontext(prec=60, rounding=ROUND_HALF_EVEN):
        cost = sum((Decimal(record["cost_usd"]) for record in priced), Decimal(0))
        return format_usd((cost / len(priced)).quantize(Decimal("1e-12")))


def per_thousand_output_tokens(records: Sequence[Record]) -> str | None:
    priced = [record for record in records if "cost_usd" in record]
    written = tokens(priced, "output_tokens")
    if not written or not cost_is_known(records):
        return None
    with localcontext(prec=60, rounding=ROUND_HALF_EVEN):
        cost = sum((Decimal(record["cost_usd"]) for record in priced), Decimal(0))
        return format_usd((cost * 1000 / written).quantize(Decimal("1e-12")))


def share_of_cost(records: Sequence[Record], read: Callable[[Record], Decimal]) -> float | None:
    """`read` says how much of a priced call's cost is meant."""
    priced = [record for record in records if "cost_usd" in record]
    with localcontext(prec=60, rounding=ROUND_HALF_EVEN):
        cost = sum((Decimal(record["cost_usd"]) for record in priced), Decimal(0))
        return float(sum((read(record) for record in priced), Decimal(0)) / cost) if cost else None


def cost_of_input(record: Record) -> Decimal:
    return sum((Decimal(record["cost"][part]) for part in ("input", "cache_read", "cache_write")), Decimal(0))


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def knowing(records: Sequence[Record], field: str) -> int:
    return sum(1 for record in records if field in record)


def cost_where(test: Callable[[Record], bool]) -> Callable[[Sequence[Record]], str | None]:
    return lambda records: money(records, lambda record: record.get("cost_usd") if test(record) else None)


def is_retry(record: Record) -> bool:
    return bool(record["attempt"] > 1)


def has_failed(record: Record) -> bool:
    return record["status"] in ("error", "interrupted")


def measured(name: str, records: Sequence[Record]) -> Any:
    if name in COST_MEASURES:
        component = COST_MEASURES[name]
        return money(records, lambda record: record.get("cost", {}).get(component))
    if name in ("cache_read_saving_usd", "cache_write_surcharge_usd"):
        return money(records, lambda record: record.get(name))
    if name in TOKEN_CLASSES:
        return tokens(records, name)
    if "_ms_p" in name:
        field, percent = name.rsplit("_p", 1)
        return nearest_rank(records, field.replace("latency_ms", "duration_ms"), int(percent))
    return PLAIN[name](records)


def cache_saving(record: Record) -> str | None:
    saved, surcharge = record.get("cache_read_saving_usd"), record.get("cache_write_surcharge_usd")
    return None if saved is None or surcharge is None else format_usd(Decimal(saved) - Decimal(surcharge))


def call_hit_rate(records: Sequence[Record]) -> float | None:
    read = [record for record in records if record.get("input_tokens")]
    return sum(1 for r in records if r.get("cache_read_tokens")) / len(read) if read else None


def moment(records: Sequence[Record], chosen: Callable[[list[int]], int]) -> str | None:
    return rfc3339(chosen([started_us(record) for record in records])) if records else None


def counting(test: Callable[[Record], bool]) -> Callable[[Sequence[Record]], int]:
    return lambda records: sum(1 for record in records if test(record))


PLAIN: dict[str, Callable[[Sequence[Record]], Any]] = {
    "calls": len,
    "cost_usd": lambda records: money(records, lambda record: record.get("cost_usd")),
    "total_tokens": lambda records: tokens(records, "input_tokens", "output_tokens"),
    "errors": counting(lambda record: record["status"] == "error"),
    "refused": counting(lambda record: record["status"] == "refused"),
    "cached_calls": counting(lambda record: record["status"] == "cached"),
    "retries": counting(is_retry),
    "failed_calls": counting(has_failed),
    "cancelled_calls": counting(lambda record: record["status"] == "cancelled"),
    "retry_cost_usd": cost_where(is_retry),
    "failed_cost_usd": cost_where(has_failed),
    "cancelled_cost_usd": cost_where(lambda record: record["status"] == "cancelled"),
    "cost_per_1000_output_tokens_usd": per_thousand_output_tokens,
    "input_cost_share": lambda records: share_of_cost(records, cost_of_input),
    "retry_cost_share": lambda records: share_of_cost(
        records, lambda record: Decimal(record["cost_usd"]) if is_retry(record) else Decimal(0)
    ),
    "error_rate": lambda records: share(sum(record["status"] == "error" for record in records), len(records)),
    "retry_rate": lambda records: share(sum(map(is_retry, records)), len(records)),
    "input_tokens_per_call": lambda records: share(tokens(records, "input_tokens"), knowing(records, "input_tokens")),
    "output_tokens_per_call": lambda records: share(
        tokens(records, "output_tokens"), knowing(records, "output_tokens")
    ),
    "unpriced_calls": counting(lambda record: "cost_usd" not in record),
    "unpriced_tokens": lambda records: tokens(
        [record for record in records if "cost_usd" not in record], "input_tokens", "output_tokens"
    ),
    "cache_hits": counting(lambda record: bool(record.get("cache_read_tokens"))),
    "cache_hit_calls_rate": call_hit_rate,
    "cache_saving_usd": lambda records: money(records, cache_saving),
    "first_seen": lambda records: moment(records, min),
    "last_seen": lambda records: moment(records, max),
    "estimated_calls": counting(lambda record: record.get("usage_estimated", False)),
    "late_calls": counting(
        lambda record: to_unix_us(datetime.fromisoformat(record["ingested_at"])) > started_us(record) + 300_000_000
    ),
    "users": lambda records: len({record["user_id"] for record in records if "user_id" in record}),
    "cost_per_call": per_call,
    "cache_hit_rate": lambda records: share(tokens(records, "cache_read_tokens"), tokens(records, "input_tokens")),
}


# --- buckets -------------------------------------------------------------------------------------------------------


def bucket_start(record: Record, query: Query) -> datetime:
    zone = ZoneInfo(query.timezone)
    local = to_datetime(started_us(record)).astimezone(zone)
    if query.interval in ("minute", "hour"):
        return _start_of_hour(local, zone, minutes=query.interval == "hour")
    day = local.date()
    if query.interval == "week":
        day -= timedelta(days=day.weekday())
    if query.interval in ("month", "quarter", "year"):
        day = day.replace(day=1)
    months = {"quarter": 3, "year": 12}.get(query.interval or "", 1)
    while (day.month - query.fiscal_start_month) % months:
        day = (day - timedelta(days=1)).replace(day=1)
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _start_of_hour(local: datetime, zone: ZoneInfo, *, minutes: bool) -> datetime:
    into = timedelta(minutes=local.minute if minutes else 0, seconds=local.second, microseconds=local.microsecond)
    start = local.astimezone(UTC) - into
    while start.astimezone(zone).utcoffset() != local.utcoffset():
        start += timedelta(minutes=1)
    return start


def bucket_text(start: datetime, query: Query) -> str:
    text = start.astimezone(ZoneInfo(query.timezone)).isoformat()
    return text.replace("+00:00", "Z") if query.timezone == "UTC" else text


# --- answers -------------------------------------------------------------------------------------------------------

Keys = tuple[Any, ...]
COVERED = ("unpriced_calls", "unpriced_tokens", "estimated_calls", "late_calls")


def selected(records: Sequence[Record], query: Query | EventQuery) -> list[Record]:
    from_us, to_us = query.from_us or 0, query.to_us or 10**18
    inside = [record for record in records if from_us <= started_us(record) < to_us]
    return [record for record in inside if all(meets(record, condition) for condition in query.filters)]


def keys_of(record: Record, query: Query) -> Keys:
    return tuple(value_of(record, field) for field in query.group_by)


def last_when_none(values: Sequence[Any]) -> list[Any]:
    return [(value is None, "" if value is None else value) for value in values]


def ranked_groups(records: Sequence[Record], query: Query) -> list[Keys]:
    groups = sorted({keys_of(record, query) for record in records}, key=last_when_none)
    order = query.order_by
    if order is None or order.name == "time":
        return _by_weight(groups, lambda keys: _weight(records, query, keys, query.measures[0]), descending=True)
    if order.name in query.group_by:
        index = query.group_by.index(order.name)
        return _by_weight(groups, lambda keys: keys[index], descending=order.descending)
    return _by_weight(groups, lambda keys: _weight(records, query, keys, order.name), descending=order.descending)


def _by_weight(groups: list[Keys], weight: Callable[[Keys], Any], *, descending: bool) -> list[Keys]:
    weighed = [keys for keys in groups if weight(keys) is not None]
    return sorted(weighed, key=weight, reverse=descending) + [keys for keys in groups if weight(keys) is None]


def _counts_for(measure: str, record: Record) -> bool:
    """Whether a call says anything of how many tokens there were."""
    if measure == "unpriced_tokens":
        return "cost_usd" not in record
    return measure not in TOKEN_CLASSES or measure in record


def _weight(records: Sequence[Record], query: Query, keys: Keys, measure: str) -> Any:
    group = [record for record in records if keys_of(record, query) == keys]
    value = measured(measure, group)
    counting = [record for record in group if _counts_for(measure, record)]
    if not counting:
        return None  # nothing counted ranks behind none counted
    return Decimal(value) if isinstance(value, str) else value


def answer(records: Sequence[Record], query: Query) -> dict[str, Any]:
    groups = ranked_groups(selected(records, query), query)
    if not query.group_by and query.interval is None:
        groups = [()]
    first = groups
    if query.limit is not None and query.group_by:
        first = groups[query.offset : query.offset + query.limit]
    now = _answer(records, query, first)
    if query.limit is not None:
        now["groups"] = len(groups)
    if query.compare is None:
        return now
    then = replace(query, from_us=query.compare.from_us, to_us=query.compare.to_us)
    if query.limit is None or not query.group_by:
        first = ranked_groups(selected(records, then), then) if query.group_by or query.interval else [()]
    bounds = {"from": rfc3339(then.from_us), "to": rfc3339(then.to_us)}
    return {**now, "comparison": {**bounds, **_answer(records, then, first)}}


def answer_alone(records: Sequence[Record], query: Query) -> list[dict[str, Any]]:
    rows = []
    for name in query.group_by:
        of_one = replace(query, group_by=(name,))
        chosen = selected(records, query)
        shown = [value for (value,) in ranked_groups(chosen, of_one)[: query.limit]]
        models = {(value_of(record, name), value_of(record, "model")) for record in chosen}
        for value, model in models:
            members = [r for r in chosen if (value_of(r, name), value_of(r, "model")) == (value, model)]
            if value in shown:
                rows.append({"dimension": name, "value": value, "model": model, **_row(members, query)})
        if others := [record for record in chosen if value_of(record, name) not in shown]:
            rows.append({"dimension": name, "value": None, "model": None, **_row(others, query), "other": True})
    return rows


def costliest(records: Sequence[Record], query: Query) -> set[tuple[str | None, Decimal | None, Decimal | None]]:
    assert query.compare is not None
    then = replace(query, from_us=query.compare.from_us, to_us=query.compare.to_us)
    before, after = (_costs(selected(records, side), *query.group_by) for side in (then, query))
    shown = {*before, *after} if query.limit is None else {*_first(before, query.limit), *_first(after, query.limit)}
    return {(value, before.get(value), after.get(value)) for value in shown}


def _first(costs: Mapping[str | None, Decimal | None], limit: int) -> list[str | None]:
    known = [(-cost, value is None, value or "", value) for value, cost in costs.items() if cost is not None]
    return [value for *_, value in sorted(known, key=lambda one: one[:3])[:limit]]


def _costs(records: Sequence[Record], name: str) -> dict[str | None, Decimal | None]:
    known: dict[str | None, list[Decimal]] = {value_of(record, name): [] for record in records}
    for record in records:
        if "cost_usd" in record:
            known[value_of(record, name)].append(Decimal(record["cost_usd"]))
    return {value: sum(costs, Decimal(0)) if costs else None for value, costs in known.items()}


def _answer(records: Sequence[Record], query: Query, first: Sequence[Keys]) -> dict[str, Any]:
    chosen = selected(records, query)
    buckets = sorted({bucket_start(record, query) for record in chosen}) if query.interval else [None]
    if query.order_by is not None and query.order_by.name == "time" and query.order_by.descending:
        buckets.reverse()
    rows = []
    for bucket in buckets:
        here = [record for record in chosen if bucket is None or bucket_start(record, query) == bucket]
        start = {} if bucket is None else {"time": bucket_text(bucket, query)}
        for keys in first:
            members = [record for record in here if keys_of(record, query) == keys]
            if members or not (query.group_by or query.interval):
                rows.append({**start, **dict(zip(query.group_by, keys, strict=True)), **_row(members, query)})
        others = [record for record in here if keys_of(record, query) not in first]
        if others:
            rows.append({**start, **dict.fromkeys(query.group_by), **_row(others, query), "other": True})
    coverage = {name: PLAIN[name](chosen) for name in COVERED}
    return {"rows": rows, "totals": _totals(chosen, query), "coverage": coverage}


def _totals(records: Sequence[Record], query: Query) -> dict[str, Any]:
    """Without `whole_totals` what does not add up has none, unless there is but one row."""
    is_whole = query.whole_totals or not (query.group_by or query.interval)
    unknown = [] if is_whole else [name for name in query.measures if "_ms_p" in name or name in NOT_SUMMED]
    return {**_row(records, query), **dict.fromkeys(unknown)}


NOT_SUMMED = ("users", "first_seen", "last_seen")


def _row(records: Sequence[Record], query: Query) -> dict[str, Any]:
    return {name: measured(name, records) for name in query.measures}


def newest_first(records: Sequence[Record], query: EventQuery) -> list[str]:
    chosen = sorted(selected(records, query), key=lambda record: (started_us(record), record["event_id"]))
    return [record["event_id"] for record in reversed(chosen)]
