"""A query asked of an engine: its statements in order, and their findings made into one answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from taximeter.store.events import statements
from taximeter.store.events.answers import Folding, Found
from taximeter.store.events.query import Answer, Compared, Query
from taximeter.store.events.rollups import Standing
from taximeter.store.events.slots import Statement

Run = Callable[[Statement], list[Found]]
"""Runs a statement, always on the same snapshot."""


def ask(query: Query, run: Run, standing: Standing | None) -> Answer:
    """The answer; without `standing`, from events alone. Raises UsageError when it has too many rows."""
    folding = Folding(query, run(statements.groups(query, standing)))
    answer = _answered(folding, run)
    if query.compare is None:
        return answer
    then = replace(query, from_us=query.compare.from_us, to_us=query.compare.to_us, compare=None)
    first = None if query.limit is None or not query.group_by else folding.first_keys
    compared = _answered(Folding(then, run(statements.groups(then, standing, first))), run)
    return replace(answer, comparison=Compared(query.compare, compared))


def _answered(folding: Folding, run: Run) -> Answer:
    query, parts = folding.query, folding.whole_parts
    if not parts:
        return folding.answer((), {})
    rest = run(statements.rest(query, parts, folding.first_keys)) if folding.folded else ()
    return folding.answer(rest, run(statements.whole(query, parts))[0])
