"""Rows → what is printed: tables for people, CSV and JSON for programs. Rounding happens here and only here."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from rich.table import Table

from taximeter.cli.console import one_line

Row = Mapping[str, Any]

CENTS: Final = 2
SMALL_DIGITS: Final = 6
LARGE_USD: Final = 10
SHARES: Final = ("_rate", "_share")
"""How the names of measures end that are parts of a whole."""

NOT_COSTS: Final = ("value_usd", "margin_usd", "cost_per_outcome_usd")
"""Amounts that are not known for another reason than a price that is missing."""

OTHER: Final = "other"
"""The key that marks a row of all groups behind the limit."""


def is_money(column: str) -> bool:
    return column.endswith("_usd") or column.startswith("cost_")


def usd(amount: str | Decimal | None) -> str:
    """`$1,234.56`; below ten dollars six digits, below a millionth as many as it takes; `unpriced` when not known."""
    if amount is None:
        return "unpriced"
    value = Decimal(amount)
    sign, size = "-" if value < 0 else "", abs(value)
    if not size or size >= LARGE_USD:
        return f"{sign}${size:,.{CENTS}f}"
    return f"{sign}${size:.{max(SMALL_DIGITS, -size.adjusted())}f}"


def cell(column: str, value: object) -> str:
    if value is None and column in NOT_COSTS:
        return "–"
    if is_money(column):
        return usd(None if value is None else str(value))
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.1%}" if column.endswith(SHARES) else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else one_line(str(value))


def columns_of(rows: Sequence[Row], totals: Row) -> list[str]:
    """The columns in the order of the rows, `other` only when there is one; those of the totals without rows."""
    return list(dict.fromkeys(name for row in rows for name in row)) if rows else list(totals)


def table(rows: Sequence[Row], totals: Row, title: str | None = None) -> Table:
    """The rows with a footer of totals. The groups behind the limit are the row `others`."""
    columns = [column for column in columns_of(rows, totals) if column != OTHER]
    drawn = Table(title=title, title_justify="left", show_footer=bool(totals) and len(rows) > 1, header_style="bold")
    for column in columns:
        measure = column in totals
        footer = cell(column, totals[column]) if measure else ("total" if column == columns[0] else "")
        drawn.add_column(column, footer=footer, justify="right" if measure else "left", no_wrap=measure)
    for row in rows:
        drawn.add_row(*(_of_others(column, row, totals) or cell(column, row.get(column)) for column in columns))
    return drawn


def _of_others(column: str, row: Row, totals: Row) -> str | None:
    """What stands for the dimensions of the groups behind the limit: not the dash of "not said"."""
    return "others" if row.get(OTHER) and column not in totals and row[column] is None else None


def csv_text(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """RFC 4180 without rounding; what is not known is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=columns, lineterminator="\r\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def json_text(answer: object) -> str:
    return json.dumps(answer, indent=2, ensure_ascii=False)


def coverage_notes(coverage: Row) -> list[str]:
    """One sentence for each way in which the numbers are not complete."""
    sentences = {
        "unpriced_calls": "without a price yet, not in the cost",
        "estimated_calls": "with estimated usage",
        "late_calls": "that arrived late",
    }
    notes = [f"{coverage[name]:,} calls {text}" for name, text in sentences.items() if coverage.get(name)]
    tokens = coverage.get("unpriced_tokens")
    if tokens:
        notes[0] = f"{notes[0]} ({tokens:,} tokens)"
    if unvalued := coverage.get("unvalued_outcomes"):
        notes.append(f"{unvalued:,} outcomes without a value, which is not known rather than nothing")
    return notes


def minute(moment: str) -> str:
    """An RFC 3339 moment to the minute: `2026-11-24 02:03`."""
    return moment[:16].replace("T", " ")
