"""A query asked of an engine: its statements in order, and their findings made into one answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from taximeter.store.events import statements
from taximeter.store.events.answers import Folding, Found
from taximeter.store.events.query import TIME, Answer, Compared, Query
from taximeter.store.events.rollups import Standing, plan
from taximeter.store.events.slots import Statement
from taximeter.store.events.statements import parts_of, ranking_of
from taximeter.store.events.vocabulary import MEASURES

Run = Callable[[Statement], list[Found]]
"""Runs a statement, always on the same snapshot."""


def ask(query: Query, run: Run, standing: Standing | None) -> Answer:
    """The answer; without `standing`, from events alone. Raises UsageError when it has too many rows."""
    folding = _folding(query, run, standing)
    answer = _answered(folding, run)
    if query.compare is None:
        return answer
    then = replace(query, from_us=query.compare.from_us, to_us=query.compare.to_us, compare=None)
    first = None if query.limit is None or not query.group_by else folding.first_keys
    compared = _answered(_folding(then, run, standing, first), run)
    return replace(answer, comparison=Compared(query.compare, compared))


def _folding(
    query: Query, run: Run, standing: Standing | None, first: list[tuple[object, ...]] | None = None
) -> Folding:
    """What adds up comes from roll-ups where they can say it: then the events are read for the rest alone, and of the
    groups that are shown alone."""
    sums = None if standing is None else _sums_of(query, standing)
    if sums is None:
        return Folding(query, run(statements.groups(query, standing, first)))
    found = Folding(query, run(statements.groups(sums, standing, first)))
    shown = found.first_keys if found.folded else None
    return found.with_whole_parts(run(statements.shown(query, found.whole_parts, shown)))


def _sums_of(query: Query, standing: Standing) -> Query | None:
    """The question for the measures that add up, of one that asks for others too; None when roll-ups do not answer it,
    or its groups rank by what does not add up."""
    adding = tuple(name for name in query.measures if _adds_up(name))
    if len(adding) == len(query.measures) or not standing.has_events([(query.from_us, query.to_us)]):
        return None
    if query.group_by and not _adds_up(ranking_of(query).name):
        return None
    order = query.order_by if query.group_by or (query.order_by and query.order_by.name == TIME) else None
    sums = replace(query, measures=adding or ("calls",), order_by=order)
    return None if plan(sums, parts_of(sums), standing) is None else sums


def _adds_up(name: str) -> bool:
    """Whether a measure does; a dimension is in the way of nothing."""
    return name not in MEASURES or all(part.kind == "sum" for part in MEASURES[name].parts)


def _answered(folding: Folding, run: Run) -> Answer:
    query, parts = folding.query, folding.whole_parts
    if not parts:
        return folding.answer((), {})
    if not query.group_by and query.interval is None and folding.found:  # the only row is the whole
        return folding.answer((), {part.name: folding.found[0][part.name] for part in parts})
    rest = run(statements.rest(query, parts, folding.first_keys)) if folding.folded else ()
    whole = run(statements.whole(query, parts))[0] if query.whole_totals else {}
    return folding.answer(rest, whole)
