"""The metadata's schema: its steps, and what is said when a file cannot be used."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from taximeter.errors import SchemaError, StoreError
from taximeter.store.metadata import Metadata, database
from taximeter.store.metadata.places import open_place
from taximeter.store.metadata.tables import METADATA


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "metadata.sqlite"
    Metadata(path).close()
    return path


def run(file: Path, sql: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(sql)


def shape_of(table: sa.Table) -> dict[str, tuple[bool, bool]]:
    return {column.name: (bool(column.nullable), column.primary_key) for column in table.columns}


@pytest.mark.parametrize("engine_of", ["file", "postgres_database"])
def test_the_steps_make_the_tables_that_statements_use(request: pytest.FixtureRequest, engine_of: str) -> None:
    engine = open_place(request.getfixturevalue(engine_of)).engine
    found = sa.MetaData()
    found.reflect(engine)
    engine.dispose()
    made = {table.name: shape_of(table) for table in found.sorted_tables}
    del made["alembic_version"]
    assert made == {table.name: shape_of(table) for table in METADATA.sorted_tables}


def test_the_newest_step_is_the_last_one_there_is() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == database.NEWEST_STEP


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


def overwrite(file: Path) -> None:
    file.write_bytes(b"something else entirely" * 500)


UNUSABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "newer": (lambda file: run(file, "UPDATE alembic_version SET version_num = '9999'"), "newer version: upgrade"),
    "without a record": (lambda file: run(file, "DROP TABLE alembic_version"), "no record of its schema"),
    "not a database": (overwrite, "restore a backup"),
    "cut off": (cut, "restore a backup"),
}


@pytest.mark.parametrize(("spoil", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_file_that_cannot_be_used_is_recognised(file: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(file)
    with pytest.raises(SchemaError, match=said):
        Metadata(file)


def test_steps_that_were_cut_off_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metadata.sqlite"

    def interrupted(*_: object) -> None:
        raise sa.exc.OperationalError("ALTER", {}, Exception("disk full"))

    with monkeypatch.context() as patched:
        patched.setattr("alembic.operations.Operations.bulk_insert", interrupted)
        with pytest.raises(StoreError, match="disk full"):
            Metadata(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    Metadata(path).close()


def test_a_directory_that_is_not_there_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open") as refused:
        Metadata(tmp_path / "nowhere" / "metadata.sqlite")
    assert not isinstance(refused.value, SchemaError)
