"""From what an engine answered to the answer: money as text, totals as the sums of the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from taximeter.core.money import format_usd
from taximeter.core.outcome import OUTCOME
from taximeter.errors import UsageError
from taximeter.store.events.buckets import start_text
from taximeter.store.events.durations import COUNTED
from taximeter.store.events.query import MOST_ROWS, TIME, Answer, OutcomeQuery, Query
from taximeter.store.events.statements import BUCKET, PLACE, RANK, key_name, parts_of
from taximeter.store.events.vocabulary import COVERAGE, FILTERABLE, MEASURES, Part

Found = dict[str, Any]
"""One row as the engine answered it, by the column names of `statements`."""


@dataclass(frozen=True, slots=True)
class Folding:
    """What the first statement found, and what is still to be asked."""

    query: Query
    found: Sequence[Found]

    @property
    def whole_parts(self) -> tuple[Part, ...]:
        """Parts that do not add up and have to be asked again for the folded rest and the total."""
        wanted = (part for name in self.query.measures for part in MEASURES[name].parts)
        return tuple(part for part in dict.fromkeys(wanted) if part.kind == "whole")

    @property
    def folded(self) -> bool:
        return any(self._is_rest(row) for row in self.found)

    @property
    def first_keys(self) -> list[tuple[Any, ...]]:
        """The keys of the groups that were not folded, the first place first."""
        keys = [key_name(index) for index in range(len(self.query.group_by))]
        first = sorted((row for row in self.found if not self._is_rest(row)), key=lambda row: row[PLACE])
        return list(dict.fromkeys(tuple(row[key] for key in keys) for row in first))

    def with_whole_parts(self, shown: Iterable[Found]) -> Folding:
        """With the parts that do not add up, found by group and bucket; the folded rest is still to be asked."""
        unknown = {part.name: None for part in self.whole_parts}
        by_group = {self._group(row): row for row in shown}
        found = [
            row if self._is_rest(row) else {**row, **unknown, **by_group.get(self._group(row), {})}
            for row in self.found
        ]
        return replace(self, found=found)

    def _group(self, row: Found) -> tuple[Any, ...]:
        return (*(row[key_name(index)] for index in range(len(self.query.group_by))), row.get(BUCKET))

    def answer(self, rest: Iterable[Found], whole: Found) -> Answer:
        """`rest` holds the whole parts of the folded groups by bucket, `whole` those of all calls; what was not asked
        is unknown.

        Raises UsageError when there are more than `MOST_ROWS` rows.
        """
        if len(self.found) > MOST_ROWS:
            raise UsageError(
                f"the answer has more than {MOST_ROWS} rows",
                hint="give a limit, a shorter range or a coarser interval",
                field="limit" if self.query.group_by else "interval",
            )
        by_bucket = {row.get(BUCKET): row for row in rest}
        rows = [{**row, **by_bucket.get(row.get(BUCKET), {})} if self._is_rest(row) else row for row in self.found]
        sums = {part.name: _sum(row[part.name] for row in rows) for part in parts_of(self.query) if part.kind == "sum"}
        return Answer(
            rows=[self._row(row) for row in self._sorted(rows)],
            totals=self._totals({**sums, **whole}),
            coverage={part.name: int(sums[part.name] or 0) for part in COVERAGE},
            groups=None if self.query.limit is None else max((int(row[RANK]) for row in self.found), default=0),
        )

    def _is_rest(self, row: Found) -> bool:
        return self.query.limit is not None and row[PLACE] > self.query.limit

    def _sorted(self, rows: list[Found]) -> list[Found]:
        ordered = sorted(rows, key=lambda row: row[PLACE])
        if self.query.interval is None:
            return ordered
        order = self.query.order_by
        latest_first = order is not None and order.name == TIME and order.descending
        return sorted(ordered, key=_bucket_of, reverse=latest_first)

    def _row(self, found: Found) -> dict[str, Any]:
        row: dict[str, Any] = {}
        if self.query.interval is not None:
            row[TIME] = start_text(_bucket_of(found), self.query.interval, self.query.timezone)
        is_rest = self._is_rest(found)
        for index, name in enumerate(self.query.group_by):
            row[name] = None if is_rest else found[key_name(index)]
        row.update(self._measures(found))
        if is_rest:
            row["other"] = True
        return row

    def _totals(self, values: Mapping[str, Any]) -> dict[str, Any]:
        asked = {name: MEASURES[name] for name in self.query.measures}
        are_known = {name: all(part.name in values for part in measure.parts) for name, measure in asked.items()}
        return {name: measure.value(values) if are_known[name] else None for name, measure in asked.items()}

    def _measures(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: MEASURES[name].value(values) for name in self.query.measures}


def columns_of(query: Query) -> dict[str, str]:
    """The columns of the rows of an answer, the same for every answer, and what is in each, as `columnar_file` names
    it. With a limit there is `other`."""
    time = {TIME: "timestamp"} if query.interval is not None else {}
    grouped = {name: FILTERABLE.get(name, "text") for name in query.group_by}
    measured = {name: MEASURES[name].kind for name in query.measures}
    return {**time, **grouped, **measured, **({} if query.limit is None else {"other": "flag"})}


def write_off_row(query: Query, found: Found) -> dict[str, Any]:
    """A row of `cache_write_offs`, in the form of an answer's."""
    row: dict[str, Any] = {}
    if query.interval is not None:
        row[TIME] = start_text(_bucket_of(found), query.interval, query.timezone)
    row.update((name, found[key_name(index)]) for index, name in enumerate(query.group_by))
    row.update((name, int(found[name] or 0)) for name in ("written_calls", "written_off_calls", "written_off_tokens"))
    usd = found["written_off_usd"]
    return {**row, "written_off_usd": None if usd is None else format_usd(usd)}


def durations_row(query: Query, found: Found) -> dict[str, Any]:
    """A row of `durations`, in the form of an answer's."""
    row: dict[str, Any] = {name: found[key_name(index)] for index, name in enumerate(query.group_by)}
    return {**row, **{name: int(found[name] or 0) for name in COUNTED}}


def outcome_rows(query: OutcomeQuery, found: Sequence[Found]) -> list[Found]:
    """The rows of `outcomes`, in the form of an answer's. Raises UsageError when there are too many."""
    if len(found) > MOST_ROWS:
        raise UsageError(f"the answer has more than {MOST_ROWS} rows", hint="give a shorter range", field="group_by")
    return [_outcome_row(query, row) for row in found]


def _outcome_row(query: OutcomeQuery, found: Found) -> Found:
    keys = {name: found[key_name(index)] for index, name in enumerate(query.group_by)}
    counts = {name: int(found[name]) for name in ("outcomes", "valued_outcomes")}
    value_usd = found["value_usd"] if counts["valued_outcomes"] else None  # one engine says 0 of nothing
    return {OUTCOME: found[OUTCOME], **keys, **counts, "value_usd": value_usd}


def _bucket_of(row: Found) -> datetime:
    bucket: datetime = row[BUCKET]
    return bucket


def _sum(values: Iterable[Any]) -> Any:
    """None when nothing is known; unknown plus known is known."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
