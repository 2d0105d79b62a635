"""A query asked of an engine: its statements in order, and their findings made into one answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from taximeter.store.events import percentiles, statements
from taximeter.store.events.answers import Folding, Found
from taximeter.store.events.durations import Timing
from taximeter.store.events.query import Answer, Compared, Query
from taximeter.store.events.rollups import Standing, plan, plan_of_timing
from taximeter.store.events.slots import Statement
from taximeter.store.events.statements import BUCKET, key_name, parts_of, ranking_of
from taximeter.store.events.vocabulary import MEASURES, Part

Run = Callable[[Statement], list[Found]]
"""Runs a statement, always on the same snapshot."""


def ask(query: Query, run: Run, standing: Standing | None) -> Answer:
    """The answer; without `standing`, from events alone. Raises UsageError when it has too many rows."""
    folding = _folding(query, run, standing)
    answer = _answered(folding, run, standing)
    if query.compare is None:
        return answer
    then = replace(query, from_us=query.compare.from_us, to_us=query.compare.to_us, compare=None)
    first = None if query.limit is None or not query.group_by else folding.first_keys
    compared = _answered(_folding(then, run, standing, first), run, standing)
    return replace(answer, comparison=Compared(query.compare, compared))


def _folding(
    query: Query, run: Run, standing: Standing | None, first: list[tuple[object, ...]] | None = None
) -> Folding:
    """What adds up comes from roll-ups where they can say it: then the rest is asked alone, and of the groups that are
    shown alone."""
    sums = None if standing is None else _sums_of(query, standing)
    if sums is None:
        return Folding(query, run(statements.groups(query, standing, first)))
    found = Folding(query, run(statements.groups(sums, standing, first)))
    shown = found.first_keys if found.folded else None
    return found.with_whole_parts(_Wholes(query, run, standing).shown(found.whole_parts, shown))


def _sums_of(query: Query, standing: Standing) -> Query | None:
    """The question for the measures that add up, of one that asks for others too; None when roll-ups do not answer it,
    or its groups rank by what does not add up."""
    adding = tuple(name for name in query.measures if _adds_up(name))
    if len(adding) == len(query.measures) or not _can_say_the_rest(query, standing):
        return None
    if query.group_by and not _adds_up(ranking_of(query).name):
        return None
    order = query.order_by if query.order_by is not None and _adds_up(query.order_by.name) else None
    sums = replace(query, measures=adding or ("calls",), order_by=order)
    return None if plan(sums, parts_of(sums), standing) is None else sums


def _can_say_the_rest(query: Query, standing: Standing) -> bool:
    """Whether what does not add up is known, from the events or from roll-ups."""
    if standing.has_events([(query.from_us, query.to_us)]):
        return True
    whole = tuple(part for part in parts_of(query) if part.kind == "whole")
    timings = percentiles.timings_of(whole)
    said = all(plan_of_timing(query, timing, standing) is not None for timing in timings)
    return said and len(whole) == sum(map(len, timings.values()))


def _adds_up(name: str) -> bool:
    """Whether a measure does; a dimension is in the way of nothing."""
    return name not in MEASURES or all(part.kind == "sum" for part in MEASURES[name].parts)


def _answered(folding: Folding, run: Run, standing: Standing | None) -> Answer:
    query, parts = folding.query, folding.whole_parts
    if not parts:
        return folding.answer((), {})
    if not query.group_by and query.interval is None and folding.found:  # the only row is the whole
        return folding.answer((), {part.name: folding.found[0][part.name] for part in parts})
    wholes = _Wholes(query, run, standing)
    rest = wholes.rest(parts, folding.first_keys) if folding.folded else ()
    whole = wholes.whole(parts) if query.whole_totals else {}
    return folding.answer(rest, whole)


Build = Callable[[Timing, tuple[Part, ...], Standing], Statement | None]


@dataclass(frozen=True, slots=True)
class _Wholes:
    """What does not add up: percentiles from roll-ups where those say them, all else from the events."""

    query: Query
    run: Run
    standing: Standing | None

    def shown(self, parts: tuple[Part, ...], first: list[tuple[object, ...]] | None) -> list[Found]:
        rolled, left = self._rolled(
            parts, lambda timing, some, now: percentiles.shown(self.query, timing, some, now, first)
        )
        return self._by_group([*rolled, *(self.run(statements.shown(self.query, left, first)) if left else ())])

    def rest(self, parts: tuple[Part, ...], first: list[tuple[object, ...]]) -> list[Found]:
        rolled, left = self._rolled(
            parts, lambda timing, some, now: percentiles.rest(self.query, timing, some, now, first)
        )
        unknown = {part.name: None for part in parts}
        found = [*rolled, *(self.run(statements.rest(self.query, left, first)) if left else ())]
        return [{**unknown, **row} for row in self._by_group(found)]

    def whole(self, parts: tuple[Part, ...]) -> Found:
        rolled, left = self._rolled(parts, lambda timing, some, now: percentiles.whole(self.query, timing, some, now))
        found = [*rolled, *(self.run(statements.whole(self.query, left)) if left else ())]
        return {name: value for row in found for name, value in row.items()}

    def _rolled(self, parts: tuple[Part, ...], build: Build) -> tuple[list[Found], tuple[Part, ...]]:
        """What roll-ups say of these parts, and those that they do not."""
        if self.standing is None:
            return [], parts
        found: list[Found] = []
        left = parts
        for timing, some in percentiles.timings_of(parts).items():
            statement = build(timing, some, self.standing)
            if statement is not None:
                found += self.run(statement)
                left = tuple(part for part in left if part not in some)
        return found, left

    def _by_group(self, found: list[Found]) -> list[Found]:
        """One row for each group, of rows that say different things about the same ones."""
        names = [*(key_name(index) for index in range(len(self.query.group_by))), BUCKET]
        together: dict[tuple[object, ...], Found] = {}
        for row in found:
            together.setdefault(tuple(row.get(name) for name in names), {}).update(row)
        return list(together.values())
