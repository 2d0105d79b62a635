"""What the store says was spent of each limit: what counters begin with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any, Final

from taximeter.clock import rfc3339
from taximeter.config.limits import Limit
from taximeter.limits.amounts import Amounts, nano_usd
from taximeter.limits.counters import Bucket, Claim
from taximeter.limits.rules import bucket_of, value_of
from taximeter.limits.window import SLICES, Span, reach_of, span_at, step_of
from taximeter.store.events import EventStore, parse_query

ROLLING_QUESTIONS: Final = 6
"""A rolling window is asked for in parts of a sixth; each is booked at its end: it leaves late rather than early."""

MOST_OWNERS_AT_ONCE: Final = 20_000
"""Values of `each` that are asked for in one question: an answer has 50,000 rows at most."""

EPOCH_OF_EVENTS_US: Final = 1_262_304_000_000_000
"""2010: no event is older, and lifetimes are asked for from here."""

_MEASURES: Final = ("cost_usd", "input_tokens", "output_tokens", "calls")

_NOT_SPENT: Final = ("cached", "refused")
"""What was given again from a cache has tokens that were spent once."""
_STORED_AS: Final = {"model": "request_model"}


def spent_of(limit: Limit, store: EventStore, now_us: int) -> list[tuple[str, Claim]]:
    """What was spent of a limit in its window, by each value, as far as the store knows. Raises StoreError."""
    if limit.measure == "concurrent":
        return []
    found = []
    for part in parts_of(limit, now_us):
        for row in _rows(limit, part, store, now_us):
            value = value_of(limit, {**_everything(limit), **_subject(row, limit)})
            if value is not None:
                bucket = bucket_of_part(limit, value, part, now_us)
                found.append((value, Claim(bucket, _amounts(row).of(limit.measure))))
    return [one for one in found if one[1].amount]


def parts_of(limit: Limit, now_us: int) -> list[Span]:
    """The window up to now, as it is asked for. A part of a rolling one begins where it did when it was asked for
    last: what was found missing then is in it again."""
    reach_us = max(reach_of(limit.window, span_at(limit.window, now_us)), EPOCH_OF_EVENTS_US)
    if limit.window.kind != "rolling":
        return [Span(reach_us, now_us + 1)]
    part_us = step_of(limit.window) * (SLICES // ROLLING_QUESTIONS)
    starts_us = range(reach_us // part_us * part_us, now_us + 1, part_us)
    return [Span(max(start_us, reach_us), min(start_us + part_us, now_us + 1)) for start_us in starts_us]


def bucket_of_part(limit: Limit, value: str, part: Span, now_us: int) -> Bucket:
    """Where a part is booked: at its end, for as much as all of it lacks."""
    bucket = bucket_of(limit, value, span_at(limit.window, part.end_us - 1), now_us)
    return bucket if bucket.step_us is None else replace(bucket, reach_us=part.start_us)


def _rows(limit: Limit, span: Span, store: EventStore, now_us: int) -> Iterator[Mapping[str, Any]]:
    """The answer, in as many parts as it takes: there may be more owners than the rows of one."""
    question: dict[str, Any] = {
        "measures": list(_MEASURES),
        "group_by": [_STORED_AS.get(name, name) for name in limit.each],
        "filters": {"status": {"not": list(_NOT_SPENT)}, **_where(limit)},
        "from": rfc3339(span.start_us),
        "to": rfc3339(span.end_us),
    }
    if not limit.each:
        yield from store.query(parse_query(question, now_us)).rows
        return
    question |= {"limit": MOST_OWNERS_AT_ONCE, "order_by": f"{question['group_by'][0]} asc"}
    for offset in count(0, MOST_OWNERS_AT_ONCE):
        answer = store.query(parse_query({**question, "offset": offset}, now_us))
        yield from (row for row in answer.rows if "other" not in row)
        if offset + MOST_OWNERS_AT_ONCE >= (answer.groups or 0):
            return


def _where(limit: Limit) -> dict[str, Any]:
    return {_STORED_AS.get(name, name): {"in": sorted(values)} for name, values in limit.where}


def _everything(limit: Limit) -> dict[str, str]:
    """What every row is, because it was asked for so."""
    return {name: next(iter(values)) for name, values in limit.where}


def _subject(row: Mapping[str, Any], limit: Limit) -> dict[str, str]:
    named = {name: row.get(_STORED_AS.get(name, name)) for name in limit.each}
    return {name: str(value) for name, value in named.items() if value is not None}


def _amounts(row: Mapping[str, Any]) -> Amounts:
    cost = row["cost_usd"]
    return Amounts(nano_usd(Decimal(cost)) if cost else 0, row["input_tokens"], row["output_tokens"], row["calls"])
