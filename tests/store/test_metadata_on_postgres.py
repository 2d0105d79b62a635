"""What is PostgreSQL's own: its address, starts at the same time, rights, and a server that goes and comes back."""

from __future__ import annotations

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from taximeter.errors import ConfigurationError, SchemaError, StoreError
from taximeter.store.metadata import Metadata
from taximeter.store.metadata.keys import RECHECK_SECONDS, TRUSTED_SECONDS
from taximeter.store.metadata.leases import LEASE_SECONDS

if TYPE_CHECKING:
    Postgres = Any
"""`tests/postgres_here.py` gives the fixtures."""


class HandClock:
    """Time that passes when it is told to."""

    seconds = 0.0

    def now_us(self) -> int:
        return int(self.seconds * 1_000_000)

    def monotonic(self) -> float:
        return self.seconds


SECRET = "s3cret-of-the-database"


def run(address: str, sql: str) -> list[Any]:
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


START = """
import sys
from taximeter.store.metadata import Metadata
Metadata(sys.argv[1]).close()
"""


def test_processes_that_start_at_once_on_an_empty_database_make_its_schema_once(postgres_server: Postgres) -> None:
    address = postgres_server.empty()
    started = [subprocess.Popen([sys.executable, "-c", START, address], stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate(timeout=300)[1] for process in started] == [b"", b"", b""]
    assert run(address, "SELECT name FROM changes ORDER BY name") == [("keys",), ("limits",), ("rules",)]


def test_opening_once_more_changes_nothing(postgres_database: str) -> None:
    first = Metadata(postgres_database)
    key, secret = first.keys.create("ci", "read")
    with ThreadPoolExecutor(4) as threads:
        again = list(threads.map(Metadata, [postgres_database] * 4))
    assert [one.keys.find(secret) for one in again] == [key] * 4
    for one in (first, *again):
        one.close()


def test_steps_that_were_cut_off_leave_nothing_behind(
    postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = postgres_server.empty()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("alembic.operations.Operations.bulk_insert", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Metadata(address)
    assert run(address, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == []
    Metadata(address).close()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "newer version: upgrade"),
        ("DROP TABLE alembic_version", "no record of its schema"),
    ],
)
def test_a_database_that_cannot_be_used_is_recognised(postgres_server: Postgres, spoil: str, said: str) -> None:
    address = postgres_server.database()
    run(address, spoil)
    with pytest.raises(SchemaError, match=said):
        Metadata(address)


def test_a_table_that_is_gone_is_damage(postgres_server: Postgres) -> None:
    address = postgres_server.database()
    metadata = Metadata(address)
    run(address, "DROP TABLE findings")
    with pytest.raises(SchemaError, match=r'is damaged: relation "findings" does not exist.*restore a backup'):
        metadata.findings.list()
    metadata.close()


def test_a_user_without_rights_is_told_which_ones_are_needed(postgres_server: Postgres) -> None:
    address = postgres_server.empty()
    run(address, "CREATE ROLE guest LOGIN")
    with pytest.raises(StoreError, match=r"does not allow it: permission denied for schema public.*right to create"):
        Metadata(address.replace("taximeter@", "guest@"))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:{}@127.0.0.1:1/nowhere",
        "postgresql://127.0.0.1:1/nowhere?user=u&password={}",
        "postgresql://u:{}@127.0.0.1:1,127.0.0.1:1/nowhere?connect_timeout=2",
        "postgresql://u:{}@127.0.0.1:1/nowhere?nonsense=1",
        "postgresql://u:{}@127.0.0.1:1/nowhere?sslmode=nonsense",
        "postgresql://u:p@127.0.0.1/{}%",
    ],
)
def test_a_password_is_in_no_error_and_in_no_log(address: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises((StoreError, ConfigurationError)) as refused:
        Metadata(address.format(SECRET))
    error: BaseException | None = refused.value
    while error is not None:
        assert SECRET not in f"{error!r} {error}"
        error = error.__cause__
    assert SECRET not in caplog.text


def test_where_nobody_listens_is_told_with_the_place(postgres_database: str) -> None:
    with pytest.raises(StoreError, match=r"^postgresql://127\.0\.0\.1:1/x cannot do it now: .*refused"):
        Metadata("postgresql://u@127.0.0.1:1/x")
    with pytest.raises(StoreError, match=r'database "nowhere" does not exist'):
        Metadata(postgres_database.rpartition("/")[0] + "/nowhere")


def test_what_a_server_that_went_cannot_do_it_does_when_it_is_back(own_postgres: Postgres) -> None:
    metadata = Metadata(own_postgres.database())
    metadata.limits.set("chat", {"limit": 1}, "ann")
    own_postgres.stop()
    with pytest.raises(StoreError, match="cannot do it now"):
        metadata.limits.current()
    with pytest.raises(StoreError, match="cannot do it now"):
        metadata.limits.set("chat", {"limit": 2}, "ann")
    own_postgres.start()
    assert [one.version for one in metadata.limits.current()] == [1]
    metadata.limits.set("chat", {"limit": 2}, "ann")
    assert [one.version for one in metadata.limits.current()] == [2]
    metadata.close()


def test_known_keys_hold_for_a_while_when_the_server_has_gone(own_postgres: Postgres) -> None:
    clock = HandClock()
    metadata = Metadata(own_postgres.database(), clock=clock)
    key, secret = metadata.keys.create("ci", "read")
    assert metadata.keys.find(secret) == key
    own_postgres.stop()
    clock.seconds += RECHECK_SECONDS
    assert metadata.keys.find(secret) == key
    assert "cannot do it now" in str(metadata.keys.problem)
    assert metadata.keys.find("sk-of-a-provider") is None
    with pytest.raises(StoreError):
        metadata.keys.find("tm_read_unknown")
    clock.seconds = TRUSTED_SECONDS
    with pytest.raises(StoreError):
        metadata.keys.find(secret)
    own_postgres.start()
    clock.seconds += RECHECK_SECONDS
    assert metadata.keys.find(secret) == key
    assert metadata.keys.problem is None
    metadata.close()


def test_who_has_a_lease_goes_on_while_the_server_is_away(own_postgres: Postgres) -> None:
    clock = HandClock()
    metadata = Metadata(own_postgres.database(), clock=clock)
    holder, other = metadata.lease("alerting"), metadata.lease("alerting")
    assert (holder.renew(), other.renew()) == (True, False)
    own_postgres.stop()
    for lease in (holder, other):
        with pytest.raises(StoreError):
            lease.renew()
    clock.seconds += 10 * LEASE_SECONDS
    assert (holder.held, other.held) == (True, False)
    own_postgres.start()
    assert (other.renew(), holder.renew()) == (True, False)
    assert not holder.held
    metadata.close()


def test_connections_that_were_cut_are_made_anew(postgres_database: str) -> None:
    metadata = Metadata(postgres_database)
    metadata.keys.create("ci", "read")
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert run(postgres_database, f"SELECT pg_terminate_backend(pid) {others}")
    assert [key.name for key in metadata.keys.list()] == ["ci"]
    metadata.close()
