"""Re-pricing in DuckDB: statements of one transaction, which the store begins and ends.

New costs are staged once, and both the rows that they replace and the rows themselves are found by them. Only the
stretch of time that they lie in is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from typing import Any, Final

import duckdb

from taximeter.clock import to_datetime, to_unix_us
from taximeter.store.events.cost_lines import stored_line
from taximeter.store.events.repricing import COST_COLUMNS, SUPERSEDED, NewCost, Repricing


def replace_costs(connection: duckdb.DuckDBPyConnection, costs: Sequence[NewCost], run: str, at_us: int) -> None:
    """Keep the current derivations of these events, and put the new ones in their place."""
    if not costs:
        return
    lines = [stored_line(new) for new in costs]
    between = [_moment(min(new.started_us for new in costs)), _moment(max(new.started_us for new in costs))]
    connection.execute(_staging(connection), [lines])
    connection.execute(_SUPERSEDE, [_moment(at_us), run, *between])
    connection.execute(_REPLACE, between)
    connection.execute("DROP TABLE restated")


def _staging(connection: duckdb.DuckDBPyConnection) -> str:
    rows = connection.execute("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'events'")
    types = dict(rows.fetchall())
    structure = json.dumps({name: types[name] for name in ("event_id", *COST_COLUMNS)})
    return f"""
        CREATE TEMP TABLE restated AS
        SELECT unnest(from_json(line, '{structure}')) FROM (SELECT unnest($1::VARCHAR[]) AS line)
    """  # noqa: S608 - names and types of our own schema


_SUPERSEDE: Final = f"""
    INSERT INTO superseded_costs ({", ".join(SUPERSEDED)})
    SELECT event_id, {", ".join(f"events.{name}" for name in COST_COLUMNS)}, ?, ?
    FROM events JOIN restated USING (event_id)
    WHERE started_at BETWEEN ? AND ?
"""  # noqa: S608 - names of our own schema
_REPLACE: Final = f"""
    UPDATE events SET {", ".join(f"{name} = restated.{name}" for name in COST_COLUMNS)}
    FROM restated
    WHERE events.event_id = restated.event_id AND events.started_at BETWEEN ? AND ?
"""  # noqa: S608 - names of our own schema


def superseded(connection: duckdb.DuckDBPyConnection, event_id: str) -> list[dict[str, Any]]:
    names = SUPERSEDED[1:]
    rows = connection.execute(
        f"SELECT {', '.join(names)} FROM superseded_costs WHERE event_id = ? ORDER BY superseded_at DESC",  # noqa: S608
        [event_id],
    ).fetchall()
    return [dict(zip(names, row, strict=True)) for row in rows]


def keep_run(connection: duckdb.DuckDBPyConnection, run: Repricing) -> None:
    """Insert the run, or replace it."""
    connection.execute(
        "INSERT OR REPLACE INTO repricings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            run.id,
            run.kind,
            _moment(run.asked_at_us),
            run.asked_by,
            run.note,
            json.dumps(dict(run.request)),
            run.state,
            run.price_version,
            None if run.cursor_us is None else str(run.cursor_us),
            json.dumps(dict(run.outcome)),
        ],
    )


def runs(connection: duckdb.DuckDBPyConnection, limit: int, run_id: str | None) -> list[Repricing]:
    rows = connection.execute(
        "SELECT * FROM repricings WHERE ?::VARCHAR IS NULL OR repricing_id = ? "
        "ORDER BY asked_at DESC, repricing_id DESC LIMIT ?",
        [run_id, run_id, limit],
    ).fetchall()
    return [_run(*row) for row in rows]


def _run(
    run_id: str,
    kind: Any,
    asked_at: Any,
    by: str,
    note: Any,
    request: str,
    state: Any,
    version: Any,
    cursor: Any,
    out: Any,
) -> Repricing:
    return Repricing(
        id=run_id,
        kind=kind,
        asked_at_us=to_unix_us(asked_at.replace(tzinfo=UTC)),
        asked_by=by,
        note=note,
        request=json.loads(request),
        state=state,
        price_version=version,
        cursor_us=None if cursor is None else int(cursor),
        outcome=json.loads(out) if out else {},
    )


def _moment(at_us: int) -> Any:
    """A value of the stores' timestamp type: UTC, without a zone."""
    return to_datetime(at_us).replace(tzinfo=None)
