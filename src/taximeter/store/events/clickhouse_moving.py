"""What moving a store needs of ClickHouse, beside the port. Whatever is cut off between two statements is put again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from decimal import Decimal
from typing import Final

import msgspec

from taximeter.clock import rfc3339, to_unix_us
from taximeter.store.events import clickhouse_dialect as dialect
from taximeter.store.events import clickhouse_rollups, rolling
from taximeter.store.events.answers import Found
from taximeter.store.events.clickhouse_client import ClickHouseClient, text
from taximeter.store.events.clickhouse_restate import STRUCTURE
from taximeter.store.events.columns import OUTCOME_FACTS
from taximeter.store.events.moving import Bounds, OutcomeSums, Place
from taximeter.store.events.pages import whole_record
from taximeter.store.events.repricing import SUPERSEDED
from taximeter.store.events.rollups import Level, Stretch, within

_SUPERSEDED: Final = ", ".join(SUPERSEDED)
_STRUCTURE: Final = f"{STRUCTURE}, superseded_at DateTime64(6, 'UTC'), repricing_id String"


def bounds(client: ClickHouseClient) -> Bounds:
    return Bounds(
        _moments(client, "SELECT user_hash, deleted_at FROM deleted_users FINAL"),
        _moments(client, "SELECT name, started_at FROM kept_from FINAL"),
    )


def _moments(client: ClickHouseClient, statement: str) -> dict[str, int]:
    _, rows = client.read(statement)
    return {name: to_unix_us(moment.replace(tzinfo=UTC)) for name, moment in rows}


def put_bounds(client: ClickHouseClient, more: Bounds) -> None:
    """The engine keeps the latest of each name."""
    _insert(client, "deleted_users", _named(more.deleted_users, "user_hash", "deleted_at"))
    _insert(client, "kept_from", _named(more.kept_from, "name", "started_at"))


def _named(moments: Mapping[str, int], name: str, moment: str) -> list[Found]:
    return [{name: key, moment: rfc3339(at_us)} for key, at_us in moments.items()]


def kept_sums(client: ClickHouseClient, level: Level, stretch: Stretch) -> list[Found]:
    units = dialect.sql(within([stretch]))
    return client.found(f"SELECT {', '.join(rolling.columns(level))} FROM {level.view} WHERE {units}")


def put_sums(client: ClickHouseClient, level: Level, stretch: Stretch, rows: Sequence[Found]) -> None:
    """As sums are added up: rows of a new generation, which counts as soon as it is said to."""
    generation = clickhouse_rollups.new_generation(client)
    _insert(client, level.table, [{**whole_record(row), "generation": generation} for row in rows])
    clickhouse_rollups.say_it_counts(client, level, range(*stretch, level.unit_us), generation)


def earlier_costs(client: ClickHouseClient, stretch: Stretch) -> list[Found]:
    units = dialect.sql(within([stretch]))
    events = f"SELECT event_id FROM events WHERE {units}"
    return client.found(f"SELECT {_SUPERSEDED} FROM superseded_costs WHERE event_id IN ({events})")


def put_earlier_costs(client: ClickHouseClient, rows: Sequence[Found]) -> None:
    lines = text("\n".join(_line(whole_record(row)) for row in rows))
    events = ", ".join({text(str(row["event_id"])) for row in rows})
    key = "(event_id, superseded_at, repricing_id)"
    client.write(
        f"INSERT INTO superseded_costs ({_SUPERSEDED}) SELECT {_SUPERSEDED} "
        f"FROM format(JSONEachRow, {text(_STRUCTURE)}, {lines}) "
        f"WHERE {key} NOT IN (SELECT {key} FROM superseded_costs WHERE event_id IN ({events}))"
    )


def count_earlier_costs(client: ClickHouseClient) -> int:
    _, ((count,),) = client.read("SELECT count() FROM superseded_costs")
    return int(count)


def outcomes_after(client: ClickHouseClient, last: Place | None, most: int) -> list[Found]:
    place = "(occurred_at, toUInt128(outcome_id))"
    condition = ""
    if last is not None:
        condition = f"WHERE {place} > (fromUnixTimestamp64Micro({last[0]}, 'UTC'), toUInt128(toUUID({text(last[1])}))) "
    names = ", ".join(OUTCOME_FACTS.names)
    return client.found(f"SELECT {names} FROM {OUTCOME_FACTS.table} FINAL {condition}ORDER BY {place} LIMIT {most:d}")


def outcome_sums(client: ClickHouseClient) -> OutcomeSums:
    asked = f"SELECT count(), count(value_usd), sum(value_usd) FROM {OUTCOME_FACTS.table} FINAL"
    _, ((outcomes, valued, value_usd),) = client.read(asked)
    return OutcomeSums(int(outcomes), int(valued), value_usd or Decimal(0))


def _insert(client: ClickHouseClient, table: str, rows: Iterable[Found]) -> None:
    if lines := [_line(row) for row in rows]:
        client.write(f"INSERT INTO {table} FORMAT JSONEachRow", "\n".join(lines).encode())


def _line(row: Found) -> str:
    return msgspec.json.encode(row).decode()
