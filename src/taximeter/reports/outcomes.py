"""Unit economics: what outcomes are worth, against what the calls cost that were made for them.

Outcomes and calls meet in the dimensions that both have: the outcomes of a feature (user, tenant, ...) are set against
the cost of all calls of that feature in the same time. Which call led to which outcome is nowhere said, and not
guessed. So two names of outcomes in one group stand against the same cost each; the totals count it once.

For n outcomes, of which those with a value are worth v together, and a cost c: cost per outcome c / n, margin v - c,
margin share (v - c) / v.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Any, Final

from taximeter.core.attribution import DIMENSIONS
from taximeter.core.money import ZERO, add, exact, format_usd
from taximeter.core.outcome import OUTCOME
from taximeter.errors import UsageError
from taximeter.store.events import Answer, OutcomeQuery, Query, parse_query
from taximeter.store.events.vocabulary import TAG_PREFIX

if TYPE_CHECKING:
    from taximeter.reports.questions import Asked

SHARED: Final = (*DIMENSIONS, "api_key_id")
"""The dimensions, besides tags, that calls and outcomes have in common."""

_MEASURES: Final = ("cost_usd", "calls", "unpriced_calls")
_NO_CALLS: Final[Mapping[str, Any]] = {"cost_usd": "0", "calls": 0, "unpriced_calls": 0}
_DIVISION: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)

Row = dict[str, Any]
Key = tuple[Any, ...]


def unit_economics(store: Asked, asked: Mapping[str, Any], now_us: int) -> dict[str, Any]:
    """`{"rows", "totals", "coverage"}`: rows by `group_by` and outcome, the group that cost most first; a group without
    outcomes has one row with the outcome None. `outcome` may be filtered by too: its name, or several.

    Raises UsageError for a dimension that only calls have.
    """
    filters = dict(asked.get("filters") or {})
    wanted = _wanted(filters.pop(OUTCOME, ()))
    query = parse_query({**asked, "filters": filters, "measures": list(_MEASURES)}, now_us)
    _check_shared(query)
    reached = store.outcomes(
        OutcomeQuery(
            from_us=query.from_us, to_us=query.to_us, group_by=query.group_by, filters=query.filters, outcomes=wanted
        )
    )
    calls = store.query(query)
    totals = _figures(reached, calls.totals)
    coverage = {**calls.coverage, "unvalued_outcomes": totals["unvalued_outcomes"]}
    return {"rows": list(_rows(query, reached, calls)), "totals": totals, "coverage": coverage}


def _wanted(given: Any) -> tuple[str, ...]:
    """The names of a filter on `outcome`."""
    listed = given.get("in") if isinstance(given, Mapping) and given.keys() == {"in"} else given
    names = [listed] if isinstance(listed, str) else listed
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise UsageError("outcome is filtered by its name, or by several", field="filters.outcome")
    return tuple(names)


def _check_shared(query: Query) -> None:
    asked = [("group_by", name) for name in query.group_by] + [("filters", one.field) for one in query.filters]
    for field, name in asked:
        if name not in SHARED and not name.startswith(TAG_PREFIX):
            allowed = [*SHARED, f"{TAG_PREFIX}NAME"]
            raise UsageError(
                f"outcomes have no {name}", hint="allowed: " + ", ".join(allowed), field=field, allowed=allowed
            )


def _rows(query: Query, reached: Sequence[Row], calls: Answer) -> Iterator[Row]:
    by_group: dict[Key, list[Row]] = {_key(query, row): [] for row in calls.rows}
    for row in sorted(reached, key=lambda row: (repr(_key(query, row)), row[OUTCOME])):
        by_group.setdefault(_key(query, row), []).append(row)
    spent = {_key(query, row): row for row in calls.rows}
    for key, outcomes in by_group.items():
        group = dict(zip(query.group_by, key, strict=True))
        for name, some in [(row[OUTCOME], [row]) for row in outcomes] or [(None, [])]:
            yield {**group, OUTCOME: name, **_figures(some, spent.get(key, _NO_CALLS))}


def _key(query: Query, row: Mapping[str, Any]) -> Key:
    return tuple(row[name] for name in query.group_by)


def _figures(reached: Iterable[Row], spent: Mapping[str, Any]) -> Row:
    """Of outcomes and the calls that they are set against."""
    reached, spent = list(reached), spent if spent["calls"] else _NO_CALLS
    outcomes, valued = (sum(row[name] for row in reached) for name in ("outcomes", "valued_outcomes"))
    value = add(*(row["value_usd"] for row in reached if row["valued_outcomes"])) if valued or not outcomes else None
    cost = None if spent["cost_usd"] is None else Decimal(spent["cost_usd"])
    margin = None if value is None or cost is None else add(value, -cost)
    return {
        "outcomes": outcomes,
        "value_usd": _text(value),
        **{name: spent[name] for name in _MEASURES},
        "cost_per_outcome_usd": _text(_quotient(cost, Decimal(outcomes))),
        "margin_usd": _text(margin),
        "margin_share": _share(margin, value),
        "unvalued_outcomes": outcomes - valued,
    }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else format_usd(amount)


def _quotient(cost: Decimal | None, outcomes: Decimal) -> Decimal | None:
    """USD to 12 digits."""
    return None if cost is None or not outcomes else exact(_DIVISION.divide(cost, outcomes))


def _share(margin: Decimal | None, value: Decimal | None) -> float | None:
    """Nothing that is worth nothing, or was taken back, has one."""
    return None if margin is None or value is None or value <= ZERO else float(_DIVISION.divide(margin, value))
