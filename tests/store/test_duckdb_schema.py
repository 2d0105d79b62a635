"""The DuckDB file: its columns, its steps, and what is said when it cannot be used."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest

from taximeter.core.cost import COMPONENTS
from taximeter.core.event import FIELDS
from taximeter.errors import QueryStoppedError, SchemaError, StoreError
from taximeter.store.events import Cancellation, DuckDBEvents, duckdb_rollups
from taximeter.store.events.columns import COLUMNS
from taximeter.store.events.duckdb_schema import bring_up_to_date, schema_files
from taximeter.store.events.schema_files import SchemaFile

TYPE_OF_KIND = {
    "text": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "count": "BIGINT",
    "milliseconds": "DOUBLE",
    "flag": "BOOLEAN",
    "money": "DECIMAL(18,12)",
    "texts": "MAP(VARCHAR, VARCHAR)",
    "units": "MAP(VARCHAR, DECIMAL(18,6))",
    "json": "JSON",
}
COMPONENT_TYPE = "STRUCT(" + ", ".join(f"{name} DECIMAL(18,12)" for name in COMPONENTS) + ")"
EXCEPTIONS = {"event_id": "UUID", "cost": COMPONENT_TYPE}

NEWEST = schema_files()[-1].number
"""The step that this version of the store ends with."""


def normal(type_name: str) -> str:
    return type_name.replace('"', "").replace(", ", ",")


def columns_of(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    query = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index"
    return {name: normal(kind) for name, kind in connection.execute(query, [table]).fetchall()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "events.duckdb"
    DuckDBEvents(path).close()
    return path


@pytest.fixture
def file(made: Path, tmp_path: Path) -> Path:
    """A store's file of one's own."""
    return Path(shutil.copy(made, tmp_path))


def test_the_columns_are_the_fields_of_an_event_and_what_is_derived(file: Path) -> None:
    with duckdb.connect(str(file)) as connection:
        found = columns_of(connection, "events")
    wanted = {c.name: normal(EXCEPTIONS.get(c.name, TYPE_OF_KIND[c.kind])) for c in COLUMNS}
    assert found == wanted
    assert list(found)[: len(FIELDS)] == [field.name for field in FIELDS]


def test_the_view_calls_has_them_all_and_the_model(file: Path) -> None:
    with duckdb.connect(str(file)) as connection:
        assert list(columns_of(connection, "calls")) == [*columns_of(connection, "events"), "model", "model_family"]


class Listening:
    """A connection that notes which views are made."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.made: set[str] = set()

    def execute(self, text: str, *values: object) -> duckdb.DuckDBPyConnection:
        if text.startswith("CREATE OR REPLACE VIEW"):
            self.made.add(text.split()[4])
        return self._connection.execute(text, *values)


MADE_ANEW: dict[str, tuple[str, set[str]]] = {
    "that is as it was": ("SELECT 1", set()),
    "that another version made": ("CREATE OR REPLACE VIEW calls AS SELECT *, 'm' AS model FROM events", {"calls"}),
    "whose making was broken off": ("COMMENT ON VIEW rolled_hours IS NULL", {"rolled_hours"}),
    "that was dropped": ("DROP VIEW rolled_user_days", {"rolled_user_days"}),
    "whose table has another column": ("ALTER TABLE events ADD COLUMN further INTEGER", {"calls"}),
}


@pytest.mark.parametrize(("change", "anew"), MADE_ANEW.values(), ids=MADE_ANEW)
def test_a_view_is_made_anew_where_it_is_not_what_this_version_makes(file: Path, change: str, anew: set[str]) -> None:
    with duckdb.connect(str(file)) as connection:
        connection.execute(change)
        for made in (anew, set()):
            listening: Any = Listening(connection)
            bring_up_to_date(listening, "here")
            duckdb_rollups.prepare(listening)
            assert listening.made == made
        assert connection.execute("SELECT count(*) FROM calls, rolled_hours, rolled_user_days").fetchone() == (0,)


def test_schema_files_are_numbered_without_gaps() -> None:
    assert [schema_file.number for schema_file in schema_files()] == list(range(1, len(schema_files()) + 1))


def test_an_older_file_is_brought_up_to_date_once(file: Path) -> None:
    later = SchemaFile(NEWEST + 1, "more.sql", "CREATE TABLE more (number INTEGER); INSERT INTO more VALUES (1);")
    with duckdb.connect(str(file)) as connection:
        for _ in range(2):
            assert bring_up_to_date(connection, "here", [*schema_files(), later]) == NEWEST + 1
        assert connection.execute("SELECT count(*) FROM more").fetchone() == (1,)


def test_a_step_that_fails_leaves_nothing_behind(file: Path) -> None:
    broken = SchemaFile(NEWEST + 1, "broken.sql", "CREATE TABLE half (number INTEGER); SELECT * FROM no_such_table;")
    with duckdb.connect(str(file)) as connection:
        with pytest.raises(duckdb.CatalogException):
            bring_up_to_date(connection, "here", [*schema_files(), broken])
        assert columns_of(connection, "half") == {}
        assert bring_up_to_date(connection, "here") == NEWEST


UNUSABLE = {
    "written by a newer version": (
        f"INSERT INTO schema_steps VALUES ({NEWEST + 1}, 'later.sql')",
        "newer version: upgrade",
    ),
    "with a gap in its steps": ("UPDATE schema_steps SET number = 0", "unbroken sequence"),
    "without a record of its schema": ("DROP TABLE schema_steps", "no record of its schema"),
    "without a column": ("DROP VIEW calls; ALTER TABLE events DROP COLUMN team", "lacks team"),
}


@pytest.mark.parametrize(("damage", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_is_recognised(file: Path, damage: str, said: str) -> None:
    with duckdb.connect(str(file)) as connection:
        connection.execute(damage)
    with pytest.raises(SchemaError, match=said) as refused:
        DuckDBEvents(file)
    assert refused.value.hint


DAMAGES = {
    "that is not a database": lambda content: b"something else entirely" * 1000,
    "that was cut off": lambda content: content[: len(content) // 2],
    "whose header was overwritten": lambda content: b"\0" * 8192 + content[8192:],
    "of which a block was overwritten": lambda content: content[:12288] + b"\x55" * (len(content) - 12288),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_file_is_damaged(file: Path, damage: object) -> None:
    assert callable(damage)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(SchemaError, match=r"restore a backup"):
        DuckDBEvents(file)


def test_a_directory_that_is_not_there_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be created") as refused:
        DuckDBEvents(tmp_path / "nowhere" / "events.duckdb")
    assert not isinstance(refused.value, SchemaError)


def test_a_closed_store_says_so(file: Path) -> None:
    store = DuckDBEvents(file)
    store.close()
    with pytest.raises(StoreError):
        store.marks()
    with pytest.raises(StoreError):
        store.append([b'{"event_id": "x"}'], {})


ENDLESS = "SELECT count(*) FROM range(1000000) AS a, range(1000000) AS b WHERE a.range + b.range = 7"


READERS = 3


def test_a_query_is_stopped_when_its_time_is_over(tmp_path: Path) -> None:
    store = DuckDBEvents(tmp_path / "events.duckdb", query_timeout_seconds=0.05)
    with pytest.raises(QueryStoppedError), store.reading(Cancellation()) as cursor:
        cursor.execute(ENDLESS)
    assert store.append([], {}).inserted == 0, "it goes on"
    store.close()


def test_a_store_closes_while_it_is_asked(file: Path) -> None:
    store = DuckDBEvents(file)
    asked = threading.Barrier(READERS + 1)

    def ask() -> None:
        with store.reading(None) as cursor:
            asked.wait(60)
            cursor.execute(ENDLESS)

    with ThreadPoolExecutor(READERS) as readers:
        answers = [readers.submit(ask) for _ in range(READERS)]
        asked.wait(60)
        store.close()
        assert {type(answer.exception(60)) for answer in answers} == {QueryStoppedError}
    with pytest.raises(StoreError, match="was closed"):
        store.marks()
    DuckDBEvents(file).close()


def test_statements_cannot_reach_files_or_networks(file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    store = DuckDBEvents(file)
    with pytest.raises(StoreError, match="disabled"), store.reading(Cancellation()) as cursor:
        cursor.execute(f"SELECT * FROM read_csv('{secret}')")
    with pytest.raises(StoreError, match="read-only"), store.reading(Cancellation()) as cursor:
        cursor.execute("DELETE FROM events")
    store.close()
