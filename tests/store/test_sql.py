"""SQL of users: what is answered, what is refused, and that the manual's examples are right."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from taximeter.clock import SystemClock, rfc3339
from taximeter.core.ids import uuid7
from taximeter.errors import QueryStoppedError, UsageError
from taximeter.reports.questions import answer_question
from taximeter.store.events import DuckDBEvents
from taximeter.store.events.sql_answer import as_json

NOW_US = SystemClock().now_us()
HOUR_US = 3_600_000_000
EXAMPLES = re.findall(
    r"^([^\n]+):\n\n```sql\n(.*?)```", (Path(__file__).parents[2] / "docs" / "sql.md").read_text(), re.M | re.S
)


def call(number: int) -> bytes:
    started_us = NOW_US - number * HOUR_US
    cost = str(Decimal(number + 1) / 1000)
    record = {
        "event_id": uuid7(started_us // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(started_us),
        "status": "ok",
        "attempt": 1 + number % 2,
        "user_id": ("user_123", "user_2")[number % 2],
        "feature": ("chat", "search")[number % 3 // 2],
        "request_model": "gpt-4o",
        "tags": {"plan": "pro"},
        "units": {"pages": "1.5"},
        "input_tokens": 100,
        "output_tokens": 10,
        "cost_usd": cost,
        "cost": {"input": cost, "cache_read": "0", "cache_write": "0", "output": "0", "other": "0"},
    }
    return json.dumps(record).encode()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEvents]:
    opened = DuckDBEvents(tmp_path_factory.mktemp("sql") / "events.duckdb")
    opened.append([call(number) for number in range(12)], {})
    yield opened
    opened.close()


def answer(store: DuckDBEvents, statement: str) -> dict[str, Any]:
    return as_json(store.sql(statement))


def dicts(store: DuckDBEvents, statement: str) -> list[dict[str, Any]]:
    found = answer(store, statement)
    names = [column["name"] for column in found["columns"]]
    return [dict(zip(names, row, strict=True)) for row in found["rows"]]


# --- the manual ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", [text for _, text in EXAMPLES], ids=[title for title, _ in EXAMPLES])
def test_an_example_of_the_manual_is_answered(store: DuckDBEvents, statement: str) -> None:
    assert dicts(store, statement)


def test_the_examples_say_what_the_named_questions_say(store: DuckDBEvents) -> None:
    by_title = dict(EXAMPLES)
    users = answer_question("usage-by-user", {}, store, NOW_US)["rows"]
    told = dicts(store, by_title["Tokens and cost per user"])
    assert [(row["user_id"], row["cost_usd"], row["calls"]) for row in told] == [
        (row["user_id"], row["cost_usd"], row["calls"]) for row in users
    ]
    (share,) = dicts(store, by_title["Share of the cost that is lost to retries"])
    totals = answer_question("retry-share", {}, store, NOW_US)["totals"]
    assert share["retry_share"] == pytest.approx(totals["retry_cost_share"])


def test_values_are_exact_and_plain(store: DuckDBEvents) -> None:
    statement = "SELECT cost_usd, cost, tags, units, started_at, event_id, input_tokens / 3 AS third, [1] AS list"
    (row,) = dicts(store, statement + " FROM calls ORDER BY cost_usd LIMIT 1")
    assert row["cost_usd"] == "0.001"
    assert row["cost"]["input"] == "0.001"
    assert (row["tags"], row["units"]) == ({"plan": "pro"}, {"pages": "1.5"})
    assert row["started_at"] == rfc3339(NOW_US)
    assert row["third"] == pytest.approx(100 / 3)
    assert row["list"] == [1]


def test_what_is_no_number_is_told_in_words(store: DuckDBEvents) -> None:
    assert answer(store, "SELECT 'nan'::DOUBLE, 'inf'::DOUBLE, NULL")["rows"] == [["nan", "inf", None]]


MOMENT = "TIMESTAMPTZ '2026-03-01 12:00:00+01'"


@pytest.mark.parametrize(
    ("value", "kind", "told"),
    [
        (MOMENT, "TIMESTAMP WITH TIME ZONE", "2026-03-01T11:00:00.000000Z"),
        (f"date_trunc('day', {MOMENT})", "TIMESTAMP WITH TIME ZONE", "2026-03-01T00:00:00.000000Z"),
        (f"[{MOMENT}]", "TIMESTAMP WITH TIME ZONE[]", ["2026-03-01T11:00:00.000000Z"]),
        (f"MAP {{1: {MOMENT}}}", "MAP(INTEGER, TIMESTAMP WITH TIME ZONE)", {"1": "2026-03-01T11:00:00.000000Z"}),
        (
            f"{{'INTERVAL': {MOMENT}}}",
            'STRUCT("INTERVAL" TIMESTAMP WITH TIME ZONE)',
            {"INTERVAL": "2026-03-01T11:00:00.000000Z"},
        ),
        ("age(TIMESTAMP '2026-01-01', TIMESTAMP '2025-01-01')", "INTERVAL", "1 year"),
        ("INTERVAL '26 hours'", "INTERVAL", "26:00:00"),
        ("[INTERVAL 1 MONTH]", "INTERVAL[]", ["1 month"]),
        ("DATE '2026-01-01'", "DATE", "2026-01-01"),
        ("encode('caf\N{LATIN SMALL LETTER E WITH ACUTE}')", "BLOB", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        (r"'a\xAA'::BLOB", "BLOB", r"a\xaa"),
        ("170141183460469231731687303715884105727", "HUGEINT", 170141183460469231731687303715884105727),
    ],
)
def test_a_value_of_any_kind_is_told(store: DuckDBEvents, value: str, kind: str, told: Any) -> None:
    found = answer(store, f"SELECT {value} AS a, 1 AS a")
    assert found == {"columns": [{"name": "a", "type": kind}, {"name": "a_1", "type": "INTEGER"}], "rows": [[told, 1]]}


def test_the_order_of_an_answer_is_the_statements_also_where_a_column_is_read_otherwise(store: DuckDBEvents) -> None:
    statement = "SELECT started_at::TIMESTAMPTZ AS at FROM calls ORDER BY started_at DESC"
    moments = [at for (at,) in answer(store, statement)["rows"]]
    assert len(moments) == 12
    assert moments == sorted(moments, reverse=True)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_now_is_in_utc_wherever_the_machine_stands(tmp_path: Path, zone: str) -> None:
    program = (
        "import sys; from pathlib import Path; from taximeter.store.events import DuckDBEvents\n"
        "store = DuckDBEvents(Path(sys.argv[1]))\n"
        "print(store.sql('SELECT epoch_us(now()::TIMESTAMP) - epoch_us(now()), now()::VARCHAR').rows)"
    )
    whole = [sys.executable, "-c", program, str(tmp_path / "events.duckdb")]
    told = subprocess.run(whole, check=True, env={**os.environ, "TZ": zone}, capture_output=True, text=True).stdout
    assert re.fullmatch(r"\(\(0, '.*\+00'\),\)\n", told), told


ALLOWED = [
    "SELECT 1",
    "WITH a AS (SELECT 1 AS x), b AS (SELECT x FROM a) SELECT * FROM b",
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n",
    "SELECT * FROM (SELECT model FROM CALLS) AS mine",
    "SELECT model FROM calls UNION ALL SELECT feature FROM calls",
    "FROM calls SELECT count(*)",
    "SELECT * FROM range(3)",
    "SELECT i FROM generate_series(1, 3) AS t(i)",
    "SELECT unnest(generate_series(now()::TIMESTAMP - INTERVAL 2 DAY, now()::TIMESTAMP, INTERVAL 1 DAY))",
    "SELECT unnest(generate_series(now()::TIMESTAMP - INTERVAL '1 days', now()::TIMESTAMP, INTERVAL '15 minutes'))",
    "SELECT unnest(range(now()::TIMESTAMP - INTERVAL 2 HOURS, now()::TIMESTAMP, INTERVAL 1 HOURS))",
    "SELECT lpad(date_part('hour', started_at)::VARCHAR, 2, '0'), repeat('#', 10) FROM calls",
    "SELECT printf('%.2f', cost_usd::DOUBLE), format('{:>12} {}', model, feature) FROM calls",
    "SELECT printf('%d calls in 2026, 100%%', 1), format('{{}} {:d} in 2026', 1), printf('{\"a\": {\"b\": %d}}', 1)",
    "SELECT len(generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '2026-02-01', INTERVAL '1' HOUR))",
    "SELECT unnest(generate_series(min(started_at), max(started_at), INTERVAL 1 YEAR)) FROM calls",
    "SELECT tags['plan'], map_keys(tags) FROM calls",
    "SELECT quantile_disc(duration_ms, 0.95), approx_quantile(duration_ms, 0.5), median(duration_ms) FROM calls",
    "SELECT strftime(started_at, '%Y-%m'), date_part('hour', started_at) FROM calls",
    "SELECT row_number() OVER (PARTITION BY feature ORDER BY cost_usd) FROM calls",
    "SELECT count(*) FROM calls WHERE user_id IN (SELECT user_id FROM calls) AND model ILIKE 'GPT%';",
]


@pytest.mark.parametrize("statement", ALLOWED)
def test_a_question_of_the_calls_is_answered(store: DuckDBEvents, statement: str) -> None:
    assert answer(store, statement)["rows"]


# --- the way out ---------------------------------------------------------------------------------------------------

BREAKOUTS = [
    "",
    "   ",
    "nonsense",
    "SELECT",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE events",
    "VALUES (1)",
    "DELETE FROM events",
    "UPDATE events SET cost_usd = 0",
    "INSERT INTO marks VALUES ('a', 1)",
    "CREATE TABLE x AS SELECT 1",
    "DROP VIEW calls",
    "SELECT * INTO x FROM calls",
    "WITH x AS (DELETE FROM events RETURNING *) SELECT * FROM x",
    "SELECT * FROM calls FOR UPDATE",
    "COPY calls TO '/tmp/x.csv'",
    "COPY (SELECT 1) TO '/tmp/x.csv'",
    "EXPORT DATABASE '/tmp/x'",
    "ATTACH '/tmp/x.duckdb'",
    "DETACH x",
    "USE x",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "RESET memory_limit",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CHECKPOINT",
    "BEGIN",
    "EXPLAIN ANALYZE SELECT 1",
    "DESCRIBE calls",
    "SHOW TABLES",
    "SELECT * FROM events",
    "SELECT * FROM marks",
    "SELECT * FROM superseded_costs",
    "SELECT * FROM main.calls",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_tables",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM pg_class",
    "SELECT * FROM '/etc/passwd'",
    'SELECT * FROM "/etc/passwd"',
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_parquet('http://127.0.0.1/x')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM query('DROP TABLE events')",
    "SELECT * FROM query_table('events')",
    "SELECT system.main.current_setting('temp_directory')",
    "SELECT current_setting('temp_directory')",
    "SELECT getenv('HOME')",
    "SELECT getvariable('x')",
    "SELECT version()",
    "SELECT current_user",
    "SELECT current_database()",
    "SELECT nextval('x')",
    "SELECT (SELECT count(*) FROM events)",
    "SELECT 1 WHERE EXISTS (FROM events)",
    "SELECT * FROM calls WHERE model IN (TABLE events)",
    "WITH calls AS (SELECT * FROM events) SELECT * FROM calls",
    "WITH a AS (SELECT * FROM events), events AS (SELECT 1) SELECT * FROM a",
    "SELECT * FROM events, (WITH events AS (SELECT 1) SELECT * FROM events)",
    "WITH events AS (SELECT * FROM events) SELECT * FROM events",
    "SELECT * FROM (PIVOT events ON model USING sum(cost_usd))",
    "SELECT * FROM calls POSITIONAL JOIN events",
    "SELECT $1",
    "SELECT ?",
    "SELECT nobody FROM calls",
    "SELECT sum(model) FROM calls",
    "SELECT 'x'::INTEGER",
    "SELECT count(*",
    "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "SELECT '" + "x" * 30_000 + "'",
    "SELECT a.* FROM range(10001) AS a",
    "SELECT repeat('x', 2000000000)",
    "SELECT repeat(repeat(repeat('x', 1000), 1000), 1000)",
    "SELECT repeat(x, 1000) FROM (SELECT repeat('x', 1000) AS x)",
    "SELECT repeat('x', input_tokens) FROM calls",
    "SELECT lpad('x', 2000000000, '0')",
    "SELECT rpad('x', 2000000000, '0')",
    "SELECT list(i) FROM (SELECT unnest(range(100000000)) AS i)",
    "SELECT range(100000000)",
    "SELECT generate_series(1, 100000000)",
    "SELECT generate_series(now() - INTERVAL 1 YEAR, now(), INTERVAL 1 MICROSECOND)",
    "SELECT printf('%2000000000d', 1)",
    "SELECT printf('%*d', 2000000000, 1)",
    "SELECT format('{:2000000000}', 1)",
    "SELECT format('{:{}}', 1, 2000000000)",
    "SELECT format(model, 1) FROM calls",
    "SELECT format('{{{:2000000000}', 1)",
    "SELECT printf('%%%2000000000d', 1)",
    "SELECT generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '2026-02-01', INTERVAL '0.000001 HOUR')",
    "SELECT generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '2026-02-01', INTERVAL (0.000001) HOUR)",
    "SELECT generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '2026-02-01', INTERVAL (input_tokens) HOUR) FROM calls",
]


@pytest.mark.parametrize("statement", BREAKOUTS, ids=lambda statement: statement[:50])
def test_anything_else_is_refused_naming_the_field(store: DuckDBEvents, statement: str) -> None:
    with pytest.raises(UsageError) as refused:
        store.sql(statement)
    assert refused.value.facts["field"] == "sql"
    assert answer(store, "SELECT count(*) FROM calls")["rows"] == [[12]]


def test_the_engine_itself_reads_no_files_and_changes_no_settings(store: DuckDBEvents, tmp_path: Path) -> None:
    """What stands behind the check."""
    import duckdb

    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n")
    statements = [
        f"SELECT * FROM read_csv('{file}')",
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "DELETE FROM events",
        "CREATE TABLE x (a INTEGER)",
    ]
    for statement in statements:
        with store.reading(None) as cursor, pytest.raises(duckdb.Error):
            cursor.execute(statement)


def test_a_statement_that_takes_too_long_is_stopped_and_the_next_one_has_its_turn(tmp_path: Path) -> None:
    hurried = DuckDBEvents(tmp_path / "events.duckdb", query_timeout_seconds=0.1)
    for _ in range(2):
        with pytest.raises(QueryStoppedError):
            hurried.sql("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 7")
    hurried.close()
