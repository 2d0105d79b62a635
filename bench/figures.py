"""What a benchmark found: rows of figures, and the bounds that were promised beside them."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rich.console import Console
from rich.table import Table

Row = Mapping[str, float | None]
"""Figures by column name; None is what was not measured."""


@dataclass(frozen=True)
class Promise:
    """A bound on a figure. `goal` is what we would like beyond it."""

    about: str
    measured: float
    bound: float
    unit: str
    at_least: bool = False
    goal: float | None = None

    @property
    def met(self) -> bool:
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    def __str__(self) -> str:
        side = "at least" if self.at_least else "at most"
        goal = "" if self.goal is None else f", goal {_number(self.goal)}"
        return f"{self.about}: {_number(self.measured)} {self.unit} ({side} {_number(self.bound)}{goal})"


@dataclass(frozen=True)
class Result:
    """One benchmark. `rows` are named for who was measured; `notes` say what was left out, and why.

    `broken` is a benchmark that should have run and did not come to its end.
    """

    name: str
    title: str
    rows: Mapping[str, Row]
    promises: Sequence[Promise] = ()
    notes: Sequence[str] = field(default_factory=tuple)
    broken: bool = False

    @property
    def met(self) -> bool:
        return not self.broken and all(promise.met for promise in self.promises)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "promises": [{**asdict(p), "met": p.met} for p in self.promises], "met": self.met}


def median_of(results: Sequence[Result]) -> Result:
    """One result whose every figure is the median of several runs."""
    first = results[0]
    rows = {name: {c: _median([r.rows[name].get(c) for r in results]) for c in row} for name, row in first.rows.items()}
    promises = [
        replace(p, measured=statistics.median(r.promises[place].measured for r in results))
        for place, p in enumerate(first.promises)
    ]
    notes = [*first.notes, f"medians of {len(results)} runs"] if len(results) > 1 else first.notes
    return replace(first, rows=rows, promises=promises, notes=notes)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def wide_console() -> Console:
    """Standard output; as wide as the tables where it is no terminal."""
    return Console() if sys.stdout.isatty() else Console(width=140)


def show(result: Result, console: Console) -> None:
    columns = list(dict.fromkeys(column for row in result.rows.values() for column in row))
    table = Table("", title=result.title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, justify="right")
    for name, row in result.rows.items():
        table.add_row(name, *(_number(row.get(column)) for column in columns))
    console.print(table if columns else f"[bold]{result.title}[/bold]")
    for promise in result.promises:
        mark = "[green]met   [/green]" if promise.met else "[red]missed[/red]"
        console.print(f"  {mark}  {promise}", highlight=False)
    for note in result.notes:
        console.print(f"  [dim]{note}[/dim]", highlight=False)
    console.print()


def _number(value: float | None) -> str:
    """Three digits or so: more would be noise."""
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"
