"""What is ClickHouse's own: the network between us, several collectors, and steps that are no transaction."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import clickhouse_here
import pytest
from clickhouse_here import faults, open_clickhouse
from test_events_contract import NOW_US, line, rows, stored
from test_repricing_contract import ASKED_US, RUN, fill, new, spent
from test_repricing_contract import event_id as priced_id

from taximeter.clock import rfc3339
from taximeter.errors import QueryStoppedError, SchemaError, StoreError, UsageError
from taximeter.store.events import Appended, Cancellation, ClickHouseEvents, EventQuery
from taximeter.store.events.clickhouse_client import parse_address, text
from taximeter.store.events.clickhouse_schema import bring_up_to_date, schema_files, statements
from taximeter.store.events.instants import LATEST_US
from taximeter.store.events.rollups import HOURS, LEVELS, USER_DAYS, USER_WEEKS
from taximeter.store.events.schema_files import SchemaFile

WRITER = "00000000-0000-7000-8000-000000000000"

pytestmark = pytest.mark.skipif(
    clickhouse_here.REAL_SERVER is not None, reason="a real server has no faults at our command"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clickhouse")


@pytest.fixture(scope="module")
def standing(folder: Path) -> Iterator[ClickHouseEvents]:
    store = open_clickhouse(folder)
    yield store
    store.close()


@pytest.fixture
def store(standing: ClickHouseEvents) -> Iterator[ClickHouseEvents]:
    """An empty store over a network without faults."""
    yield clickhouse_here.emptied(standing)
    faults()


# --- the network ---------------------------------------------------------------------------------------------------

STEPS = {
    "the first marks": '"state": 2',
    "the events": "INSERT INTO events",
    "the second marks": '"state": 1',
    "the position": "INSERT INTO marks",
}


@pytest.mark.parametrize("what", ["drop before", "drop after", "error"])
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_batch_that_was_cut_off_comes_again_and_counts_once(store: ClickHouseEvents, step: str, what: str) -> None:
    store.append([line(1, cost_usd="1")], {"spool": 1})
    store.roll_up(LATEST_US)
    batch = [line(number, cost_usd="1") for number in (1, 2, 3)]
    faults({"text": step, "what": what})
    with pytest.raises(StoreError):
        store.append(batch, {"spool": 3})
    assert rows(store, measures="cost_usd,calls") in (  # also meanwhile, sums are those of the events
        [{"cost_usd": "1", "calls": 1}],
        [{"cost_usd": "3", "calls": 3}],
    )
    again = store.append(batch, {"spool": 3})
    assert again.inserted + again.duplicates == 3
    assert rows(store, measures="cost_usd,calls") == [{"cost_usd": "3", "calls": 3}]
    assert store.marks() == {"spool": 3}
    assert store.verify().differing == ()


def test_an_insert_that_the_network_repeats_counts_once(store: ClickHouseEvents) -> None:
    faults({"text": "INSERT INTO events", "what": "twice"})
    assert store.append([line(1, cost_usd="1"), line(2)], {}) == Appended(2, 0)
    store.roll_up(LATEST_US)
    assert rows(store) == [{"cost_usd": "1", "calls": 2}]
    assert len(stored(store)) == 2


@pytest.mark.parametrize(
    ("step", "what"),
    [
        ("INSERT INTO rollup_hours", "drop after"),
        ("INSERT INTO rollup_hours", "drop before"),
        ("INSERT INTO rollup_units", "drop after"),
        ("INSERT INTO rollup_user_days", "error"),
        ('"state": 0', "drop before"),
    ],
)
def test_sums_that_were_cut_off_are_added_up_again(store: ClickHouseEvents, step: str, what: str) -> None:
    store.append([line(1, cost_usd="1"), line(2, cost_usd="2")], {})
    faults({"text": step, "what": what})
    with pytest.raises(StoreError):
        store.roll_up(LATEST_US)
    assert rows(store) == [{"cost_usd": "3", "calls": 2}]
    assert store.verify().differing == ()
    store.roll_up(LATEST_US)
    assert rows(store) == [{"cost_usd": "3", "calls": 2}]
    assert store.verify().differing == ()
    assert store.roll_up(LATEST_US) == 0


@pytest.mark.parametrize("step", ["INSERT INTO superseded_costs", "INSERT INTO events", "INSERT INTO repricings"])
def test_re_pricing_that_was_cut_off_is_done_again_and_keeps_what_was(store: ClickHouseEvents, step: str) -> None:
    fill(store, 3)
    faults({"text": step, "what": "drop after"})
    with pytest.raises(StoreError):
        store.restate([new(1, "5")], RUN, ASKED_US)
    store.restate([new(1, "5")], RUN, ASKED_US + 1)
    assert spent(store) == "6"
    assert [old["cost_usd"] for old in store.superseded(priced_id(1))] == ["1"]


def test_a_repeated_original_does_not_undo_a_new_price(store: ClickHouseEvents) -> None:
    fill(store, 2)
    store.restate([new(1, "5")], RUN, ASKED_US)
    store._client.write(
        "INSERT INTO events SELECT * REPLACE(toDecimal64(1, 12) AS cost_usd, 0 AS version) FROM events FINAL "
        f"WHERE event_id = {text(priced_id(1))}"
    )
    assert spent(store) == "5"


@pytest.mark.parametrize("what", ["cut", "drop before", "drop after"])
def test_half_an_answer_is_none(store: ClickHouseEvents, what: str) -> None:
    store.append([line(1)], {})
    faults({"text": "WITH grouped", "what": what}, {"text": "WITH grouped", "what": what})
    with pytest.raises(StoreError, match="does not answer"):
        rows(store)
    assert rows(store, measures="calls") == [{"calls": 1}]


def test_a_slow_answer_can_be_cancelled(store: ClickHouseEvents) -> None:
    faults({"text": "FROM calls", "what": "slow", "seconds": 60})
    cancellation = Cancellation()
    timer = threading.Timer(0.2, cancellation.cancel)
    timer.start()
    with pytest.raises(QueryStoppedError):
        store.sql("SELECT count(*) FROM calls", cancellation=cancellation)
    timer.join()


def test_a_server_that_is_away_is_named_without_the_password() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with pytest.raises(StoreError, match=f"clickhouse://127.0.0.1:{port}/taximeter does not answer") as away:
            ClickHouseEvents(f"clickhouse://me:secret@127.0.0.1:{port}", writer=WRITER)
    assert "secret" not in str(away.value)


# --- several collectors --------------------------------------------------------------------------------------------


def test_collectors_share_events_and_not_positions(store: ClickHouseEvents, folder: Path) -> None:
    other = open_clickhouse(folder, collector="other")
    store.append([line(1), line(2)], {"spool": 2})
    assert other.append([line(2), line(3)], {"spool": 7}) == Appended(1, 1)
    other.forget_marks(["elsewhere"])
    assert (store.marks(), other.marks()) == ({"spool": 2}, {"spool": 7})
    assert rows(store, measures="calls") == rows(other, measures="calls") == [{"calls": 3}]
    other.close()


def test_two_that_write_the_same_events_at_once_count_them_once(store: ClickHouseEvents, folder: Path) -> None:
    other = open_clickhouse(folder)
    batch = [line(number, cost_usd="1") for number in range(50)]
    writers = [threading.Thread(target=one.append, args=(batch, {})) for one in (store, other)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert store.roll_up(LATEST_US) + other.roll_up(LATEST_US) >= 2
    assert rows(store) == [{"cost_usd": "50", "calls": 50}]
    assert store.verify().differing == ()
    other.close()


def test_sums_are_not_believed_while_somebody_writes(store: ClickHouseEvents) -> None:
    """A collector that dies between its marks and its events leaves units that are read from the events."""
    store.append([line(1, cost_usd="1")], {})
    store.roll_up(LATEST_US)
    with pytest.raises(RuntimeError), store._marks.around([NOW_US]):
        raise RuntimeError("died")
    assert store.roll_up(LATEST_US) == 0
    store._client.write("ALTER TABLE rollup_hours UPDATE cost_usd = 9 WHERE 1")
    assert rows(store, measures="cost_usd") == [{"cost_usd": "1"}]
    store._client.write("INSERT INTO rollup_dirty SELECT * REPLACE(now() - 601 AS marked_at) FROM rollup_dirty FINAL")
    assert store.roll_up(LATEST_US) == len(LEVELS), "after ten minutes it is added up"


# --- values --------------------------------------------------------------------------------------------------------


def test_an_amount_that_is_no_text_of_twelve_digits_is_rounded_or_left_out(store: ClickHouseEvents) -> None:
    odd: list[Any] = [0.1, 3, "0.0000000000015", "1e-3", "1e30", "nonsense", True, [1]]
    store.append([line(number, cost_usd=amount) for number, amount in enumerate(odd)], {})
    assert [event["cost_usd"] for event in reversed(stored(store))] == [
        *("0.1", "3", "0.000000000002", "0.001"),
        *[None] * 4,
    ]


def test_a_count_beyond_a_column_is_not_known_and_wraps_nothing(store: ClickHouseEvents) -> None:
    store.append([line(1, input_tokens=2**63), line(2, input_tokens=2**63 - 1), line(3, input_tokens="7")], {})
    assert [event["input_tokens"] for event in stored(store)] == [None, 2**63 - 1, None]


def test_a_start_that_no_column_holds_is_rejected(store: ClickHouseEvents) -> None:
    early, late = line(1, started_at="0001-01-01T00:00:00Z"), line(2, started_at="9999-12-31T23:59:59Z")
    appended = store.append([early, line(3), late], {})
    assert (appended.inserted, appended.duplicates, set(appended.rejected)) == (1, 0, {early, late})


REFUSED_STATEMENTS = (
    "DROP TABLE events",
    "SELECT * FROM events",
    "SELECT * FROM url('http://x')",
    "SELECT nope FROM calls",
)


def test_a_week_is_verified_in_one_read_a_level(store: ClickHouseEvents, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [NOW_US + day * USER_DAYS.unit_us for day in range(28)]
    store.append([line(number, started_at=rfc3339(day_us)) for number, day_us in enumerate(days)], {})
    store.roll_up(LATEST_US)
    asked: list[str] = []
    read = store._client.read

    def counted(statement: str, **more: Any) -> Any:
        asked.append(statement)
        return read(statement, **more)

    monkeypatch.setattr(store._client, "read", counted)
    weeks = len({USER_WEEKS.unit(day_us) for day_us in days})
    days_each = {level.name: 28 for level in LEVELS if level.unit_us == USER_DAYS.unit_us}
    assert store.verify().checked == {HOURS.name: 28 * 24, **days_each, USER_WEEKS.name: weeks}
    compared = len([statement for statement in asked if "HAVING" in statement])
    assert compared == 4 + 4 * len(days_each) + 1, "seven days of a level at once, or seven weeks"
    assert len(asked) == compared + len(("dirty", "kept from")) + len(LEVELS)


def test_what_came_lately_is_found_without_reading_what_came_before(
    store: ClickHouseEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each month is a part of its own; which of them are read?"""
    months = [NOW_US - month * 40 * 86_400_000_000 for month in range(4)]
    for number, came_us in enumerate(months):
        told = line(number, started_at=rfc3339(came_us), ingested_at=rfc3339(came_us + 1_000_000))
        store.append([told], {})
    asked: list[str] = []
    read = store._client.read

    def kept(statement: str, **more: Any) -> Any:
        asked.append(statement)
        return read(statement, **more)

    monkeypatch.setattr(store._client, "read", kept)
    found = store.events(EventQuery(ingested_from_us=NOW_US, ingested_to_us=NOW_US + 60_000_000, limit=10))
    assert len(found.events) == 1
    _, plan = read(f"EXPLAIN indexes = 1 {asked[0]}")
    text = " ".join(str(row[0]).strip() for row in plan)
    assert re.search(r"Name: came .*?Parts: 1/4", text), text


def test_a_statement_of_a_user_only_reads(store: ClickHouseEvents) -> None:
    store.append([line(1, feature="it's", cost_usd="0.5")], {})
    table = store.sql("SELECT feature, sum(cost_usd) AS usd, count(*) AS n FROM calls GROUP BY feature")
    assert [list(row) for row in table.rows] == [["it's", table.rows[0][1], 1]]
    for statement in (
        "DROP TABLE events",
        "SELECT * FROM events",
        "SELECT * FROM url('http://x')",
        "SELECT nope FROM calls",
    ):
        with pytest.raises(UsageError):
            store.sql(statement)


# --- the schema ----------------------------------------------------------------------------------------------------


def test_a_migration_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    store = open_clickhouse(tmp_path)
    store._client.write("TRUNCATE TABLE schema_steps")
    assert bring_up_to_date(store._client) == schema_files()[-1].number
    assert store.append([line(1)], {}) == Appended(1, 0)
    store.close()


def test_a_newer_schema_and_foreign_tables_are_recognised(store: ClickHouseEvents, tmp_path: Path) -> None:
    newest = schema_files()[-1].number
    later = SchemaFile(newest + 1, "later.sql", "CREATE TABLE IF NOT EXISTS later (n Int8) ENGINE = Memory;\n")
    other = open_clickhouse(tmp_path)
    assert bring_up_to_date(other._client, [*schema_files(), later]) == newest + 1
    with pytest.raises(SchemaError, match="newer version"):
        open_clickhouse(tmp_path)
    other._client.write("DROP TABLE schema_steps")
    with pytest.raises(SchemaError, match="no record of its schema"):
        open_clickhouse(tmp_path)
    other.close()


REPEATABLE = re.compile(r"CREATE (TABLE|VIEW) IF NOT EXISTS|ADD INDEX IF NOT EXISTS|MATERIALIZE INDEX")


def test_schema_files_are_numbered_without_gaps_and_end_their_statements() -> None:
    assert [file.number for file in schema_files()] == list(range(1, len(schema_files()) + 1))
    for file in schema_files():
        assert all(REPEATABLE.search(one) for one in statements(file.sql))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("clickhouse://h", ("h", 8123, False, "default", "", "taximeter")),
        ("clickhouses://u:p%40w@h/meter", ("h", 8443, True, "u", "p@w", "meter")),
        ("clickhouse://u@[::1]:9/db_1/", ("::1", 9, False, "u", "", "db_1")),
    ],
)
def test_an_address_is_read(url: str, expected: tuple[Any, ...]) -> None:
    address = parse_address(url)
    assert (address.host, address.port, address.secure, address.user, address.password, address.database) == expected


@pytest.mark.parametrize(
    "url", ["http://h", "clickhouse://", "clickhouse://h:x", "clickhouse://h/a-b", "clickhouse://h/db?x=1", "h"]
)
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UsageError):
        parse_address(url)


def test_runs_without_what_they_need_change_nothing(store: ClickHouseEvents) -> None:
    fill(store, 2)
    nobody: Any = replace(RUN, asked_by=None)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="asked_by"):
        store.restate([new(1, "5")], nobody, ASKED_US)
    assert spent(store) == "1"
