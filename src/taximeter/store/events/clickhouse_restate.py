"""Re-pricing in ClickHouse: rows are written again with the next version.

1. keep the derivations that were current, once for each event and run
2. write the rows with the new ones
3. keep the run as it stands
A crash after 1 or 2 repeats them when the run goes on: 1 leaves out what it kept already, 2 writes the same again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC
from typing import Any, Final

from taximeter.clock import rfc3339, to_unix_us
from taximeter.errors import StoreError
from taximeter.store.events.clickhouse_client import ClickHouseClient, text
from taximeter.store.events.columns import COLUMN_NAMES
from taximeter.store.events.cost_lines import stored_line
from taximeter.store.events.repricing import COST_COLUMNS, SUPERSEDED, NewCost, Repricing

_USD: Final = "Nullable(Decimal(18, 12))"
_COST: Final = ", ".join(f"{name} {_USD}" for name in ("input", "cache_read", "cache_write", "output", "other"))
STRUCTURE: Final = (
    f"event_id UUID, cost_usd {_USD}, cost Tuple({_COST}), cache_read_saving_usd {_USD}, "
    f"cache_write_surcharge_usd {_USD}, unpriced_reason Nullable(String), price_version Nullable(String), "
    "price_rule Nullable(String)"
)
"""The id and the cost columns, as the server reads them from JSON."""


def replace_costs(client: ClickHouseClient, costs: Sequence[NewCost], run: str, at_us: int) -> None:
    """Keep the current derivations of these events, and put the new ones in their place."""
    if not costs:
        return
    restated = f"format(JSONEachRow, {text(STRUCTURE)}, {text(chr(10).join([stored_line(new) for new in costs]))})"
    between = f"{_moment(min(new.started_us for new in costs))} AND {_moment(max(new.started_us for new in costs))}"
    kept = f"SELECT event_id FROM superseded_costs WHERE repricing_id = {text(run)}"
    client.write(
        f"INSERT INTO superseded_costs (event_id, {', '.join(COST_COLUMNS)}, superseded_at, repricing_id) "
        f"SELECT event_id, {', '.join(COST_COLUMNS)}, {_moment(at_us)}, {text(run)} FROM events FINAL "
        f"WHERE started_at BETWEEN {between} AND event_id IN (SELECT event_id FROM {restated}) "
        f"AND event_id NOT IN ({kept})"
    )
    facts = [name for name in COLUMN_NAMES if name not in COST_COLUMNS]
    client.write(
        f"INSERT INTO events ({', '.join((*facts, *COST_COLUMNS))}, version) "
        f"SELECT {', '.join((*(f'e.{name}' for name in facts), *(f'r.{name}' for name in COST_COLUMNS)))}, "
        f"e.version + 1 FROM (SELECT * FROM events FINAL WHERE started_at BETWEEN {between}) AS e "
        f"ANY INNER JOIN (SELECT * FROM {restated}) AS r ON e.event_id = r.event_id"
    )


def _moment(at_us: int) -> str:
    return f"fromUnixTimestamp64Micro({at_us}, 'UTC')"


def superseded(client: ClickHouseClient, event_id: str) -> list[dict[str, Any]]:
    names = ", ".join(SUPERSEDED[1:])
    return client.found(
        f"SELECT {names} FROM superseded_costs WHERE event_id = toUUID({text(event_id)}) ORDER BY superseded_at DESC"
    )


def keep_run(client: ClickHouseClient, run: Repricing) -> None:
    """Insert the run, or replace it."""
    row = {
        "repricing_id": run.id,
        "kind": run.kind,
        "asked_at": rfc3339(run.asked_at_us),
        "asked_by": run.asked_by,
        "note": run.note,
        "request": json.dumps(dict(run.request)),
        "state": run.state,
        "price_version": run.price_version,
        "cursor_us": run.cursor_us,
        "outcome": json.dumps(dict(run.outcome)),
    }
    client.write(f"INSERT INTO repricings ({', '.join(row)}) FORMAT JSONEachRow", json.dumps(row).encode())


def check_run(run: Repricing) -> None:
    """Raises StoreError for a run that cannot be kept, before its costs are written."""
    lacking = [name for name in ("id", "kind", "asked_at_us", "asked_by", "state") if getattr(run, name) is None]
    if lacking:
        raise StoreError(f"a run of re-pricing cannot be kept without {', '.join(lacking)}")


def runs(client: ClickHouseClient, limit: int, run_id: str | None) -> list[Repricing]:
    wanted = "" if run_id is None else f"WHERE repricing_id = {text(run_id)} "
    rows = client.found(
        f"SELECT * FROM repricings FINAL {wanted}ORDER BY asked_at DESC, repricing_id DESC LIMIT {limit}"
    )
    return [_run(row) for row in rows]


def _run(row: dict[str, Any]) -> Repricing:
    return Repricing(
        id=row["repricing_id"],
        kind=row["kind"],
        asked_at_us=to_unix_us(row["asked_at"].replace(tzinfo=UTC)),
        asked_by=row["asked_by"],
        note=row["note"],
        request=json.loads(row["request"]),
        state=row["state"],
        price_version=row["price_version"],
        cursor_us=row["cursor_us"],
        outcome=json.loads(row["outcome"]),
    )
